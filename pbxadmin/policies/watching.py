"""Holding IVRs against policies: those that a reading changed, in its transaction, and all when a policy changes.

Whoever stores violations has the records of their PBXs locked, as whoever stores snapshots does, so that both agree.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.dispatch import Signal
from django.utils import timezone

from ivr.models import Ivr
from ivr.open_outside_changes import IvrKey
from ivr.snapshots import lock_pbxs
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import SYSTEM, AuditContext, acting
from pbxadmin.audit.log import record
from pbxadmin.fleet.models import Pbx, PbxTag
from pbxadmin.web.times import utc_today
from pbxadmin.yeastar.fields import BY_NAME

from .models import Policy, PolicyException, Violation
from .rules import Breach, Demand, PbxScope, breaches_of, usual_values

VIOLATIONS_AT_ONCE = 500
PBXS_AT_ONCE = 100
# A reading that began before a policy was changed may be stored after all were held against it.
RECHECK_SOON, RECHECK_EVERY = timedelta(minutes=1), timedelta(minutes=15)
SCOPE_FIELDS = frozenset({"customer", "tags"})  # of a PBX record, by which policies are narrowed
# Sent in the transaction that stores them. opened: violations that are new, or of another value, and not accepted;
# reopened: exceptions that ended although the value still breaks their policy.
violations_changed = Signal()


def snapshots_watch(
    *, rows: Sequence[Ivr], gone: Sequence[Ivr], known: Mapping[int, Mapping[str, Ivr]], read_at: datetime, **_: Any
) -> None:
    """Hold what a reading changed against the policies on the fields that moved."""
    held = {key_of(row): row for row in rows}
    before = Before(
        {key_of(row): old for row in rows if (old := known.get(row.pbx_id, {}).get(row.number))},
        {pbx_id: max(old.read_at for old in known[pbx_id].values()) for pbx_id, _ in held if known.get(pbx_id)},
    )
    policies = [each for each in Policy.objects.all() if gone or any(before.has_moved(row, each.field) for row in rows)]
    if policies:
        hold_against(policies, held, {*held, *map(key_of, gone)}, before)


@dataclass(frozen=True)
class Before:
    """What the reading before this one held: the IVRs, and when each PBX was read."""

    ivrs: Mapping[IvrKey, Ivr] = field(default_factory=dict)
    read_at: Mapping[int, datetime] = field(default_factory=dict)

    def has_moved(self, row: Ivr, name: str) -> bool:
        """Tell whether a field of an IVR held something else, or nobody knows what."""
        old = self.ivrs.get(key_of(row))
        return old is None or getattr(old, name) != getattr(row, name)

    def otherwise_at(self, breach: Breach, name: str) -> datetime | None:
        """Return when a field of an IVR held something else than what breaks a policy; None when nobody knows."""
        old = self.ivrs.get((breach.pbx_id, breach.number))
        if old is None:
            return self.read_at.get(breach.pbx_id)
        return old.read_at if getattr(old, name) != breach.value else None


NOTHING_BEFORE = Before()


def key_of(ivr: Ivr) -> IvrKey:
    return ivr.pbx_id, ivr.number


def hold_against(
    policies: Sequence[Policy], held: Mapping[IvrKey, Ivr], keys: Collection[IvrKey], before: Before
) -> None:
    """Store which of these IVRs break which of these policies, and end the exceptions whose value moved.

    held: IVRs as they are; a key without one is of an IVR that is gone.
    """
    found = {breach.key: breach for breach in breaches_in(policies, held)}
    with acting(AuditContext(actor=SYSTEM)):  # not the person whose page led to the reading
        accepted, reopened = exceptions_hold(exceptions_of(policies, keys), held, found)
    stored, fields = {row.key: row for row in violations_of(policies, keys)}, {each.pk: each.field for each in policies}
    wanted = []
    for key, breach in found.items():
        window = before.otherwise_at(breach, fields[breach.policy_id]), held[breach.pbx_id, breach.number].read_at
        wanted.append(violation_of(breach, window, stored.get(key), accepted.get(key)))
    changed = [row for row in wanted if is_other(row, stored.get(row.key))]
    Violation.objects.filter(pk__in=[row.pk for key, row in stored.items() if key not in found]).delete()
    Violation.objects.bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["policy", "pbx", "number"],
        update_fields=["value", "since", "until", "exception"],
        batch_size=VIOLATIONS_AT_ONCE,
    )
    opened = [row for row in changed if row.exception_id is None]
    if opened or reopened:
        violations_changed.send(Violation, opened=opened, reopened=reopened)


def breaches_in(policies: Sequence[Policy], held: Mapping[IvrKey, Ivr]) -> Iterable[Breach]:
    """Yield the breaches of these IVRs."""
    demands = [policy.demand for policy in policies]
    names = fields_of(demands)
    rows = ((*key, *(getattr(ivr, name) for name in names)) for key, ivr in held.items())
    return breaches_of(demands, scopes_of({pbx_id for pbx_id, _ in held}, demands), rows, names)


def fields_of(demands: Iterable[Demand]) -> list[str]:
    return sorted({each.field for each in demands})


def scopes_of(pbx_ids: Collection[int] | None, demands: Iterable[Demand]) -> dict[int, PbxScope]:
    """Return what decides which policies hold for these PBXs; None for all. Tags are read where a policy has one."""
    asked = {each.tag for each in demands if each.tag}
    pbxs, tags = Pbx.objects.order_by(), PbxTag.objects.filter(name__in=asked).order_by()
    if pbx_ids is not None:
        pbxs, tags = pbxs.filter(pk__in=pbx_ids), tags.filter(pbx_id__in=pbx_ids)
    by_pbx: dict[int, set[str]] = {}
    for pbx_id, name in tags.values_list("pbx_id", "name"):
        by_pbx.setdefault(pbx_id, set()).add(name)
    none: frozenset[str] = frozenset()
    return {
        pk: PbxScope(customer_id, frozenset(by_pbx[pk]) if pk in by_pbx else none)
        for pk, customer_id in pbxs.values_list("pk", "customer_id")
    }


def violations_of(policies: Sequence[Policy], keys: Collection[IvrKey]) -> list[Violation]:
    """Return what is stored of these IVRs."""
    pbx_ids, numbers = {pbx_id for pbx_id, _ in keys}, {number for _, number in keys}
    rows = Violation.objects.filter(policy__in=policies, pbx_id__in=pbx_ids, number__in=numbers).order_by()
    return [row for row in rows if (row.pbx_id, row.number) in keys]


def violation_of(
    breach: Breach,
    window: tuple[datetime | None, datetime],
    stored: Violation | None,
    exception: PolicyException | None,
) -> Violation:
    """Return the row of a breach, not saved yet. One that is stored with this value keeps its times."""
    row = Violation(policy_id=breach.policy_id, pbx_id=breach.pbx_id, number=breach.number, value=breach.value)
    row.exception = exception
    if stored is not None and stored.value == breach.value:
        window = stored.since, stored.until
    row.since, row.until = window
    return row


def is_other(row: Violation, stored: Violation | None) -> bool:
    return stored is None or (stored.value, stored.exception_id) != (row.value, row.exception_id)


# --- exceptions ---


def exceptions_of(policies: Sequence[Policy], keys: Collection[IvrKey]) -> list[PolicyException]:
    """Return the exceptions of these IVRs that count now, in the order in which the log's chains are locked."""
    pbx_ids, numbers = {pbx_id for pbx_id, _ in keys}, {number for _, number in keys}
    current = PolicyException.objects.current().filter(policy__in=policies, pbx_id__in=pbx_ids, number__in=numbers)
    return [row for row in current.order_by("customer_id", "pk") if (row.pbx_id, row.number) in keys]


