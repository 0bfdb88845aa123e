"""One month of a customer, to be printed: what was changed and proven, what moved outside, what was accepted, health.

Each table is bounded and says how many rows it leaves out; the lists have them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, IntegerField, Q, QuerySet, Sum, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from ivr.models import Change, OutsideChange, OutsideState
from ivr.outside_rows import OutsideRow, outside_rows
from ivr.selectors import ChangeFilter, OutsideFilter
from pbxadmin.access.models import Customer, User
from pbxadmin.fleet.availability import TallyFigures
from pbxadmin.fleet.contacts import Tally
from pbxadmin.fleet.models import ContactFailure, ContactHour, ContactSample, Pbx
from pbxadmin.policies.models import PolicyException, Violation
from pbxadmin.policies.selectors import ViolationRow, violation_rows
from pbxadmin.review.periods import month
from pbxadmin.web.times import AS_UTC, times_as
from pbxadmin.web.words import OUTCOMES, Look

from .counts import counts_of

MOST_REPORTED = 200  # of each table: what one prints
MOST_PBXS = 50  # in the table of health: the hours of each are added up
MONTHS_TO_CHOOSE = 24


@dataclass(frozen=True)
class ReportMonth:
    """A month, UTC. It ends with the month or now."""

    first: date

    @property
    def last(self) -> date:
        return month(self.first)[1]

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Return its first moment, and the first one after it."""
        after = self.last + timedelta(days=1)
        return datetime.combine(self.first, time.min, UTC), datetime.combine(after, time.min, UTC)

    @property
    def value(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def name(self) -> str:
        return f"{self.first:%B %Y}"

    @property
    def before(self) -> "ReportMonth":
        return ReportMonth((self.first - timedelta(days=1)).replace(day=1))


def month_chosen(text: str, today: date) -> ReportMonth:
    """Return the month of an address, such as 2026-11; the one that runs when it names none or one to come."""
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        first = today
    return ReportMonth(min(first, today).replace(day=1))


def months_to_choose(chosen: ReportMonth, today: date) -> list[ReportMonth]:
    """Return the months of two years, the newest first, and the chosen one if it is older."""
    months = [ReportMonth(today.replace(day=1))]
    while len(months) < MONTHS_TO_CHOOSE:
        months.append(months[-1].before)
    return months if chosen in months else [*months, chosen]


@dataclass(frozen=True)
class ReportTable:
    """A table of a report. query: of the list that has all of its rows."""

    rows: Sequence[Any]
    total: int
    query: str = ""

    @property
    def left_out(self) -> int:
        return self.total - len(self.rows)


@dataclass(frozen=True)
class MonthReport:
    """What a report says. outcomes, outside_states: names and counts, of what is not zero."""

    made_at: datetime
    changes: ReportTable
    outcomes: list[tuple[Look, int]]
    outside: ReportTable
    outside_states: list[tuple[str, int]]
    exceptions: ReportTable
    violations: ReportTable
    health: "ReportHealth"


def report_of(user: User, customer: Customer, of_month: ReportMonth) -> MonthReport:
    """Return the report of a customer, as far as this person sees it, in as many queries however much there is."""
    start, end = of_month.bounds
    days: dict[str, Any] = {"customer": customer.pk, "since": of_month.first, "until": of_month.last, "times": AS_UTC}
    with times_as(AS_UTC):
        changes = ChangeFilter(**days).narrow(Change.objects.visible_to(user))
        outside = OutsideFilter(**days).narrow(OutsideChange.objects.visible_to(user), None)
    exceptions = PolicyException.objects.visible_to(user).filter(customer_id=customer.pk, accepted_at__lt=end)
    exceptions = exceptions.filter(Q(ended_at=None) | Q(ended_at__gte=start))
    violations = Violation.objects.visible_to(user).still_open().filter(pbx__customer=customer)
    counted = counts_of(
        exceptions=exceptions,
        violations=violations,
        **{state: outside.filter(state=state) for state in OutsideState.values},
    )
    by_outcome = counts_of(**{outcome: changes.showing(outcome) for outcome in OUTCOMES})
    states = [(state.label, counted[state]) for state in OutsideState if counted[state]]
    return MonthReport(
        timezone.now(),
        ReportTable(changes_first(changes), sum(by_outcome.values()), ChangeFilter(**days).query),
        [(look, by_outcome[outcome]) for outcome, look in OUTCOMES.items() if by_outcome[outcome]],
        ReportTable(outside_first(user, outside), sum(count for _, count in states), OutsideFilter(**days).query),
        states,
        ReportTable(list(exceptions.order_by("pk")[:MOST_REPORTED]), counted["exceptions"]),
        ReportTable(violations_first(violations), counted["violations"]),
        health_of(customer, of_month),
    )


def changes_first(changes: QuerySet[Change]) -> list[Change]:
    """Return the changes of a report in the order of time; if they are too many, first those that are not verified."""
    is_verified = Case(When(status=Change.Status.VERIFIED, then=1), default=0)
    return sorted(changes.order_by(is_verified, "pk")[:MOST_REPORTED], key=lambda change: change.pk)


def outside_first(user: User, outside: QuerySet[OutsideChange]) -> list[OutsideRow]:
    """Return the outside changes in the order of time; if they are too many, first those that are open."""
    is_decided = Case(When(state=OutsideState.OPEN, then=0), default=1)
    first = sorted(outside.order_by(is_decided, "event_id")[:MOST_REPORTED], key=lambda row: row.event_id)
    return outside_rows(user, first)


def violations_first(violations: QuerySet[Violation]) -> list[ViolationRow]:
    ordered = violations.select_related("policy", "pbx").order_by("policy__title", "pbx__name", "number")
    return violation_rows(list(ordered[:MOST_REPORTED]))


# --- health ---


@dataclass(frozen=True)
class HealthLine(TallyFigures):
    """What one PBX did in the month; without a PBX, all together."""

    pbx: Pbx | None = None


@dataclass(frozen=True)
class ReportHealth:
    """The health of the PBXs of a customer. whole: of all, with the answer times of those in the table.

    kept_since: from when on contacts are still counted, when the month began before that.
    """

    table: ReportTable
    whole: HealthLine
    kept_since: datetime | None


def health_of(customer: Customer, of_month: ReportMonth) -> ReportHealth:
    """Return the health of a customer's PBXs in a month, those with most failures first."""
    start, end = of_month.bounds
    hours = ContactHour.objects.filter(pbx__customer=customer, hour__gte=start, hour__lt=end).order_by()
    tallies = tallies_without_times(hours)
    for sample in ContactSample.objects.filter(pbx__customer=customer, at__gte=start, at__lt=end):
        tallies.setdefault(sample.pbx_id, Tally()).add_sample(sample)
    worst = sorted(tallies, key=lambda pk: (-tallies[pk].failed, pk))[:MOST_PBXS]
    for pk, times in hours.filter(pbx__in=worst).values_list("pbx_id", "times"):
        tallies[pk].add(0, 0, {}, times)
    whole = Tally()
    for tally in tallies.values():
        whole.add_counts(tally)
    pbxs = Pbx.objects.in_bulk(worst)
    lines = [HealthLine(tallies[pk], pbxs[pk]) for pk in worst if pk in pbxs]
    kept_since = timezone.now() - timedelta(days=settings.HEALTH_DAYS)
    return ReportHealth(ReportTable(lines, len(tallies)), HealthLine(whole), kept_since if kept_since > start else None)


def tallies_without_times(hours: QuerySet[ContactHour]) -> dict[int, Tally]:
    """Add up the counts of each PBX in the database, where there may be many hours. Answer times stay out."""
    failed = [Sum(Cast(KT(f"failures__{kind}"), IntegerField())) for kind in ContactFailure.values]
    sums = {"sum_answered": Sum("answered"), **{f"failed_{place}": each for place, each in enumerate(failed)}}
    tallies = {}
    for pk, answered, *counts in hours.values_list("pbx_id").annotate(**sums):
        failures = {kind: count for kind, count in zip(ContactFailure.values, counts, strict=True) if count}
        tallies[pk] = Tally()
        tallies[pk].add(answered, 0, failures, {})
    return tallies
