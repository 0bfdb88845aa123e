"""Use cases of batches: plan one, and move it from state to state. Each transition is one conditional UPDATE.

The event of a transition is recorded in the chain of each customer of the batch, with the counts of that customer.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from ivr.changes.opening import may_change
from ivr.field_rules import risks_of
from ivr.models import Change
from pbxadmin.access.models import AnyUser, Customer
from pbxadmin.access.permissions import can, customer_ids
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record

from .models import (
    NOT_BEGUN,
    NOT_VERIFIED_OUTCOMES,
    OVER,
    REACHED_FROM,
    UNSTARTED_LIFE,
    WAITING,
    Batch,
    BatchState,
    BatchTarget,
    BatchUnit,
    Origin,
    TargetClass,
    customers_in,
)

MOST_TARGETS = 10_000
TYPED_CUSTOMERS = 10  # a risk on more customers has to be typed
EVENT_OF: dict[BatchState, EventAction] = {
    BatchState.RUNNING: EventAction.BATCH_CONTINUED,
    BatchState.PAUSED: EventAction.BATCH_PAUSED,
    BatchState.HALTED: EventAction.BATCH_HALTED,
    BatchState.STOPPED: EventAction.BATCH_STOPPED,
    BatchState.FINISHED: EventAction.BATCH_FINISHED,
}


@dataclass(frozen=True)
class Chosen:
    """An IVR that a person chose for a batch, in columns of its target.

    asked: its values by field. left: what a restore must still find.
    """

    customer_id: int
    customer_name: str
    pbx_id: int
    pbx_name: str
    number: str
    name: str
    asked: Mapping[str, str]
    left: Mapping[str, str]

    @property
    def line(self) -> str:
        return f"{self.pbx_id}/{self.number}"


@dataclass(frozen=True)
class Pace:
    """How a batch goes about it, as a person chose, in columns of the batch.

    keep_trying_until: a time in UTC, None for never.
    """

    canary: int = 3
    pbxs_at_once: int = 8
    halt_after: int = 3
    keep_trying_until: Any = None
    only_in_hours: bool = False


class RisksNotConfirmed(Exception):
    """The batch brings risks that nobody confirmed as asked for. Nothing was started. str(): for a person."""


def batch_plan(
    *,
    chosen: Sequence[Chosen],
    wanted: Mapping[str, str],
    pace: Pace,
    actor: Actor,
    reason: str = "",
    ticket: str = "",
    query: str = "",
    origin: Origin = Origin.VALUES,
    made_from: Batch | None = None,
) -> Batch:
    """Store a batch with its frozen targets; its preview starts. Nothing is sent."""
    lines = "\n".join(sorted(each.line for each in chosen))
    with transaction.atomic():
        batch = Batch.objects.create(
            origin=origin,
            made_from_id=made_from.pk if made_from else None,
            query=query[:2000],
            digest=hashlib.sha256(lines.encode()).hexdigest(),
            size=len(chosen),
            wanted=dict(wanted),
            reason=reason,
            ticket=ticket,
            **asdict(pace),
            planned_by_id=actor.id or 0,
            planned_by_name=actor.name,
        )
        BatchTarget.objects.bulk_create(
            (BatchTarget(batch=batch, place=place, **asdict(each)) for place, each in enumerate(chosen)),
            batch_size=500,
        )
        pbx_ids = dict.fromkeys(each.pbx_id for each in chosen)
        BatchUnit.objects.bulk_create((BatchUnit(batch=batch, pbx_id=pk) for pk in pbx_ids), batch_size=500)
        batch_event(batch, EventAction.BATCH_PLANNED, detail={"digest": batch.digest})
    return batch


def move(batch: Batch, to: BatchState, detail: Mapping[str, Any] | None = None, **columns: Any) -> bool:
    """Move a batch to a state, with its event. False when it is in no state from which that can be reached."""
    with transaction.atomic():
        here = Batch.objects.filter(pk=batch.pk, state__in=REACHED_FROM[to])
        if to in OVER:
            columns |= {"finished_at": timezone.now()}
        if not here.update(state=to, **columns):
            return False
        batch.refresh_from_db()
        action = EVENT_OF.get(to)
        if action:
            batch_event(batch, action, detail=detail)
    return True


def batch_event(
    batch: Batch, action: EventAction, *, detail: Mapping[str, Any] | None = None, reason: str = ""
) -> None:
    """Record an event of a batch for each of its customers, in the order in which the log's chains are locked."""
    counts = counts_by_customer(batch)
    customers = Customer.objects.in_bulk(list(counts))
    for customer_id in sorted(counts):
        name = customers[customer_id].name if customer_id in customers else ""
        record(
            action,
            customer=(customer_id, name),
            batch_id=batch.pk,
            detail={"targets": counts[customer_id], "customers": len(counts), **(detail or {})},
            reason=reason or batch.reason,
            ticket=batch.ticket,
        )


