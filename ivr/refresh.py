"""Reading whole PBXs: one at once for a person who waits, or many in the background.

Tasks are kicks, rows are truth: each PBX of a run is a row claimed with an expiry, so a worker that dies loses
nothing. How many PBXs are read at once is said in bulk_reading.py.
"""

import logging
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django_tasks import task

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import SYSTEM, Actor
from pbxadmin.audit.log import record
from pbxadmin.fleet.lease import LEASE_S, lease_claim
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.fleet.pbx_sessions import (
    check_allowed,
    open_pbx_session,
    pbx_states_record,
)
from pbxadmin.fleet.row_updates import rows_update
from pbxadmin.web.words import number_of
from pbxadmin.yeastar.errors import PbxError, PbxHeldBack
from pbxadmin.yeastar.readings import IvrSettings

from .bulk_reading import BulkReading, Result, Work, unexpected_device_sentence, works_begin, works_end
from .claims import claim_many, release_claims, release_expired
from .kicks import kick_once
from .models import Refresh, RefreshItem
from .snapshots import listings_save, lock_pbxs, next_refresh, snapshots_save
from .ways import lists_read, offered, ways_due, ways_keep, ways_save

log = logging.getLogger(__name__)

State = RefreshItem.State
Ended = tuple[RefreshItem.State, str]
IN_WORK = (State.WAITING, State.READING)
CHUNK = 100  # PBXs of one scheduled run
RUNS_KEPT = timedelta(days=30)  # the page of a run that a person asked for
AGAIN_S = 10  # until a PBX is tried again that somebody had in hand
FIRST_RUNS = 8
READINGS, LOWEST = "readings", -20  # behind whatever a person waits for


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
        run = run_of(pbxs, actor, is_scheduled=is_scheduled)
    kick(run)
    return run


def run_of(pbxs: Iterable[Pbx], actor: Actor, *, is_scheduled: bool) -> Refresh:
    """Return a new run of these PBXs, stored."""
    run = Refresh.objects.create(asked_by_id=actor.id or 0, asked_by_name=actor.name, is_scheduled=is_scheduled)
    RefreshItem.objects.bulk_create([RefreshItem(refresh=run, pbx=pbx) for pbx in pbxs], batch_size=500)
    return run


def refresh_due() -> int:
    """Send out all PBXs whose time has come, as runs of a chunk each. Return how many PBXs.

    A PBX that another run is still to read is left to that run.
    """
    total = 0
    while count := chunk_start():
        total += count
    return total


def chunk_start() -> int:
    """Start a run for a chunk of the PBXs whose time has come. Return how many.

    Whoever sends out a PBX moves its next time on, so that of several who do this at once one has it.
    """
    now = timezone.now()
    with transaction.atomic():
        in_work = RefreshItem.objects.filter(state__in=IN_WORK).values("pbx_id")
        due = Pbx.objects.due(now).exclude(pk__in=in_work).order_by("next_refresh_at", "pk")
        locked = due.select_for_update(of=("self",), skip_locked=True)
        pbxs = list(locked.only("refresh_minutes", "next_refresh_at")[:CHUNK])
        for pbx in pbxs:
            pbx.next_refresh_at = next_refresh(pbx, now)
        rows_update(pbxs, ["next_refresh_at"])
        run = run_of(pbxs, SYSTEM, is_scheduled=True) if pbxs else None
    if run:
        kick(run)
    return len(pbxs)


@task()
def refresh_work(run_id: int) -> None:
    """Read what a person asked for. Several may work on one run: each takes its own PBXs."""
    run_work(run_id)


@task(queue_name=READINGS, priority=LOWEST)
def scheduled_work(run_id: int) -> None:
    """Read a chunk of what is due, and the next ones while that waits for slow PBXs."""
    run_work(run_id)


def kick(run: Refresh) -> None:
    """Ask the workers to read what is left of a run."""
    kick_once(scheduled_work if run.is_scheduled else refresh_work, run.pk)


def run_work(run_id: int) -> None:
    """Read PBXs of a run for a while. What is then left goes to the next worker that is free."""
    run = Refresh.objects.filter(pk=run_id).first()
    if run is None:  # a second kick of a run that is over
        return
    source = RunSource(run)
    reading = BulkReading(source)
    reading.work()
    again_s = AGAIN_S if reading.may_take else 0
    for each in source.runs:
        run_put_down(each, again_s)
    if run.is_scheduled:
        refresh_due()


def run_put_down(run: Refresh, again_s: float) -> None:
    """End a run, or see to what is left of it: what is due by itself is due again, a person's run is kicked again."""
    if run.is_scheduled and not run.items.filter(state=State.READING).exists():  # else another task puts it down
        due_again(run, timezone.now() + timedelta(seconds=again_s))
    if not refresh_finish(run.pk) and not run.is_scheduled and is_waiting(run.pk):
        kick(run)


def due_again(run: Refresh, at: datetime) -> None:
    """Give back the PBXs that nobody read in this run. They go out with the next ones at that time."""
    with transaction.atomic():
        left = run.items.filter(state=State.WAITING).select_for_update().order_by("pk")
        pbx_ids = dict(left.values_list("pk", "pbx_id"))
        Pbx.objects.filter(pk__in=lock_pbxs(pbx_ids.values())).update(next_refresh_at=at)
        RefreshItem.objects.filter(pk__in=pbx_ids).delete()