def exceptions_hold(
    exceptions: Iterable[PolicyException], held: Mapping[IvrKey, Ivr], found: Mapping[tuple[int, int, str], Breach]
) -> tuple[dict[tuple[int, int, str], PolicyException], list[PolicyException]]:
    """End the exceptions whose value moved. Return those that go on, by policy and IVR, and those reopened."""
    go_on, reopened = {}, []
    for each in exceptions:
        key = (each.policy_id or 0, each.pbx_id, each.number)
        why = why_over(each, held.get((each.pbx_id, each.number)))
        if not why:
            go_on[key] = each
            continue
        exception_end(each, why, is_reopened=key in found)
        if key in found:
            reopened.append(each)
    return go_on, reopened


def why_over(exception: PolicyException, ivr: Ivr | None) -> str:
    """Return why an exception does not hold any more, "" while it does. "Not reported" is no other value."""
    if ivr is None:
        return f"IVR {exception.number} is gone."
    now, of = getattr(ivr, exception.field), BY_NAME[exception.field]
    if now is None or now == exception.value:
        return ""
    return f"The value moved: {of.label} {of.in_words(exception.value)} → {of.in_words(now)}."


def exception_end(exception: PolicyException, why: str, *, is_reopened: bool) -> None:
    """End an exception, with the event that says why, in the caller's transaction."""
    ended = PolicyException.objects.current().filter(pk=exception.pk)
    if not ended.update(ended_at=timezone.now(), ended_why=why[:500]):
        return
    action = EventAction.VIOLATION_REOPENED if is_reopened else EventAction.EXCEPTION_ENDED
    exception_event(action, exception, detail={"sentence": why})