def counts_by_customer(batch: Batch) -> dict[int, dict[str, int]]:
    """Return how many targets of each customer have which outcome, or which class while they have none."""
    rows = batch.targets.order_by().values_list("customer_id", "klass", "outcome").annotate(count=Count("pk"))
    found: dict[int, dict[str, int]] = {}
    for customer_id, klass, outcome, count in rows:
        of_customer = found.setdefault(customer_id, {})
        key = outcome or klass or "chosen"
        of_customer[key] = of_customer.get(key, 0) + count
    return found


# --- what a person does ---


def batch_start(*, batch: Batch, actor: Actor, confirmed: bool, typed: str = "") -> bool:
    """Start the canary stage of a batch that is ready. An old preview is made again first. False when nothing started.

    Raises RisksNotConfirmed when its risks were not confirmed, or not typed where they have to be.
    """
    if batch.state != BatchState.READY:
        return False
    if batch.is_preview_old:
        return preview_again(batch)
    risks = risks_in(batch)
    if risks and (not confirmed or (must_be_typed(batch, risks) and typed.strip() != str(len(risks)))):
        raise RisksNotConfirmed("Confirm the risks first. Nothing was sent.")
    by = {"started_by_id": actor.id, "started_by_name": actor.name, "started_at": timezone.now()}
    with transaction.atomic():
        columns = {**by, "resumed_at": by["started_at"], "confirmed": sorted({name for *_, name in risks})}
        if not Batch.objects.filter(pk=batch.pk, state=BatchState.READY).update(state=BatchState.RUNNING, **columns):
            return False
        batch.refresh_from_db()
        units_open(batch)
        batch_event(batch, EventAction.BATCH_STARTED, detail={"canary": batch.canary, "confirmed": batch.confirmed})
    return True


def preview_again(batch: Batch) -> bool:
    """Make the preview of a batch again."""
    with transaction.atomic():
        if not move(batch, BatchState.PREVIEWING, previewed_at=None):
            return False
        batch.targets.update(klass="", why="", is_canary=False, wanted={}, base={})
        batch.units.update(is_open=True, not_before=None, claimed_until=None, tries=0)
    return False


def batch_continue(*, batch: Batch, reason: str = "") -> bool:
    """Go on after the canary, or in spite of a halt, which takes a reason. False when it is neither."""
    was_halted = batch.state == BatchState.HALTED
    if was_halted and not reason.strip():
        return False
    columns: dict[str, Any] = {"resumed_at": timezone.now(), "why": ""}
    if batch.state == BatchState.PAUSED:
        columns["is_canary_done"] = True
    with transaction.atomic():
        here = Batch.objects.filter(pk=batch.pk, state__in=(BatchState.PAUSED, BatchState.HALTED))
        if not here.update(state=BatchState.RUNNING, **columns):
            return False
        batch.refresh_from_db()
        batch.targets.filter(outcome__in=NOT_VERIFIED_OUTCOMES).update(is_past=True)
        units_open(batch)
        detail = {"in_spite_of_halt": was_halted}
        batch_event(batch, EventAction.BATCH_CONTINUED, detail=detail, reason=reason.strip()[:500])
    return True


