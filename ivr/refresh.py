"""Reading whole PBXs: one at once for a person who waits, or many in the background.

Tasks are kicks, rows are truth: each PBX of a run is a row claimed with an expiry, so a worker that dies loses
nothing. The pool's threads do HTTP only; the task's own thread takes leases and writes in bulk.
"""

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_tasks import task

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import SYSTEM, Actor
from pbxadmin.audit.log import record
from pbxadmin.fleet.lease import LEASE_S, LeaseHandle, lease_claim
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.fleet.pbx_sessions import (
    check_allowed,
    client_or_state,
    open_pbx_session,
    pbx_states_record,
    refused_logins_save,
)
from pbxadmin.web.words import number_of
from pbxadmin.yeastar.client import PAGE_S, PbxClient
from pbxadmin.yeastar.driver import CallKind
from pbxadmin.yeastar.errors import PbxError, PbxHeldBack
from pbxadmin.yeastar.readings import IvrSettings

from .claims import claim_many, release_claims, release_expired
from .models import Refresh, RefreshItem
from .snapshots import Listing, listings_save, next_refresh, snapshots_save
from .ways import ListFound, lists_read, offered, ways_due, ways_keep, ways_save

log = logging.getLogger(__name__)

State = RefreshItem.State
Ended = tuple[RefreshItem.State, str]
IN_USE_WAIT_S = 0.2
CHUNK = 200  # PBXs of one scheduled run
RUN_S = 300.0  # a task that lasts longer stops and is kicked again by the tick


def pbx_refresh(*, pbx: Pbx, actor: Actor) -> int:
    """Read one PBX now and store what it holds.

    Return how many IVRs it has. Raises PbxError, after an event says so.
    """
    failure: PbxError | None = None
    ivrs: Sequence[IvrSettings] = ()
    try:
        with open_pbx_session(pbx, f"{actor.name} is reading all IVRs") as pbx_session:
            ivrs = pbx_session.client.query_ivrs()
            if pbx_session.client.is_unexpected_device:
                raise PbxHeldBack(unexpected_device_sentence(pbx_session.pbx))
            snapshots_save(pbx_session, ivrs)
            ways_keep(pbx_session, lists_read(pbx_session.client, offered(pbx_session.pbx)))
    except PbxError as error:
        failure = error
    if failure is not None:
        refresh_failed(pbx, str(failure))
        raise failure
    return len(ivrs)


def refresh_failed(pbx: Pbx, why: str) -> None:
    """Record that a PBX could not be read."""
    record(
        EventAction.REFRESH_FAILED,
        customer=(pbx.customer_id, pbx.customer.name),
        pbx=(pbx.pk, pbx.name),
        detail={"why": why},
    )


def refresh_start(*, pbxs: Iterable[Pbx], actor: Actor, is_scheduled: bool = False) -> Refresh:
    """Start a run that reads these PBXs in the background."""
    with transaction.atomic():
        run = Refresh.objects.create(asked_by_id=actor.id or 0, asked_by_name=actor.name, is_scheduled=is_scheduled)
        RefreshItem.objects.bulk_create([RefreshItem(refresh=run, pbx=pbx) for pbx in pbxs], batch_size=500)
    refresh_work.enqueue(run.pk)
    return run


def refresh_due() -> int:
    """Start a run for a chunk of the PBXs whose time has come. Return how many.

    A chunk at a time, and one worker thread stays free of them: a person who asks to read PBXs does not wait for all.
    A PBX that another run is still to read is left to that run.
    """
    if Refresh.objects.filter(is_scheduled=True, finished_at=None).count() >= max(1, settings.WORK_THREADS - 1):
        return 0
    now = timezone.now()
    with transaction.atomic():
        in_work = RefreshItem.objects.filter(state__in=(State.WAITING, State.READING)).values("pbx_id")
        due = Pbx.objects.due(now).exclude(pk__in=in_work).order_by("next_refresh_at", "pk")
        pbxs = list(due.select_for_update(of=("self",)).only("refresh_minutes", "next_refresh_at")[:CHUNK])
        for pbx in pbxs:
            pbx.next_refresh_at = next_refresh(pbx, now)
        Pbx.objects.bulk_update(pbxs, ["next_refresh_at"])
        if pbxs:
            refresh_start(pbxs=pbxs, actor=SYSTEM, is_scheduled=True)
    return len(pbxs)


