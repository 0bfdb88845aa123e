"""Filters of the log page, as they stand in the URL, and the events that they find."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from functools import cached_property, reduce
from itertools import chain
from operator import and_, or_
from typing import Any

from django.db.models import Max, Min, Q, Sum, Value
from django.db.models.functions import Length, StrIndex
from django.db.models.lookups import GreaterThan, LessThanOrEqual
from django.utils import timezone

from pbxadmin.access.models import AnyUser
from pbxadmin.access.permissions import customer_ids
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import ACTION_LABELS, EventAction, EventGroup
from pbxadmin.audit.log import fold_before_accents
from pbxadmin.audit.models import MAX_ID, Event, EventQuerySet
from pbxadmin.fleet.record_fields import IMPORT_COLUMNS
from pbxadmin.folding import MOST_TERMS, Term, fold_text, terms_of
from pbxadmin.search import holding
from pbxadmin.web.filters import (
    FilterValues,
    last,
    number_parameter,
    parameter,
    text_parameter,
    times_parameter,
    typed_text,
    whole,
)
from pbxadmin.web.times import AS_UTC
from pbxadmin.web.words import OUTCOMES
from pbxadmin.yeastar.fields import BY_NAME

from .models import Day, DayCount
from .rollup import not_rolled_up
from .sections import SECTIONS_OF_LOG
from .wording import label_of

SEARCH_DAYS = 90  # how far back is looked for what only reading finds, unless the period says otherwise
FIELD_LABELS = {name: label_of(name) for name in (*BY_NAME, *IMPORT_COLUMNS, "serial")}
OUTCOME_LABELS = {name: look.label for name, look in OUTCOMES.items() if name != "planned"}


def events_for(user: AnyUser) -> EventQuerySet:
    """Return the events that this person may review; of the installation only with the right for all customers."""
    return Event.objects.for_customers(customer_ids(user, Action.REVIEW_LOG))


def read_outcomes(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({typed_text(outcome)[:20] for outcome in given} - {""}))


@dataclass(frozen=True)
class EventFilter(FilterValues):
    """The filter of the log. `since` and `until` are whole days, UTC, both included.

    times: the zone in which times are shown: "utc", or "" for the person's own. It leaves nothing out.
    """

    q: str = text_parameter()
    customer: int | None = number_parameter()
    pbx: int | None = number_parameter()
    ivr: str = text_parameter()
    actor: str = text_parameter()
    actions: tuple[str, ...] = parameter((), lambda given: tuple(one for one in EventAction if one in given), "action")
    sections: tuple[str, ...] = parameter(
        (), lambda given: tuple(one for one in SECTIONS_OF_LOG if one in given), "group"
    )
    outcomes: tuple[str, ...] = parameter((), read_outcomes, "outcome")
    field: str = parameter("", lambda given: last(given) if last(given) in FIELD_LABELS else "")
    ticket: str = text_parameter()
    batch: int | None = number_parameter()
    since: date | None = parameter(None, lambda given: day(last(given)), "from")
    until: date | None = parameter(None, lambda given: day(last(given)), "to")
    times: str = times_parameter()

    @property
    def actor_id(self) -> int | None:
        return whole(self.actor)

    @property
    def is_search(self) -> bool:
        """Return whether the filter asks for something that no index finds, so that events have to be read."""
        by_name = self.actor and self.actor_id is None
        return bool(self.q or self.field or by_name or (self.ivr and self.pbx is None))

    @property
    def all_actions(self) -> tuple[str, ...]:
        """Return the actions that are asked for, one by one or by their sections; none for any."""
        of_sections = (SECTIONS_OF_LOG[name].actions for name in self.sections)
        return tuple(dict.fromkeys(chain(self.actions, *of_sections)))

    @property
    def is_narrow(self) -> bool:
        return bool(replace(self, times="").query)

    @property
    def in_other_zone(self) -> str:
        """Return the query of the same events with times in the other zone: UTC instead of the own one, or back."""
        return replace(self, times="" if self.times else AS_UTC).query

    @cached_property
    def first_day(self) -> date | None:
        """Return the first day of events that are shown; a search looks back SEARCH_DAYS unless it names a day."""
        if self.since or not self.is_search:
            return self.since
        last = min(self.until or date.max, timezone.now().date())
        return date.fromordinal(max(last.toordinal() - SEARCH_DAYS, 1))

    @property
    def is_rolled_up(self) -> bool:
        """Return whether the roll-up can count the events of this filter."""
        return not (self.is_search or self.pbx or self.ivr or self.actor or self.ticket or self.batch)

    def narrow(self, events: EventQuerySet, above: int = 0, below: int = MAX_ID) -> EventQuerySet:
        """above, below: ids between which the events are."""
        return within_period(self.matching(events), self.first_day, self.until, above, below)

    def matching(self, events: EventQuerySet) -> EventQuerySet:
        """Apply everything but the period."""
        exact: dict[str, Any] = {
            "customer_id": self.customer,
            "pbx_id": self.pbx,
            "ivr_number": self.ivr,
            "actor_id": self.actor_id,
            "ticket": self.ticket,
            "batch_id": self.batch,
        }
        events = events.filter(**{column: value for column, value in exact.items() if value})
        for column, values in (("action", self.all_actions), ("outcome", self.outcomes)):
            if values:  # equal to the only one: an index gives that in order, and a choice of one it may not
                one_or_many = {column: values[0]} if len(values) == 1 else {f"{column}__in": values}
                events = events.filter(**one_or_many)
        if self.actor and self.actor_id is None:
            events = events.filter(actor_holds(self.actor))
        if self.field:
            events = events.filter(field_names__contains=f" {self.field} ")
        return events.filter(event_holds(self.q)) if self.q else events

    def chips(self, names: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return each narrowing in words, with the query without it. names: of "customer", "pbx", "actor"."""
        said: list[tuple[str, dict[str, Any]]] = [
            (f"“{self.q}”" if self.q else "", {"q": ""}),
            (f"Customer {names.get('customer') or self.customer}" if self.customer else "", {"customer": None}),
            (f"PBX {names.get('pbx') or self.pbx}" if self.pbx else "", {"pbx": None}),
            (f"IVR {self.ivr}" if self.ivr else "", {"ivr": ""}),
            (f"Person {names.get('actor') or self.actor}" if self.actor else "", {"actor": ""}),
            *((SECTIONS_OF_LOG[one].label, {"sections": without(self.sections, one)}) for one in self.sections),
            *((ACTION_LABELS[one], {"actions": without(self.actions, one)}) for one in self.actions),
            *((OUTCOME_LABELS.get(one, one), {"outcomes": without(self.outcomes, one)}) for one in self.outcomes),
            (f"Field {FIELD_LABELS[self.field]}" if self.field else "", {"field": ""}),
            (f"Ticket {self.ticket}" if self.ticket else "", {"ticket": ""}),
            (f"From {self.since}" if self.since else "", {"since": None}),
            (f"To {self.until}" if self.until else "", {"until": None}),
        ]
        return [(words, replace(self, **changed).query) for words, changed in said if words]


