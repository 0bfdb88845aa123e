"""Open outside changes: nobody has accepted them, nothing has overridden them, and the IVR still is what they left.

The one rule for Home, the desk and the pages of IVRs and events.
"""

from collections.abc import Collection, Iterable

from django.db.models import Q

from pbxadmin.access.models import AnyUser
from pbxadmin.access.permissions import customer_ids
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx

from .changes.restore import LEFT_SOMETHING
from .models import Ivr

MOST_OUTSIDE_EVENTS = 200  # events looked at, so that the cost of a page has a limit
PRESENCE = "presence"  # stands for a field: whether the PBX has the IVR at all
CAME_OR_WENT = (EventAction.IVR_APPEARED, EventAction.IVR_VANISHED)


def may_act_on(user: AnyUser) -> Collection[int] | None:
    """Return ids of customers whose outside changes this person may restore or accept; None means all."""
    edits, reviews = customer_ids(user, Action.EDIT_IVR), customer_ids(user, Action.REVIEW_LOG)
    return None if edits is None or reviews is None else edits | reviews


def open_outside_changes(user: AnyUser, since_id: int) -> list[Event]:
    """Return the outside changes of PBXs in use that this person may act on, the newest first.

    since_id: the first event to look at.
    """
    recent = Event.objects.for_customers(may_act_on(user)).filter(pk__gte=since_id)
    events = list(
        recent.filter(action__in=EventGroup.OUTSIDE.actions, pbx_id__gt=0).order_by("-id")[:MOST_OUTSIDE_EVENTS]
    )
    if not events:
        return []
    accepted = accepted_of(recent.filter(action=EventAction.IVR_OUTSIDE_ACCEPTED, pk__gt=events[-1].pk))
    pbx_ids = {event.pbx_id or 0 for event in events}
    in_use = set(Pbx.objects.visible_to(user).in_use().filter(pk__in=pbx_ids).values_list("pk", flat=True))
    overridden = overridden_of(events)
    return [
        event for event in events if event.pbx_id in in_use and event.pk not in accepted and event.pk not in overridden
    ]


def overridden_of(events: Collection[Event]) -> set[int]:
    """Return the ids of the outside changes that do not stand any more.

    A later change or reading moved one of their fields, or the IVR holds something else. That an IVR came or went
    stands until it goes or comes.
    """
    now, later = held_now(events), moves_after(events)
    return {event.pk for event in events if not still_holds(event, now) or is_moved(event, later[ivr_key(event)])}


def is_moved(event: Event, later: Iterable[Event]) -> bool:
    """Tell whether one of these events, of the same IVR, came after this one and moved what it tells of."""
    told = {PRESENCE} if event.action in CAME_OR_WENT else moved_by(event)
    return any(each.pk > event.pk and told & moved_by(each) for each in later)


def moved_by(event: Event) -> set[str]:
    """Return the fields that an event gave another value than they had."""
    names = {name for name, said in event.data["fields"].items() if said.get("before") != said.get("found")}
    return names | {PRESENCE} if event.action in CAME_OR_WENT else names


def accepted_of(acceptances: Iterable[Event]) -> set[object]:
    """Return the ids of the events that these acceptances accept."""
    return {each.data["detail"].get("event") for each in acceptances}


def ivr_key(event: Event) -> tuple[int, str]:
    return event.pbx_id or 0, event.ivr_number


def moves_after(events: Collection[Event]) -> dict[tuple[int, str], list[Event]]:
    """Return the events since the first of these that may have moved something, by PBX and number of the IVR."""
    moves: dict[tuple[int, str], list[Event]] = {ivr_key(event): [] for event in events}
    since = min((event.pk for event in events), default=0)
    moved = Q(action__in=EventGroup.OUTSIDE.actions)
    moved |= Q(action__in=EventGroup.CHANGE_OUTCOME.actions, outcome__in=LEFT_SOMETHING)
    pbx_ids, numbers = {pbx_id for pbx_id, _ in moves}, {number for _, number in moves}
    for each in Event.objects.filter(moved, pbx_id__in=pbx_ids, ivr_number__in=numbers, pk__gt=since):
        moves.get(ivr_key(each), []).append(each)
    return moves


def held_now(events: Collection[Event]) -> dict[tuple[int, str], Ivr]:
    """Return the snapshots of the IVRs of these events, by PBX and number."""
    pbx_ids, numbers = {event.pbx_id or 0 for event in events}, {event.ivr_number for event in events}
    rows = Ivr.objects.filter(pbx_id__in=pbx_ids, number__in=numbers).order_by()
    return {(row.pbx_id, row.number): row for row in rows}


def still_holds(event: Event, now: dict[tuple[int, str], Ivr]) -> bool:
    """Tell whether the IVR still is what the outside change left, by its snapshot."""
    row = now.get((event.pbx_id or 0, event.ivr_number))
    if event.action == EventAction.IVR_VANISHED or row is None:
        return event.action == EventAction.IVR_VANISHED and row is None
    if event.action == EventAction.IVR_APPEARED:
        return True
    held = row.settings.values()
    return all(held.get(name) == said.get("found") for name, said in event.data["fields"].items())