def batch_stop(*, batch: Batch, actor: Actor) -> int | None:
    """Stop a batch before its next send. Return how many targets are in flight, None when it was over already."""
    in_flight = units_in_hand(batch)
    why = f"{actor.name} stopped it."
    with transaction.atomic():
        if not move(batch, BatchState.STOPPED, detail={"in_flight": in_flight}, why=why):
            return None
        waiting_end(batch)
    return in_flight


def waiting_end(batch: Batch) -> None:
    """End the targets that wait when they are not tried again, but for those that are in hand or were sent."""
    now = timezone.now()
    in_hand = batch.units.filter(claimed_until__gt=now).values("pbx_id")
    moved_on = Change.objects.filter(batch_id=batch.pk).exclude(
        status__in=(Change.Status.PLANNED, Change.Status.NOT_SENT)
    )
    waiting = batch.targets.filter(outcome=WAITING).exclude(pbx_id__in=in_hand)
    waiting.exclude(change_id__in=moved_on.values("pk")).update(outcome=Change.Status.NOT_SENT, finished_at=now)


def batch_cancel(*, batch: Batch, actor: Actor, target_ids: Collection[int] | None = None) -> int:
    """End targets that wait for their PBX, these or all. Return how many. They do not count towards a halt.

    One that a worker is just trying keeps what becomes of that, and does not wait again.
    """
    waiting = batch.targets.filter(outcome=WAITING)
    if target_ids is not None:
        waiting = waiting.filter(pk__in=target_ids)
    with transaction.atomic():
        ids = list(waiting.select_for_update().order_by("pk").values_list("pk", flat=True))
        sentence = f"{actor.name} cancelled it while it waited. Nothing was sent."
        ended = {"outcome": Change.Status.NOT_SENT, "sentence": sentence, "finished_at": timezone.now()}
        count = waiting.filter(pk__in=ids).update(is_past=True, **ended)
        if count:
            batch_event(batch, EventAction.BATCH_CANCELLED, detail={"cancelled": count})
    return count


def units_in_hand(batch: Batch) -> int:
    """Return how many PBXs a worker has in hand for this batch now."""
    return batch.units.filter(claimed_until__gt=timezone.now()).count()


def units_open(batch: Batch) -> None:
    """Open the units of the PBXs that have something left in the stage of the batch."""
    todo = batch.targets.left().in_stage(batch).order_by().values("pbx_id")
    batch.units.update(is_open=False)
    batch.units.filter(pbx_id__in=todo).update(is_open=True)


def chosen_again(targets: Iterable[BatchTarget]) -> list[Chosen]:
    """Return the same targets for another batch with the same values."""
    return [
        Chosen(
            each.customer_id,
            each.customer_name,
            each.pbx_id,
            each.pbx_name,
            each.number,
            each.name,
            each.asked,
            each.left,
        )
        for each in targets
    ]


def batch_retry(*, batch: Batch, outcomes: Collection[str], actor: Actor) -> Batch | None:
    """Plan a batch of the targets that ended in these outcomes, with the same values. None when there are none.

    NOT_BEGUN among them takes what a batch that is over has not begun, TargetClass.NOT_REACHABLE what its preview could
    not read.
    """
    wanted = Q(outcome__in=[each for each in outcomes if each in NOT_VERIFIED_OUTCOMES])
    if batch.is_over:
        klass = {NOT_BEGUN: TargetClass.WOULD_CHANGE, TargetClass.NOT_REACHABLE: TargetClass.NOT_REACHABLE}
        wanted |= Q(outcome="", klass__in=[klass[each] for each in outcomes if each in klass])
    chosen = chosen_again(batch.targets.filter(wanted))
    return batch_made_from(batch, chosen, Origin.RETRY, actor) if chosen else None


