"""Reading whole PBXs: one at once for a person who waits, or many in the background.

Tasks are kicks, rows are truth: each PBX of a run is a row claimed with an expiry, so a worker that dies loses
nothing. The pool's threads do HTTP only; the task's own thread takes leases and writes in bulk.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_tasks import task

from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.fleet.contact import check_allowed, client_for, contact, contact_record
from pbxadmin.fleet.lease import LEASE_S, Held, lease_claim
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.client import PAGE_S, PbxClient
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.wire import IvrSettings

from .models import Refresh, RefreshItem
from .snapshots import snapshots_keep

log = logging.getLogger(__name__)

State = RefreshItem.State
IN_USE_WAIT_S = 0.2
RUN_S = 300.0  # a task that lasts longer stops and is kicked again by the tick


def pbx_refresh(*, pbx: Pbx, actor: Actor) -> int:
    """Read one PBX now and keep what it holds; how many IVRs. Raises PbxError, after an event says so."""
    failure: PbxError | None = None
    ivrs: Sequence[IvrSettings] = ()
    try:
        with contact(pbx, f"{actor.name} is reading all IVRs") as hands:
            ivrs = hands.client.query_ivrs()
            snapshots_keep([(hands.pbx, ivrs)], timezone.now())
    except PbxError as error:
        failure = error
    if failure is not None:
        refresh_failed(pbx, str(failure))
        raise failure
    return len(ivrs)


def refresh_failed(pbx: Pbx, why: str) -> None:
    record("refresh.failed", customer=(pbx.customer_id, pbx.customer.name), pbx=(pbx.pk, pbx.name), detail={"why": why})


def refresh_start(*, pbxs: Iterable[Pbx], actor: Actor) -> Refresh:
    """Ask for these PBXs to be read in the background."""
    with transaction.atomic():
        run = Refresh.objects.create(asked_by_id=actor.id or 0, asked_by_name=actor.name)
        RefreshItem.objects.bulk_create([RefreshItem(refresh=run, pbx=pbx) for pbx in pbxs], batch_size=500)
    refresh_work.enqueue(run.pk)
    return run


@task()
def refresh_work(run_id: int) -> None:
    """Read what is left of a run. Several may work on one run: each takes its own PBXs."""
    give_up = time.monotonic() + RUN_S
    with ThreadPoolExecutor(settings.REFRESH_THREADS, thread_name_prefix="refresh") as pool:
        running: dict[Future[Sequence[IvrSettings]], Work] = {}
        while time.monotonic() < give_up:
            for work in take(run_id, settings.REFRESH_THREADS - len(running)):
                running[pool.submit(work.client.query_ivrs)] = work
            if not running:
                if not is_waiting(run_id):
                    break
                time.sleep(IN_USE_WAIT_S)  # what is left is in somebody else's hands
                continue
            done, _ = wait(running, timeout=IN_USE_WAIT_S, return_when=FIRST_COMPLETED)
            keep([(running.pop(future), future) for future in done])
        keep([(work, future) for future, work in running.items()])
    refresh_finish(run_id)


@dataclass(frozen=True)
class Work:
    """One PBX of a run in hand."""

    item_id: int
    pbx: Pbx
    client: PbxClient
    held: Held


def is_waiting(run_id: int) -> bool:
    return RefreshItem.objects.filter(refresh_id=run_id, state=State.WAITING).exists()


def take(run_id: int, at_most: int) -> Iterator[Work]:
    """Claim PBXs of a run that are free, at most so many, each with its lease. What may not be read fails at once."""
    if at_most <= 0:
        return
    waiting = RefreshItem.objects.filter(refresh_id=run_id, state=State.WAITING).select_related("pbx__customer")
    items = {item.pbx_id: item for item in waiting.order_by("id")[: at_most * 2]}
    held = lease_claim(list(items), "PBX Admin is reading all IVRs") if items else None
    surplus: list[int] = []
    for position, pbx_id in enumerate(sorted(held.pbx_ids if held else ())):
        item, one = items[pbx_id], Held(held.holder if held else "", frozenset([pbx_id]))
        if position >= at_most or not item_claim(item):
            surplus.append(pbx_id)
            continue
        try:
            check_allowed(item.pbx)
            yield Work(item.pk, item.pbx, client_for(item.pbx, time.monotonic() + PAGE_S), one)
        except PbxError as error:
            item_end(item.pk, State.FAILED, str(error))
            surplus.append(pbx_id)
    if held and surplus:
        Held(held.holder, frozenset(surplus)).release()


def item_claim(item: RefreshItem) -> bool:
    until = timezone.now() + timedelta(seconds=LEASE_S)
    waiting = RefreshItem.objects.filter(pk=item.pk, state=State.WAITING)
    return waiting.update(state=State.READING, claimed_until=until) == 1


def item_end(item_id: int, state: RefreshItem.State, sentence: str = "") -> None:
    RefreshItem.objects.filter(pk=item_id).update(state=state, sentence=sentence[:300], claimed_until=None)


def keep(results: Sequence[tuple[Work, Future[Sequence[IvrSettings]]]]) -> None:
    """Write what was read, then let the PBXs go."""
    read: list[tuple[Pbx, Sequence[IvrSettings]]] = []
    with transaction.atomic():
        for work, future in results:
            error = future.exception()
            contact_record(work.pbx, work.client)
            if error is None:
                read.append((work.pbx, future.result()))
                item_end(work.item_id, State.DONE, f"{len(future.result())} IVRs")
            elif isinstance(error, PbxError):
                item_end(work.item_id, State.FAILED, str(error))
                refresh_failed(work.pbx, str(error))
            else:
                raise error
        snapshots_keep(read, timezone.now())
    for work, _ in results:
        work.client.transport.close()
        work.held.release()


def refresh_finish(run_id: int) -> None:
    left = RefreshItem.objects.filter(refresh_id=run_id, state__in=(State.WAITING, State.READING))
    if not left.exists():
        Refresh.objects.filter(pk=run_id, finished_at=None).update(finished_at=timezone.now())


def refresh_rekick() -> int:
    """Put back what a dead worker had claimed, and kick every run that has work left. How many were kicked."""
    now = timezone.now()
    RefreshItem.objects.filter(state=State.READING, claimed_until__lte=now).update(
        state=State.WAITING, claimed_until=None
    )
    unfinished = Refresh.objects.filter(finished_at=None, asked_at__lte=now - timedelta(seconds=15))
    idle = unfinished.exclude(Q(items__state=State.READING))
    for run in idle:
        refresh_work.enqueue(run.pk)
    return len(idle)