@task()
def refresh_work(run_id: int) -> None:
    """Read what is left of a run. Several may work on one run: each takes its own PBXs."""
    run = Refresh.objects.filter(pk=run_id).first()
    if run is None:  # a second kick of a run that is over
        return
    taken: list[Work] = []
    try:
        read_what_is_left(run, taken)
    except BaseException:
        refused_logins_save((work.pbx, work.client) for work in taken)
        raise
    refresh_finish(run_id)


def read_what_is_left(run: Refresh, taken: "list[Work]") -> None:
    """Read the PBXs of a run that are free, several at once, until none is left or the time is up.

    taken: grows by each PBX whose lease is claimed.
    """
    give_up = time.monotonic() + RUN_S
    with ThreadPoolExecutor(settings.REFRESH_THREADS, thread_name_prefix="refresh") as pool:
        running: dict[Future[WholeReading], Work] = {}
        results: list[Result] = []
        while time.monotonic() < give_up:
            for work in take(run, settings.REFRESH_THREADS - len(running)):
                taken.append(work)
                running[pool.submit(work.read)] = work
            save_results(results)  # while the next readings are under way
            results = []
            if not running:
                if not is_waiting(run.pk):
                    break
                time.sleep(IN_USE_WAIT_S)  # somebody else has leased what is left
            done, _ = wait(running, timeout=IN_USE_WAIT_S, return_when=FIRST_COMPLETED)
            results = [result_of(running.pop(future), future) for future in done]
        save_results(results + [result_of(work, future) for future, work in running.items()])


@dataclass(frozen=True)
class WholeReading:
    """What a PBX listed: its IVRs, and the lists beside them that were due."""

    ivrs: Sequence[IvrSettings] = ()
    lists: Sequence[ListFound] = ()


@dataclass(frozen=True)
class Work:
    """One PBX of a run, leased by this task. lists: what is due beside its IVRs."""

    item_id: int
    pbx: Pbx
    client: PbxClient
    held: LeaseHandle
    is_scheduled: bool
    lists: Sequence[CallKind] = ()

    def read(self) -> WholeReading:
        """Read the PBX, in a thread of the pool. Raises PbxError when its IVRs could not be read."""
        ivrs = self.client.query_ivrs()
        return WholeReading(ivrs, lists_read(self.client, self.lists))


@dataclass(frozen=True)
class Result:
    """How the reading of one PBX ended: what it listed, or why it could not be read."""

    work: Work
    read: WholeReading = WholeReading()
    problem: str = ""

    @property
    def listing(self) -> Listing:
        return Listing(self.work.pbx, self.work.held, self.read.ivrs, found_none=self.work.client.found_none)


def result_of(work: Work, future: Future[WholeReading]) -> Result:
    """Return how the reading of a PBX ended. Waits for it when it is still on its way."""
    try:
        read = future.result()
    except PbxError as error:
        return Result(work, problem=str(error))
    except Exception:
        log.exception("refresh: %s", work.pbx.name)
        return Result(work, problem="PBX Admin failed. Its own log says why.")
    return (
        Result(work, problem=unexpected_device_sentence(work.pbx))
        if work.client.is_unexpected_device
        else Result(work, read)
    )


def unexpected_device_sentence(pbx: Pbx) -> str:
    return f"Another device answers at the address of {pbx.name}. What it holds is not kept."


def is_waiting(run_id: int) -> bool:
    """Tell whether a run has PBXs that nobody has claimed yet."""
    return RefreshItem.objects.filter(refresh_id=run_id, state=State.WAITING).exists()


def take(run: Refresh, at_most: int) -> list[Work]:
    """Claim at most so many free PBXs of a run, each with its lease. A PBX that may not be read fails at once."""
    if at_most <= 0:
        return []
    free = RefreshItem.objects.filter(refresh=run, state=State.WAITING, pbx__lease__until__lte=timezone.now())
    items = dict(free.order_by("id").values_list("pbx_id", "id")[:at_most])
    held = lease_claim(list(items), "PBX Admin is reading all IVRs") if items else None
    if held is None or not held.pbx_ids:
        return []
    mine = items_claim(items[pk] for pk in held.pbx_ids)
    pbxs = Pbx.objects.select_related("customer").in_bulk(held.pbx_ids)  # their last holder may have changed them
    due = ways_due(pbxs.values(), timezone.now())
    works: list[Work] = []
    held_back: dict[int, Ended] = {}
    for pbx_id, pbx in pbxs.items():
        if items[pbx_id] not in mine:
            continue
        try:
            check_by_itself(pbx)
            client = client_or_state(pbx, time.monotonic() + PAGE_S)
            one = LeaseHandle(held.holder, frozenset([pbx_id]))
            works.append(Work(items[pbx_id], pbx, client, one, run.is_scheduled, due[pbx_id]))
        except PbxError as error:
            held_back[items[pbx_id]] = State.FAILED, str(error)
    items_end(held_back)
    release_leases([LeaseHandle(held.holder, held.pbx_ids - {work.pbx.pk for work in works})])
    return works