def event_holds(typed: str) -> Q:
    """Return the condition that an event holds each typed word, as events are folded now or as those of 0.1 are."""
    before = dict.fromkeys(fold_before_accents(typed).split())
    ways: Iterable[Sequence[Term]] = dict.fromkeys((tuple(terms_of(typed)), tuple((word,) for word in before)))
    return reduce(or_, map(each_held, ways))


def each_held(terms: Sequence[Term]) -> Q:
    return reduce(and_, (holding(term, "contains") for term in terms[:MOST_TERMS]), Q())


def actor_holds(typed: str) -> Q:
    """Return the condition that the name of an event's actor, with which its words begin, holds a text."""
    spellings = dict.fromkeys((fold_text(typed), fold_before_accents(typed)))
    return reduce(or_, map(actor_holds_folded, filter(None, spellings)))


def actor_holds_folded(spelling: str) -> Q:
    place = StrIndex("words", Value(spelling))
    return Q(GreaterThan(place, 0)) & Q(LessThanOrEqual(place, Length("actor_name")))


def names_of(wanted: EventFilter, newest: Event | None, customers: Iterable[tuple[int, str]]) -> dict[str, str]:
    """Return the names of what a filter gives by its id, as the newest event that it finds has them.

    customers: ids and names of those that the person may review.
    """
    said = newest.data if newest else {}
    names = {"pbx": said.get("pbx_name", ""), "actor": said.get("actor_name", "") if wanted.actor_id else ""}
    return names | {"customer": dict(customers).get(wanted.customer or 0, "")}


def within_period(
    events: EventQuerySet, since: date | None, until: date | None, above: int = 0, below: int = MAX_ID
) -> EventQuerySet:
    """Filter to a period, both days included, and between two ids.

    The query also bounds the ids of the period, because the log is in the order of ids and SQLite then uses the index
    in this order. Each bound stands only once: of two, SQLite uses the first, and reads everything between them.
    """
    if since or until:
        first, last = ids_within(since, until)
        above, below = max(above, (first or MAX_ID) - 1), min(below, (last or 0) + 1)
    return on_days(events.filter(pk__gt=above, pk__lt=below), since, until)


def on_days(events: EventQuerySet, since: date | None, until: date | None) -> EventQuerySet:
    events = events.filter(at__gte=start_of(since)) if since else events
    return events.filter(at__lte=end_of(until)) if until else events


def ids_within(since: date | None, until: date | None) -> tuple[int | None, int | None]:
    """Return the lowest and highest id of a period: of rolled-up days, and of events after the roll-up."""
    first, last = Day.objects.within(since, until).ids()
    later = on_days(not_rolled_up(Event.objects.all()), since, until)
    found = later.aggregate(first=Min("pk"), last=Max("pk"))
    return first or found["first"], found["last"] or last


def outcome_totals() -> dict[str, int]:
    """Return how many outcomes of changes the log holds, by outcome: counted days, and the events since."""
    actions = EventGroup.CHANGE_OUTCOME.actions
    counted = DayCount.objects.for_customers(None).filter(action__in=actions).order_by()
    totals = Counter(dict(counted.values_list("outcome").annotate(Sum("count"))))
    later = not_rolled_up(Event.objects.all()).filter(action__in=actions)
    totals.update(later.values_list("outcome", flat=True))
    return dict(totals)


def start_of(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def end_of(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)


def without(values: tuple[str, ...], one: str) -> tuple[str, ...]:
    return tuple(value for value in values if value != one)


def day(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value or "")
    except ValueError:
        return None
