"""The work of batches, in the background: previews and changes, one PBX of one batch at a time.

Tasks are kicks, rows are truth: a unit is claimed with an expiry, each target is a change with a claim of its own, and
what a dead process was sending is settled by reading. So a kill at any point loses nothing and sends nothing twice.
"""

import logging
import re
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import connections, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django_tasks import task

from ivr.bulk_reading import BulkReading
from ivr.changes.apply import NotNow, change_apply
from ivr.changes.plan import Opened, change_plan
from ivr.claims import still_claimed
from ivr.kicks import kick_once
from ivr.models import Change
from pbxadmin.access.customer_rules import is_at_work
from pbxadmin.access.models import User
from pbxadmin.audit.context import Actor, AuditContext, acting
from pbxadmin.fleet.concurrency import ending
from pbxadmin.fleet.lease import PbxInUse, is_leased
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.fleet.pbx_sessions import open_pbx_session
from pbxadmin.yeastar.errors import PbxError

from .models import (
    AT_WORK,
    NOT_VERIFIED_OUTCOMES,
    WAITING,
    Batch,
    BatchState,
    BatchTarget,
    BatchTargetQuerySet,
    BatchUnit,
)
from .preview import PreviewSource, canary_choose
from .services import batches_expire, move, waiting_end, why_denied
from .units import IN_USE_S, SETTLING_S, is_for_others, share_of, unit_postpone, unit_renew, units_claim

log = logging.getLogger(__name__)

SLICE_S = 20.0  # then the task makes room for others and is enqueued again
WAIT_FOR_UNITS_S = 0.2
BATCHES_QUEUE, LOW_PRIORITY = "batches", -10
FASTEST_S, SLOWEST_S = 1.0, 30.0
TOO_OFTEN = "10025"
RETRY_FIRST_S, RETRY_LAST_S = 30, 1800
HOURS_S = 300
NOT_NOW_TRIES = 5  # of a PBX that was slow or just taken, before a target ends as a person's change would
APPLY_RESTS_S = (0.0, 2.0, 8.0)
# From this firmware on, an `apply` does not disturb calls (change log of the v1.1 guide).
SAFE_TO_APPLY = (30, 11, 0, 7)
OFF = (PbxState.UNREACHABLE, PbxState.REFUSING, PbxState.LOCKED)
NO_OUTCOME = (Change.Status.PLANNED, Change.Status.SENDING)
NOTHING_SENT = (Change.Status.PLANNED, Change.Status.NOT_SENT)
FOLLOWED = timedelta(days=2)


@task(queue_name=BATCHES_QUEUE, priority=LOW_PRIORITY)
def batch_work(batch_id: int) -> None:
    """Work on a batch for a while. Several may: each claims PBXs of its own."""
    if work_slice(batch_id):
        kick_once(batch_work, batch_id)


def work_slice(batch_id: int) -> bool:
    """Work on the units of a batch that are due, several at once, for 20 s at most. Return whether more is due."""
    batch = Batch.objects.filter(pk=batch_id, state__in=AT_WORK).first()
    if batch is None:
        return False
    if batch.state == BatchState.PREVIEWING:
        preview_work(batch)
    else:
        changes_work(batch)
    return batch_settle(batch)


def preview_work(batch: Batch) -> None:
    """Read PBXs for the preview of a batch. After a failure of ours they are read again later."""
    source = PreviewSource(batch)
    reading = BulkReading(source)
    try:
        reading.work()
    except Exception:
        log.exception("batch %s: its preview", batch.pk)
        source.put_back(reading.taken)


def changes_work(batch: Batch) -> None:
    """Change the targets of PBXs, each PBX in a thread of its own."""
    give_up, share = time.monotonic() + SLICE_S, share_of(batch)
    with ThreadPoolExecutor(share, thread_name_prefix=f"batch-{batch.pk}") as pool:
        running: set[Future[None]] = set()
        while time.monotonic() < give_up and not ending.is_set():
            is_first = not running
            claimed = units_claim(batch, share - len(running))
            running |= {pool.submit(unit_work, pk, give_up) for pk in claimed}
            if not running:
                break
            if is_first and is_for_others(batch):
                kick_once(batch_work, batch.pk)
            _, running = wait(running, timeout=WAIT_FOR_UNITS_S, return_when=FIRST_COMPLETED)