def batch_restore(*, batch: Batch, actor: Actor) -> Batch | None:
    """Plan a batch that gives the verified targets their old values. None when there are none."""
    verified = batch.targets.filter(outcome=Change.Status.VERIFIED)
    changes = Change.objects.in_bulk([each.change_id for each in verified if each.change_id])
    chosen = []
    for each in verified:
        change = changes.get(each.change_id or 0)
        before: Mapping[str, Any] = (change.live or change.base) if change else {}
        asked = {name: before[name] for name in each.wanted if before.get(name) is not None}
        if asked:
            left = {name: each.wanted[name] for name in asked}
            row = each.customer_id, each.customer_name, each.pbx_id, each.pbx_name, each.number, each.name
            chosen.append(Chosen(*row, asked, left))
    return batch_made_from(batch, chosen, Origin.RESTORE, actor) if chosen else None


def batch_made_from(batch: Batch, chosen: Sequence[Chosen], origin: Origin, actor: Actor) -> Batch:
    return batch_plan(
        chosen=chosen,
        wanted=batch.wanted if origin is Origin.RETRY else {},
        pace=Pace(batch.canary, batch.pbxs_at_once, batch.halt_after),
        actor=actor,
        reason=batch.reason,
        ticket=batch.ticket,
        origin=origin,
        made_from=batch,
    )


# --- risks and rights ---


def risks_in(batch: Batch) -> list[tuple[int, int, str]]:
    """Return what a start would open to callers: target id, customer id and risk, one for each target that has any."""
    found = []
    for pk, customer_id, base, wanted in batch.targets.to_change().values_list("pk", "customer_id", "base", "wanted"):
        risks = risks_of(base, wanted)
        if risks:
            found.append((pk, customer_id, ", ".join(risks)))
    return found


def must_be_typed(batch: Batch, risks: Sequence[tuple[int, int, str]]) -> bool:
    """Tell whether so many IVRs are at risk that their number has to be typed."""
    from ivr.models import Ivr

    at_risk: dict[int, int] = {}
    for _, customer_id, _ in risks:
        at_risk[customer_id] = at_risk.get(customer_id, 0) + 1
    if len(at_risk) > TYPED_CUSTOMERS:
        return True
    all_of = Ivr.objects.filter(pbx__customer_id__in=at_risk).order_by()
    sizes = dict(all_of.values_list("pbx__customer_id").annotate(count=Count("pk")))
    return any(2 * count > sizes.get(customer_id, count) for customer_id, count in at_risk.items() if count > 1)


def may_run(user: AnyUser, batch: Batch) -> bool:
    """Return whether this user may start and stop a batch: whoever may change all its customers in batches."""
    ids = customer_ids(user, Action.BATCH)
    return ids is None or customers_in(batch) <= ids


def require_to_run(user: AnyUser, batch: Batch) -> None:
    """Raise PermissionDenied if the user may only see this batch, and record the attempt."""
    if not may_run(user, batch):
        record(EventAction.ACCESS_DENIED, batch_id=batch.pk, detail={"action": Action.BATCH})
        raise PermissionDenied


def why_denied(user: AnyUser, customer: Customer | None, fields: Iterable[str]) -> str:
    """Return why this user may not change these fields of a customer in a batch, as a sentence, "" when they may."""
    if customer is None or not user.is_active:
        return "Not allowed any more."
    if customer.archived_at:
        return f"{customer.name} is archived."
    if can(user, Action.BATCH, customer) and may_change(user, customer, fields):
        return ""
    return "The role for this customer does not allow it."


def batches_expire() -> int:
    """End previews that nobody started within a day. Return how many."""
    unstarted = Batch.objects.filter(
        state__in=REACHED_FROM[BatchState.EXPIRED], planned_at__lte=timezone.now() - UNSTARTED_LIFE
    )
    return sum(move(batch, BatchState.EXPIRED) for batch in unstarted)
