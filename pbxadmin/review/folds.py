"""Folds the events of a change, that it is being sent and how it ended, into one line: most people read it as one."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.check import is_as_recorded
from pbxadmin.audit.models import Event

from .selectors import EventFilter, on_days


class Sent(NamedTuple):
    """The event before an outcome that said that the change is being sent."""

    pk: int
    at: datetime


class Folded(NamedTuple):
    """An event of a page, and for the outcome of a change when it was sent."""

    event: Event
    sent: Sent | None


def folded(events: Sequence[Event], wanted: EventFilter) -> list[Folded]:
    """Return the events of a page without those that a change is being sent, where the filter finds its end as well.

    The end may be on another page. An event that is not as it was recorded is never left out. It takes at most two
    queries, each of as many changes as the page has.
    """
    ends = ends_of({event.change_id for event in events if event.change_id})
    sendings = {sent.pk: end for end, sent in ends.items()}
    mine = {event.pk for event in events}
    elsewhere = [end for pk, end in sendings.items() if pk in mine and end not in mine]
    found = mine | (found_among(elsewhere, wanted) if elsewhere else set())
    hidden = {pk for pk, end in sendings.items() if end in found}
    shown = (event for event in events if event.pk not in hidden or not is_as_recorded(event))
    return [Folded(event, ends.get(event.pk)) for event in shown]


def ends_of(changes: set[int]) -> dict[int, Sent]:
    """Return for these changes the event of their first outcome, by its id, with that which sent them."""
    rows = Event.objects.filter(change_id__in=changes).order_by("pk").values_list("change_id", "pk", "action", "at")
    sent: dict[int | None, Sent] = {}
    ends: dict[int, Sent] = {}
    for change, pk, action, at in rows if changes else ():
        if action == EventAction.CHANGE_SENDING and at:
            sent[change] = Sent(pk, at)
        elif action in EventGroup.CHANGE_OUTCOME.actions and change in sent:
            ends[pk] = sent.pop(change)
    return ends


def found_among(ids: Sequence[int], wanted: EventFilter) -> set[int]:
    """Return which of these events the filter finds."""
    events = on_days(wanted.matching(Event.objects.filter(pk__in=ids)), wanted.first_day, wanted.until)
    return set(events.values_list("pk", flat=True))
