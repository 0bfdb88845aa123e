"""Figures of the log page: how many events a filter finds, by outcome and by day."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db.models import Min

from pbxadmin.access.models import AnyUser
from pbxadmin.access.permissions import customer_ids
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventGroup
from pbxadmin.web.words import OUTCOMES, Look

from .models import DayCount, DayCountQuerySet
from .rollup import not_rolled_up, rolled_up_to
from .selectors import EventFilter, events_for

EARLIEST = 500  # the event with the earliest time is among so many lowest ids
MOST_LIVE = 10_000  # events that are counted one by one while somebody waits
OUTSIDE, OTHER_EVENTS = "outside", "others"
# In the order of the line of figures, and of the plot from its bottom up.
SHOWN = ("verified", "refused", "not-sent", "not-as-asked", "unknown", "conflict")
GROUPS: dict[str, Look] = {
    **{outcome: OUTCOMES[outcome] for outcome in SHOWN},
    OUTSIDE: Look("Changed outside", "outside", "arrow-top-right-on-square"),
    OTHER_EVENTS: Look("Others", "rest", "ellipsis-horizontal-circle"),
}

Counts = Counter[tuple[date, str]]  # of a day and a group


@dataclass(frozen=True)
class Figures:
    """Counts of events. at_least: there are more than were counted; the newest were counted."""

    counts: Counts
    at_least: bool = False

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def by_group(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for (_, group), count in self.counts.items():
            found[group] += count
        return found

    @property
    def lines(self) -> list[tuple[Look, int]]:
        found = self.by_group
        return [(look, found[group]) for group, look in GROUPS.items() if found[group]]

    @property
    def days(self) -> tuple[date, date] | None:
        days = [day for day, _ in self.counts]
        return (min(days), max(days)) if days else None


def figures(user: AnyUser, wanted: EventFilter) -> Figures:
    """Count what the person may see of a filter: from the roll-up where possible, else by reading up to a limit."""
    return rolled_up(user, wanted) if wanted.is_rolled_up else count_live(user, wanted)


def rolled_up(user: AnyUser, wanted: EventFilter) -> Figures:
    """Add up the counts of the roll-up and of the events that came after it."""
    for _ in range(3):
        mark = rolled_up_to()
        counts = grouped(day_counts(user, wanted).in_groups())
        later = count_live(user, wanted, above=mark)
        if mark == rolled_up_to():
            break  # nothing was rolled up meanwhile, so nothing was counted twice or never
    return Figures(counts + later.counts, later.at_least)


def day_counts(user: AnyUser, wanted: EventFilter) -> DayCountQuerySet:
    ids = customer_ids(user, Action.REVIEW_LOG)
    if wanted.customer:
        only = frozenset({wanted.customer})
        ids = only if ids is None else ids & only
    found = DayCount.objects.for_customers(ids)
    if wanted.all_actions:
        found = found.filter(action__in=wanted.all_actions)
    if wanted.outcomes:
        found = found.filter(outcome__in=wanted.outcomes)
    if wanted.first_day:
        found = found.filter(day__gte=wanted.first_day)
    return found.filter(day__lte=wanted.until) if wanted.until else found


def count_live(user: AnyUser, wanted: EventFilter, *, above: int = 0) -> Figures:
    """Count the newest events above an id one by one. An event without a valid time belongs to no day."""
    events = wanted.narrow(events_for(user), above=above)
    rows = list(events.order_by("-pk").values_list("at", "action", "outcome")[: MOST_LIVE + 1])
    at_least = len(rows) > MOST_LIVE
    days = ((at.date(), action, outcome, 1) for at, action, outcome in rows[:MOST_LIVE] if at)
    return Figures(grouped(days), at_least)


def grouped(rows: Iterable[tuple[date, str, str, int]]) -> Counts:
    counts: Counts = Counter()
    for day, action, outcome, count in rows:
        counts[day, group_of(action, outcome)] += count
    return counts


def group_of(action: str, outcome: str) -> str:
    if action in EventGroup.OUTSIDE.actions:
        return OUTSIDE
    return outcome if outcome in SHOWN else OTHER_EVENTS


def kept_since(user: AnyUser) -> date | None:
    """Return the day of the first event that the person may see, or None."""
    counted = DayCount.objects.for_customers(customer_ids(user, Action.REVIEW_LOG))
    first = counted.aggregate(first=Min("day"))["first"]
    live = not_rolled_up(events_for(user)).order_by("pk").values_list("at", flat=True)[:EARLIEST]
    return min((day for day in (first, *(at.date() for at in live if at)) if day), default=None)