def exception_event(action: EventAction, exception: PolicyException, *, detail: Mapping[str, Any]) -> None:
    """Record an event of an exception in the chain of its customer."""
    record(
        action,
        customer=(exception.customer_id, exception.customer_name),
        pbx=(exception.pbx_id, exception.pbx_name),
        ivr=(exception.number, exception.name),
        fields={exception.field: {"found": exception.value}},
        detail={
            "policy": exception.policy_id,
            "title": exception.policy_title,
            "until": exception.ends_on.isoformat(),
            **detail,
        },
        reason=exception.reason,
    )


def exceptions_expire() -> int:
    """End the exceptions whose last day is over. Return how many."""
    over = PolicyException.objects.over(utc_today())
    return sum(exception_expire(each) for each in over.order_by("customer_id", "pk")[:VIOLATIONS_AT_ONCE])


@acting(AuditContext(actor=SYSTEM))
def exception_expire(exception: PolicyException) -> bool:
    with transaction.atomic():
        lock_pbxs([exception.pbx_id])
        accepted = Violation.objects.filter(exception=exception)
        is_reopened = accepted.exists()
        why = f"Its last day, {exception.ends_on:%Y-%m-%d}, is over."
        exception_end(exception, why, is_reopened=is_reopened)
        accepted.update(exception=None)
        if is_reopened:
            violations_changed.send(Violation, opened=[], reopened=[exception])
    return True


# --- all at once ---


def policies_recheck(policies: Sequence[Policy]) -> int:
    """Hold all IVRs against these policies. Return of how many PBXs the violations differed.

    First everything is read without a lock; only the PBXs that differ are locked, some at a time, and looked at again.
    """
    demands = [policy.demand for policy in policies]
    names = fields_of(demands)
    rows = Ivr.objects.filter(perhaps_broken(demands)).order_by().values_list("pbx_id", "number", *names)
    found: set[tuple[Any, ...]] = {*breaches_of(demands, scopes_of(None, demands), rows, names)}
    kept = Violation.objects.filter(policy__in=policies).order_by()
    stored: set[tuple[Any, ...]] = {*kept.values_list("policy_id", "pbx_id", "number", "value")}
    differing = sorted({pbx_id for _, pbx_id, *_ in found ^ stored})
    for start in range(0, len(differing), PBXS_AT_ONCE):
        pbxs_recheck(policies, differing[start : start + PBXS_AT_ONCE])
    return len(differing)


def perhaps_broken(demands: Iterable[Demand]) -> Q:
    """Return the condition that an IVR may break one of these: that it holds none of the values known to be right."""
    asked = {(each.field, usual_values(BY_NAME[each.field], each.comparison, each.value)) for each in demands}
    found = Q(pk__in=[])
    for name, values in sorted(asked):
        found |= Q(**{f"{name}__isnull": False}) & ~Q(**{f"{name}__in": values})
    return found


def pbxs_recheck(policies: Sequence[Policy], pbx_ids: Sequence[int]) -> None:
    """Hold all IVRs of these PBXs against these policies."""
    with transaction.atomic():
        there = lock_pbxs(pbx_ids)
        held = {key_of(ivr): ivr for ivr in Ivr.objects.filter(pbx_id__in=there).order_by()}
        stored = Violation.objects.filter(pbx_id__in=there, policy__in=policies).order_by()
        hold_against(policies, held, {*held, *stored.values_list("pbx_id", "number")}, NOTHING_BEFORE)


def pbx_watch(*, pbx: Pbx, names: Collection[str], **_: Any) -> None:
    """Hold a PBX against all policies when an edit of its record changed which of them ask something of it."""
    if not SCOPE_FIELDS.isdisjoint(names):
        pbxs_recheck(list(Policy.objects.all()), [pbx.pk])


def policies_recheck_due() -> int:
    """Hold all IVRs against the policies whose time has come. Return how many policies."""
    now = timezone.now()
    due = list(Policy.objects.filter(recheck_at__lte=now))
    if due:
        same = Policy.objects.filter(pk__in=[policy.pk for policy in due], recheck_at__lte=now)
        same.update(recheck_at=now + RECHECK_EVERY)
        policies_recheck(due)
    return len(due)
