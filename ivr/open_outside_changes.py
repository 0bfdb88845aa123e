"""Open outside changes: nobody has accepted them, nothing has overridden them, and the IVR still is what they left.

The one rule, and the rows that keep what it says: judged whenever an IVR of theirs got another snapshot or outcome.
"""

from collections.abc import Collection, Iterable

from django.db.models import Q
from django.utils import timezone

from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.models import Event

from .models import LEFT_SOMETHING, Ivr, OutsideChange, OutsideState

PRESENCE = "presence"  # stands for a field: whether the PBX has the IVR at all
CAME_OR_WENT = (EventAction.IVR_APPEARED, EventAction.IVR_VANISHED)
IvrKey = tuple[int, str]  # id of its PBX, and its number


def outside_note(event: Event) -> OutsideChange:
    """Keep what an event tells of as an open outside change, in the transaction of the event."""
    return OutsideChange.objects.create(
        event_id=event.pk,
        at=event.at,
        customer_id=event.customer_id or 0,
        pbx_id=event.pbx_id or 0,
        number=event.ivr_number,
        action=event.action,
        field_names=event.field_names,
    )


def outside_judge(keys: Collection[IvrKey]) -> None:
    """Judge the outside changes of these IVRs again, as they may have been overridden, or hold again."""
    rows = list(OutsideChange.objects.of_keys(keys)) if keys else []
    if not rows:
        return
    events = Event.objects.in_bulk([row.event_id for row in rows])
    now, later = held_now(events.values()), moves_after(events.values())
    for row in sorted(rows, key=lambda row: row.event_id):
        event = events.get(row.event_id)
        if event is not None:
            row_judge(row, event, now, later[ivr_key(event)])


def row_judge(row: OutsideChange, event: Event, now: dict[IvrKey, Ivr], later: Iterable[Event]) -> None:
    """Store what became of one outside change, if that differs from what is stored."""
    mover = mover_of(event, later)
    if mover is not None:
        decide(row, OutsideState.RESTORED if puts_back(mover, event) else OutsideState.OVERRIDDEN, mover)
    elif (state := OutsideState.OPEN if still_holds(event, now) else OutsideState.OVERRIDDEN) != row.state:
        at = None if state == OutsideState.OPEN else timezone.now()
        OutsideChange.objects.filter(pk=row.pk, decided_by_id=None).update(state=state, decided_at=at)


def decide(row: OutsideChange, state: OutsideState, by: Event) -> None:
    """Close an outside change by an event, once."""
    open_row = OutsideChange.objects.filter(pk=row.pk, decided_by_id=None)
    open_row.update(state=state, decided_by_id=by.pk, decided_at=by.at)


def outside_close_accepted(event: Event, acceptance: Event) -> None:
    """Close an outside change by the event that accepts it, whatever else became of it."""
    columns = {"decided_by_id": acceptance.pk, "decided_at": acceptance.at}
    OutsideChange.objects.filter(pk=event.pk).update(state=OutsideState.ACCEPTED, **columns)


def overridden_of(events: Collection[Event]) -> set[int]:
    """Return the ids of the outside changes that do not stand any more.

    A later change or reading moved one of their fields, or the IVR holds something else. That an IVR came or went
    stands until it goes or comes.
    """
    now, later = held_now(events), moves_after(events)
    return {event.pk for event in events if not still_holds(event, now) or mover_of(event, later[ivr_key(event)])}


def mover_of(event: Event, later: Iterable[Event]) -> Event | None:
    """Return the first of these events, of the same IVR, that came after this one and moved what it tells of."""
    told = {PRESENCE} if event.action in CAME_OR_WENT else moved_by(event)
    movers = (each for each in later if each.pk > event.pk and told & moved_by(each))
    return min(movers, key=lambda each: each.pk, default=None)


def puts_back(mover: Event, event: Event) -> bool:
    """Tell whether a change of ours gave all fields of an outside change the values that they had before it."""
    if mover.action not in EventGroup.CHANGE_OUTCOME.actions or event.action in CAME_OR_WENT:
        return False
    found = {name: said.get("found") for name, said in mover.data["fields"].items()}
    return all(found.get(name) == said.get("before") for name, said in event.data["fields"].items())


def moved_by(event: Event) -> set[str]:
    """Return the fields that an event gave another value than they had."""
    names = {name for name, said in event.data["fields"].items() if said.get("before") != said.get("found")}
    return names | {PRESENCE} if event.action in CAME_OR_WENT else names


def ivr_key(event: Event) -> IvrKey:
    return event.pbx_id or 0, event.ivr_number


def moves_after(events: Collection[Event]) -> dict[IvrKey, list[Event]]:
    """Return the events since the first of these that may have moved something, by PBX and number of the IVR."""
    moves: dict[IvrKey, list[Event]] = {ivr_key(event): [] for event in events}
    since = min((event.pk for event in events), default=0)
    moved = Q(action__in=EventGroup.OUTSIDE.actions)
    moved |= Q(action__in=EventGroup.CHANGE_OUTCOME.actions, outcome__in=LEFT_SOMETHING)
    pbx_ids, numbers = {pbx_id for pbx_id, _ in moves}, {number for _, number in moves}
    for each in Event.objects.filter(moved, pbx_id__in=pbx_ids, ivr_number__in=numbers, pk__gt=since):
        moves.get(ivr_key(each), []).append(each)
    return moves


def held_now(events: Collection[Event]) -> dict[IvrKey, Ivr]:
    """Return the snapshots of the IVRs of these events, by PBX and number."""
    pbx_ids, numbers = {event.pbx_id or 0 for event in events}, {event.ivr_number for event in events}
    rows = Ivr.objects.filter(pbx_id__in=pbx_ids, number__in=numbers).order_by()
    return {(row.pbx_id, row.number): row for row in rows}


def still_holds(event: Event, now: dict[IvrKey, Ivr]) -> bool:
    """Tell whether the IVR still is what the outside change left, by its snapshot."""
    row = now.get((event.pbx_id or 0, event.ivr_number))
    if event.action == EventAction.IVR_VANISHED or row is None:
        return event.action == EventAction.IVR_VANISHED and row is None
    if event.action == EventAction.IVR_APPEARED:
        return True
    held = row.settings.values()
    return all(held.get(name) == said.get("found") for name, said in event.data["fields"].items())