def unit_work(unit_id: int, give_up: float) -> None:
    """Work on a claimed unit in a thread of its own, then give it back. A failure of ours is tried again later."""
    try:
        unit = BatchUnit.objects.select_related("batch").get(pk=unit_id)
        columns: Mapping[str, object] = {}
        try:
            if unit.batch.state == BatchState.RUNNING:
                with acting(AuditContext(actor=starter_of(unit.batch))):
                    targets_change(unit.batch, unit, give_up)
        except Exception:
            log.exception("batch %s: PBX %s", unit.batch_id, unit.pbx_id)
            columns = {"not_before": timezone.now() + timedelta(seconds=SETTLING_S)}
        still_claimed(BatchUnit.objects.all(), unit).update(claimed_until=None, **columns)
    finally:
        connections.close_all()


def starter_of(batch: Batch) -> Actor:
    return Actor(batch.started_by_id, batch.started_by_name)


def targets_change(batch: Batch, unit: BatchUnit, give_up: float) -> None:
    """Change the targets of one PBX, one after the other, until the batch stops, the time is up, or the PBX is off."""
    for target in batch.targets.left().in_stage(batch).filter(pbx_id=unit.pbx_id):
        pace_keep(batch, unit)
        if not same_try(target).exists():  # cancelled meanwhile
            continue
        if time.monotonic() > give_up or ending.is_set() or not unit_renew(unit):
            return
        if is_leased(unit.pbx_id):  # by a reading, or a person
            unit_postpone(unit, timezone.now() + timedelta(seconds=IN_USE_S))
            return
        again_at = target_change(batch, unit, target)
        if again_at is not None:
            unit_postpone(unit, again_at, tries=unit.tries + 1)
            return
        if target.outcome in NOT_VERIFIED_OUTCOMES:
            halt_if_due(batch)
        elif unit.tries:
            unit_postpone(unit, timezone.now(), tries=0)
            unit.tries = 0
    unit_close(batch, unit)


def pace_keep(batch: Batch, unit: BatchUnit) -> None:
    """Wait until the PBX may get its next update. A person's edit has the PBX to itself meanwhile."""
    sent = Change.objects.filter(batch_id=batch.pk, pbx_id=unit.pbx_id).exclude(sent_at=None)
    last = sent.order_by("-sent_at").values_list("sent_at", flat=True).first()
    if last:
        rest = (last + timedelta(seconds=unit.pace_s) - timezone.now()).total_seconds()
        ending.wait(max(0.0, min(rest, unit.pace_s)))


def target_change(batch: Batch, unit: BatchUnit, target: BatchTarget) -> datetime | None:
    """Carry out one target as a change of its own. Return when to try it again, None when it has its outcome."""
    if sent := change_sent(target):  # by a process that died before it could store the outcome
        return outcome_take(batch, unit, target, sent)
    pbx = Pbx.objects.select_related("customer").filter(pk=target.pbx_id).first()
    user = User.objects.filter(pk=batch.started_by_id or 0).first()
    denied = why_denied(user, pbx.customer if pbx else None, target.wanted) if user else "Not allowed any more."
    if pbx is None or denied:
        target_end(target, Change.Status.NOT_SENT, denied or f"{target.pbx_name} was deleted.")
        return None
    if batch.only_in_hours and not is_at_work(pbx.customer, timezone.now()):
        return target_wait(target, f"Waits for the working hours of {pbx.customer.name}.", HOURS_S)
    try:
        change = target_plan(batch, target, pbx)
    except ValidationError as error:  # the customer's rules became stricter since
        target_end(target, Change.Status.NOT_SENT, " ".join(error.messages))
        return None
    try:
        may_wait = unit.tries < NOT_NOW_TRIES
        change_apply(change=change, actor=starter_of(batch), confirmed=True, batch_id=batch.pk, may_wait=may_wait)
    except NotNow:
        return timezone.now() + timedelta(seconds=IN_USE_S)
    return outcome_take(batch, unit, target, change)


