"""The way into the outbox: what an event tells is written in the transaction of the event.

The log calls `event_note` for each event that it takes; `kinds.py` says what an event tells. So nobody who records
something needs to think of notices, and nothing is told of what was rolled back.
"""

from typing import Any

from pbxadmin.access.roles import Action
from pbxadmin.audit.models import Event

from .kinds import KIND_OF, NOTICE_KINDS, NoticeEffect, Telling
from .models import Condition, Notice

CONDITION_CHANGES = (
    *("kind", "severity", "customer_id", "customer_name", "of_log", "subject", "text", "path", "event_id"),
    *("changed_at", "told_at", "closed_at", "acknowledged_at", "acknowledged_by_id", "acknowledged_by_name"),
)


def event_note(event: Event, **_: Any) -> None:
    """Write what an event tells, if it tells anything. Called within its transaction, with its chain locked."""
    name = KIND_OF.get(event.action)
    if name is None:
        return
    kind = NOTICE_KINDS[name]
    telling = kind.tells(event, None)
    if telling is None:
        return
    held = held_notice(telling.condition) if kind.held else None
    if held:
        telling = kind.tells(event, held.was) or telling
    ended = condition_move(name, event, telling)
    if held:
        held_move(held, event, telling)
    elif not telling.is_silent and (telling.effect != NoticeEffect.ENDS or ended):
        Notice.objects.create(due_at=event.at + kind.held, **notice_columns(name, event, telling))


def held_notice(condition: str) -> Notice | None:
    """Return the notice about this that waits to be told, locked, so that it is not addressed meanwhile."""
    return Notice.objects.unaddressed().filter(condition=condition, repeats=False).select_for_update().first()


def held_move(held: Notice, event: Event, telling: Telling) -> None:
    """Let a notice that was held back tell of the newer event, or nothing, when all is as people know it."""
    bad = NOTICE_KINDS[held.kind].bad_states
    if telling.now == held.was or bad.isdisjoint({telling.now, held.was}):
        held.delete()
    else:
        Notice.objects.filter(pk=held.pk).update(**notice_columns(held.kind, event, telling))


def condition_move(kind: str, event: Event, telling: Telling) -> bool:
    """Open the condition that an event tells of, or end it. Return whether it was open and has ended."""
    if telling.effect == NoticeEffect.BEGINS:
        columns = told_columns(kind, event, telling) | {"changed_at": event.at, "told_at": event.at}
        of_log = NOTICE_KINDS[kind].right is Action.REVIEW_LOG
        Condition.objects.bulk_create(
            [Condition(key=telling.condition, of_log=of_log, **columns)],
            update_conflicts=True,
            unique_fields=["key"],
            update_fields=CONDITION_CHANGES,
        )
        return False
    open_one = Condition.objects.still_open().filter(key=telling.condition)
    return telling.effect == NoticeEffect.ENDS and open_one.update(closed_at=event.at) == 1


def notice_columns(kind: str, event: Event, telling: Telling) -> dict[str, Any]:
    moved = {"condition": telling.condition, "was": telling.was, "now": telling.now, "at": event.at}
    return told_columns(kind, event, telling) | moved


def told_columns(kind: str, event: Event, telling: Telling) -> dict[str, Any]:
    """Return the columns that a notice and its condition have in common."""
    return {
        "kind": kind,
        "severity": telling.severity,
        "customer_id": event.customer_id,
        "customer_name": event.customer_name,
        "subject": single_line(telling.subject),
        "text": telling.text,
        "path": telling.path[:500],
        "event_id": event.pk,
    }


def single_line(text: str) -> str:
    """Return a text for a line of its own, such as the subject of a mail: names on a PBX may hold anything."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:300]