class RunSource:
    """The PBXs of a run; while a scheduled one waits for its last PBXs, also of the next. runs: what it works on."""

    def __init__(self, run: Refresh) -> None:
        self.runs = [run]
        self.threads = settings.REFRESH_THREADS

    def take(self, at_most: int, until: float) -> list[Work]:
        """Take PBXs of the run in hand; of a scheduled one that has no more, also of the next."""
        works = take(self.runs[-1], at_most, until)
        if not self.runs[0].is_scheduled or len(works) >= at_most:
            return works
        following = untouched_run(self.runs)
        if following is None:
            return works
        self.runs.append(following)
        return works + take(following, at_most - len(works), until)

    def save(self, results: Sequence[Result]) -> None:
        save_results(results, is_scheduled=self.runs[0].is_scheduled)

    def give_back(self, works: Sequence[Work]) -> None:
        items_end({work.row_id: (State.WAITING, "") for work in works})
        works_end(works)

    def waits_for_others(self) -> bool:
        return not self.runs[0].is_scheduled and is_waiting(self.runs[0].pk)


def untouched_run(but: Collection[Refresh]) -> Refresh | None:
    """Return a scheduled run that nobody has begun, None for none. Any of the first ones: others look for one too."""
    waiting = RefreshItem.objects.filter(refresh=OuterRef("pk"), state=State.WAITING)
    begun = RefreshItem.objects.filter(refresh=OuterRef("pk")).exclude(state=State.WAITING)
    runs = Refresh.objects.filter(Exists(waiting), ~Exists(begun), is_scheduled=True, finished_at=None)
    first = runs.exclude(pk__in=[run.pk for run in but]).order_by("pk")[:FIRST_RUNS]
    return random.choice(list(first) or [None])  # noqa: S311  (no secret)


def is_waiting(run_id: int) -> bool:
    """Tell whether a run has PBXs that nobody has claimed yet."""
    return RefreshItem.objects.filter(refresh_id=run_id, state=State.WAITING).exists()


def take(run: Refresh, at_most: int, until: float) -> list[Work]:
    """Claim at most so many free PBXs of a run, each with its lease. A PBX that may not be read fails at once.

    until: when the calls must be over, by time.monotonic().
    """
    free = RefreshItem.objects.filter(refresh=run, state=State.WAITING, pbx__lease__until__lte=timezone.now())
    items = dict(free.order_by("id").values_list("pbx_id", "id")[:at_most])
    held = lease_claim(list(items), "PBX Admin is reading all IVRs") if items else None
    if held is None or not held.pbx_ids:
        return []
    mine = items_claim(items[pk] for pk in held.pbx_ids)
    pbxs = Pbx.objects.select_related("customer").in_bulk(held.pbx_ids)  # their last holder may have changed them
    due = ways_due(pbxs.values(), timezone.now())
    ours = [pbx for pbx in pbxs.values() if items[pbx.pk] in mine]
    works, held_back = works_begin(ours, items, held, until, check_by_itself, due)
    items_end({item_id: (State.FAILED, why) for item_id, why in held_back.items()})
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


def save_results(results: Sequence[Result], *, is_scheduled: bool) -> None:
    """Store what was read, then release the PBXs."""
    for result in results:
        if result.problem and not is_scheduled:  # by itself, only a new state is news
            refresh_failed(result.work.pbx, result.problem)
    pbx_states_record([(result.work.pbx, result.work.client) for result in results])
    read = [result for result in results if not result.problem]
    with transaction.atomic():
        stored = listings_save([result.listing for result in read])
        ways_save({result.work.pbx.pk: result.read.lists for result in read if result.work.pbx.pk in stored})
        items_end({result.work.row_id: ended(result, stored) for result in results})
    works_end(result.work for result in results)


def refresh_finish(run_id: int) -> bool:
    """End a run of which nothing is left to read. Return whether it is over."""
    if RefreshItem.objects.filter(refresh_id=run_id, state__in=IN_WORK).exists():
        return False
    Refresh.objects.filter(pk=run_id, finished_at=None).update(finished_at=timezone.now())
    Refresh.objects.filter(pk=run_id, is_scheduled=True).delete()  # nobody looks at it; each PBX shows how it went
    return True


def refresh_rekick() -> int:
    """Free what a dead worker had claimed, and kick what nobody works on. Return how many runs were kicked.

    Of the scheduled runs one is enough: who reads it goes on with the others, and most just wait in the queue.
    """
    release_expired(RefreshItem.objects.filter(state=State.READING), state=State.WAITING)
    unfinished = Refresh.objects.filter(finished_at=None, asked_at__lte=timezone.now() - timedelta(seconds=15))
    idle = unfinished.exclude(Q(items__state=State.READING)).order_by("pk")
    runs = [*idle.filter(is_scheduled=False), *idle.filter(is_scheduled=True)[:1]]
    for run in runs:
        kick(run)
    return len(runs)


def runs_forget() -> int:
    """Delete runs that ended long ago, with what each PBX of them said. Return how many rows."""
    return Refresh.objects.filter(finished_at__lt=timezone.now() - RUNS_KEPT).delete()[0]