def change_sent(target: BatchTarget) -> Change | None:
    """Return the last change of a target if it is no plan any more, and none of which nothing was sent."""
    if target.change_id is None:
        return None
    return Change.objects.filter(pk=target.change_id).exclude(status__in=NOTHING_SENT).first()


def target_plan(batch: Batch, target: BatchTarget, pbx: Pbx) -> Change:
    """Plan the change of a target; the same try of the same target is the same change."""
    form = f"batch {batch.pk} target {target.pk} try {target.tries}"
    read_at = target.read_at or timezone.now()
    opened = Opened(pbx.pk, target.address, target.serial, target.number, target.base, read_at, form)
    texts = {"reason": batch.reason, "ticket": batch.ticket}
    change = change_plan(
        pbx=pbx, opened=opened, wanted=target.wanted, actor=starter_of(batch), batch_id=batch.pk, **texts
    )
    BatchTarget.objects.filter(pk=target.pk).update(change_id=change.pk)
    return change


def outcome_take(batch: Batch, unit: BatchUnit, target: BatchTarget, change: Change) -> datetime | None:
    """Store the outcome of a target's change. Return when to try it again, None when it has its outcome."""
    if change.answer.get("code") == TOO_OFTEN:
        unit.pace_s = min(unit.pace_s * 2, SLOWEST_S)
        BatchUnit.objects.filter(pk=unit.pk).update(pace_s=unit.pace_s)
    if change.status in NO_OUTCOME:  # another process had it in hand
        return timezone.now() + timedelta(seconds=SETTLING_S)
    is_unsent = change.status == Change.Status.NOT_SENT
    if is_unsent and batch.is_patient and Pbx.objects.filter(pk=target.pbx_id, state__in=OFF).exists():
        seconds = min(RETRY_FIRST_S * 2 ** min(unit.tries, 8), RETRY_LAST_S)
        return target_wait(target, change.sentence, seconds, tries=target.tries + 1)
    target_end(target, change.status, change.sentence)
    return None


def same_try(target: BatchTarget) -> BatchTargetQuerySet:
    """Filter to this target, unless another process brought it further while this one was held up."""
    return BatchTarget.objects.filter(pk=target.pk, tries=target.tries).left()


def target_end(target: BatchTarget, outcome: str, sentence: str) -> None:
    """Store the outcome of a target."""
    same_try(target).update(outcome=outcome, sentence=sentence, finished_at=timezone.now())
    target.outcome = outcome


def target_wait(target: BatchTarget, sentence: str, seconds: float, **columns: int) -> datetime:
    """Let a target wait; return until when."""
    same_try(target).update(outcome=WAITING, sentence=sentence, **columns)
    return timezone.now() + timedelta(seconds=seconds)


def unit_close(batch: Batch, unit: BatchUnit) -> None:
    """End the work on a PBX in this stage. After its last write it is asked once to apply, where that is safe."""
    BatchUnit.objects.filter(pk=unit.pk).update(is_open=False)
    is_last = not batch.targets.left().filter(pbx_id=unit.pbx_id).exists()
    sent = Change.objects.filter(batch_id=batch.pk, pbx_id=unit.pbx_id).exclude(sent_at=None)
    pbx = Pbx.objects.select_related("customer").filter(pk=unit.pbx_id).first()
    if is_last and pbx and may_be_applied(pbx.firmware) and sent.exists():
        pbx_apply(batch, pbx)


def pbx_apply(batch: Batch, pbx: Pbx) -> None:
    """Ask a PBX once to apply. While somebody else has it in hand, that is tried again."""
    why: PbxError | None = None
    for rest_s in APPLY_RESTS_S:
        ending.wait(rest_s)
        try:
            with open_pbx_session(pbx, f"{batch.started_by_name} ends a batch") as session:
                session.client.apply()
            return
        except PbxError as error:
            why = error
            if not isinstance(error, PbxInUse):
                break
    log.warning("batch %s: %s did not apply: %s", batch.pk, pbx.name, why)


def may_be_applied(firmware: str) -> bool:
    """Tell whether this firmware takes an `apply` without disturbing calls."""
    numbers = re.fullmatch(r"\D*(\d+)\.(\d+)\.(\d+)\.(\d+).*", firmware)
    return numbers is not None and tuple(map(int, numbers.groups())) >= SAFE_TO_APPLY


