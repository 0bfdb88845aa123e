"""What the pages of policies and Home show."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, F, Q
from django.urls import reverse
from django.utils import timezone

from ivr.models import Ivr, IvrQuerySet
from ivr.open_outside_changes import IvrKey
from ivr.outside import between_times
from pbxadmin.access.models import Customer, User
from pbxadmin.fleet.models import has_tag

from .models import DIAL_OUT, Policy, Violation, seen_by

NEW_FOR = timedelta(days=7)


@dataclass(frozen=True)
class PolicyRow:
    """A policy with how many IVRs break it, among those that a person sees."""

    policy: Policy
    open: int
    accepted: int


def policy_rows(user: User, policies: Sequence[Policy]) -> list[PolicyRow]:
    counts = Violation.objects.visible_to(user).filter(policy__in=policies).counts()
    return [PolicyRow(policy, *counts.get(policy.pk, (0, 0))) for policy in policies]


def ivrs_asked(user: User, policy: Policy) -> IvrQuerySet:
    """Return the IVRs on PBXs in use that a policy asks something of, among those that a person sees."""
    found = Ivr.objects.visible_to(user).filter(pbx__is_enabled=True, pbx__customer__archived_at=None)
    if policy.customer_id is not None:
        found = found.filter(pbx__customer_id=policy.customer_id)
    return found.filter(has_tag(policy.tag, "pbx__")) if policy.tag else found


@dataclass(frozen=True)
class AskedCounts:
    """Of how many IVRs a policy asks something, and how many of them do not report its field."""

    all: int
    not_reported: int


def asked_counts(user: User, policy: Policy) -> AskedCounts:
    silent = Q(**{f"{policy.field}__isnull": True})
    found = ivrs_asked(user, policy).order_by().aggregate(all=Count("pk"), silent=Count("pk", filter=silent))
    return AskedCounts(found["all"], found["silent"])


@dataclass(frozen=True)
class ViolationRow:
    """A violation as a list shows it. ivr: its snapshot, None when it was dropped just now."""

    violation: Violation
    ivr: Ivr | None

    @property
    def value(self) -> str:
        return self.violation.policy.of_field.in_words(self.violation.value)

    @property
    def when(self) -> str:
        """Say on which day and between which times it got its value, as far as readings tell."""
        since, until = self.violation.since, timezone.localtime(self.violation.until)
        if since is None:
            return f"before {until:%Y-%m-%d %H:%M %Z}"
        day = f"{until:%Y-%m-%d}, " if timezone.localdate(since) == until.date() else ""
        return f"{day}{between_times(since, until)}"


def violation_rows(violations: Sequence[Violation]) -> list[ViolationRow]:
    """Return these violations with their snapshots."""
    pbx_ids, numbers = {each.pbx_id for each in violations}, {each.number for each in violations}
    rows = Ivr.objects.filter(pbx_id__in=pbx_ids, number__in=numbers).order_by()
    ivrs: dict[IvrKey, Ivr] = {(row.pbx_id, row.number): row for row in rows}
    return [ViolationRow(each, ivrs.get((each.pbx_id, each.number))) for each in violations]


def ivrs_to_fix(user: User, policy: Policy, violations: "Sequence[int] | None" = None) -> list[int]:
    """Return ids of the IVRs that break a policy and that nobody accepted, of these violations or of all."""
    open_ones = Violation.objects.visible_to(user).still_open().filter(policy=policy)
    if violations is not None:
        open_ones = open_ones.filter(pk__in=violations)
    of_pbx = open_ones.filter(pbx__ivrs__number=F("number")).order_by("pbx__ivrs__pk")
    return list(of_pbx.values_list("pbx__ivrs__pk", flat=True))


@dataclass(frozen=True)
class DialOut:
    """What Home says of the policy that dial-out is off: how many IVRs break it newly, and how many were accepted."""

    policy_id: int
    open: int
    new: int
    accepted: int

    @property
    def address(self) -> str:
        return reverse("policies:policy-page", args=[self.policy_id])


def dial_out(user: User, customer: Customer | None) -> DialOut | None:
    """Return the figures of the policy that dial-out is off, or None when somebody deleted it.

    customer: None for all.
    """
    mine = seen_by(user, "violations__")
    if customer is not None:
        mine &= Q(violations__pbx__customer=customer)
    is_open = mine & Q(violations__exception=None)
    is_new = Q(violations__until__gte=timezone.now() - NEW_FOR) & Q(violations__since__isnull=False)
    counted = Policy.objects.filter(kind=DIAL_OUT).annotate(
        open=Count("violations", filter=is_open),
        new=Count("violations", filter=is_open & is_new),
        accepted=Count("violations", filter=mine & Q(violations__exception__isnull=False)),
    )
    row = counted.values_list("pk", "open", "new", "accepted").first()
    return DialOut(*row) if row else None