def check_by_itself(pbx: Pbx) -> None:
    """Raise PbxHeldBack when nothing may be sent to this PBX, nor tried before a person looked at its certificate."""
    check_allowed(pbx)
    if pbx.state == PbxState.UNTRUSTED:
        raise PbxHeldBack(f"{pbx.name} showed a certificate that is not trusted. Test the connection to see it.")


def items_claim(item_ids: Iterable[int]) -> frozenset[int]:
    """Claim these items as far as they are still to be read. Return the ids of those that are ours now."""
    waiting = RefreshItem.objects.filter(pk__in=list(item_ids), state=State.WAITING)
    return claim_many(waiting, LEASE_S, state=State.READING)


def ended(result: Result, stored: Collection[int]) -> Ended:
    """Return the state and the sentence in which an item ends. stored: ids of the PBXs of which the list was stored."""
    if result.problem:
        return State.FAILED, result.problem
    if result.work.pbx.pk not in stored:
        return State.WAITING, ""  # it took so long that the lease was lost; read it again
    return State.DONE, number_of(len(result.read.ivrs), "IVR")


def items_end(ends: Mapping[int, Ended]) -> None:
    """Record how items ended, by id; items that ended alike in one statement."""
    alike: dict[Ended, list[int]] = {}
    for item_id, end in ends.items():
        alike.setdefault(end, []).append(item_id)
    for (state, sentence), ids in alike.items():
        release_claims(RefreshItem.objects.filter(pk__in=ids), state=state, sentence=sentence[:300])


def release_leases(all_held: Iterable[LeaseHandle]) -> None:
    """Release leases, those of one holder together."""
    pbx_ids: dict[str, set[int]] = {}
    for held in all_held:
        pbx_ids.setdefault(held.holder, set()).update(held.pbx_ids)
    for holder, ids in pbx_ids.items():
        if ids:
            LeaseHandle(holder, frozenset(ids)).release()


def save_results(results: Sequence[Result]) -> None:
    """Store what was read, then release the PBXs."""
    if not results:
        return
    for result in results:
        if result.problem and not result.work.is_scheduled:  # by itself, only a new state is news
            refresh_failed(result.work.pbx, result.problem)
    pbx_states_record([(result.work.pbx, result.work.client) for result in results])
    read = [result for result in results if not result.problem]
    with transaction.atomic():
        stored = listings_save([result.listing for result in read])
        ways_save({result.work.pbx.pk: result.read.lists for result in read if result.work.pbx.pk in stored})
        items_end({result.work.item_id: ended(result, stored) for result in results})
    for result in results:
        result.work.client.transport.close()
    release_leases(result.work.held for result in results)


def refresh_finish(run_id: int) -> None:
    """End a run of which nothing is left to read."""
    left = RefreshItem.objects.filter(refresh_id=run_id, state__in=(State.WAITING, State.READING))
    if not left.exists():
        Refresh.objects.filter(pk=run_id, finished_at=None).update(finished_at=timezone.now())
        Refresh.objects.filter(pk=run_id, is_scheduled=True).delete()  # nobody looks at it; each PBX shows how it went


def refresh_rekick() -> int:
    """Free what a dead worker had claimed, and kick every run that has work left. Return how many were kicked."""
    release_expired(RefreshItem.objects.filter(state=State.READING), state=State.WAITING)
    unfinished = Refresh.objects.filter(finished_at=None, asked_at__lte=timezone.now() - timedelta(seconds=15))
    idle = unfinished.exclude(Q(items__state=State.READING))
    for run in idle:
        refresh_work.enqueue(run.pk)
    return len(idle)