def halt_if_due(batch: Batch) -> None:
    """Halt a batch when as many targets were not verified since it started or went on as its rule allows."""
    limit = batch.halt_after if batch.is_canary_done else 1
    failed = batch.targets.filter(outcome__in=NOT_VERIFIED_OUTCOMES, is_past=False).order_by("finished_at")
    count = failed.count()
    last = failed.last() if count >= limit else None
    if last:
        why = f"{count} not verified. The last: {last.pbx_name} {last.number}. {last.sentence}"
        # The event goes into the chain of each customer, so it names no PBX: the event of the change does.
        move(batch, BatchState.HALTED, detail={"not_verified": count}, why=why[:500])


def batch_settle(batch: Batch) -> bool:
    """Move a batch on when its stage is done. Return whether a worker would find something to do."""
    batch.refresh_from_db()
    if batch.state == BatchState.PREVIEWING and not batch.units.filter(is_open=True).exists():
        with transaction.atomic():
            if move(batch, BatchState.READY, previewed_at=timezone.now()):
                canary_choose(batch)
    elif batch.state == BatchState.RUNNING:
        patience_end(batch)
        units_reopen(batch)
        stage_end(batch)
    return batch.state in AT_WORK and is_for_others(batch)


def stage_end(batch: Batch) -> None:
    """Pause a batch after its canary, finish it after the rest."""
    if batch.targets.left().in_stage(batch).exists():
        return
    halt_if_due(batch)  # who stored the last outcome may not have come so far
    is_more = not batch.is_canary_done and batch.targets.left().exists()
    move(batch, BatchState.PAUSED if is_more else BatchState.FINISHED)


def patience_end(batch: Batch) -> None:
    """End the targets that still wait when nobody wants to wait any longer."""
    waits_for_hours = batch.only_in_hours and batch.keep_trying_until is None
    if not batch.is_patient and not waits_for_hours:
        waiting_end(batch)


def units_reopen(batch: Batch) -> None:
    """Open again what a worker closed for the stage before, when somebody had the batch go on just then."""
    todo = batch.targets.left().in_stage(batch).order_by().values("pbx_id")
    batch.units.filter(is_open=False, pbx_id__in=todo).update(is_open=True)


def outcomes_follow() -> int:
    """Follow changes whose outcome became another by reading again. Return how many targets that was.

    Also those that a dead process was sending when their batch was stopped or halted: nobody else takes them up.
    """
    count, since = 0, timezone.now() - FOLLOWED
    open_ones = (Change.Status.UNKNOWN, Change.Status.NOT_AS_ASKED)
    idle = Q(batch__state=BatchState.HALTED) | Q(batch__state=BatchState.STOPPED, batch__finished_at__gte=since)
    cut_off = BatchTarget.objects.filter(idle).left().exclude(change_id=None)
    recent = BatchTarget.objects.filter(outcome__in=open_ones, finished_at__gte=since)
    followed = [*recent, *cut_off]
    changes = Change.objects.exclude(status__in=NOTHING_SENT).in_bulk({target.change_id for target in followed})
    for target in followed:
        change = changes.get(target.change_id or 0)
        if change and change.status not in (target.outcome, Change.Status.SENDING):
            ended = {"outcome": change.status, "sentence": change.sentence}
            at = target.finished_at or change.finished_at
            BatchTarget.objects.filter(pk=target.pk).update(**ended, finished_at=at)
            count += 1
    return count


def stopped_settle() -> None:
    """End what still waits in batches that were stopped while it was in hand."""
    stopped = Batch.objects.filter(state=BatchState.STOPPED, finished_at__gte=timezone.now() - FOLLOWED)
    for batch in stopped.filter(Exists(BatchTarget.objects.filter(batch=OuterRef("pk"), outcome=WAITING))):
        waiting_end(batch)


def batches_kick() -> int:
    """Kick every batch that has work, settle what is done, expire what nobody started. Return how many were kicked."""
    batches_expire()
    outcomes_follow()
    stopped_settle()
    due = [batch for batch in Batch.objects.filter(state__in=AT_WORK) if batch_settle(batch)]
    for batch in due:
        kick_once(batch_work, batch.pk)
    return len(due)
