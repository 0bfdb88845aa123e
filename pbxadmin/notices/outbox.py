"""The way into the outbox: what an event tells is written in the transaction of the event.

The log calls `event_note` for each event that it takes; `kinds.py` says what an event tells. So nobody who records
something needs to think of notices, and nothing is told of what was rolled back.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pbxadmin.access.roles import Action
from pbxadmin.audit.models import Event

from .kinds import KIND_OF, NOTICE_KINDS, NoticeEffect, NoticeKind, Telling
from .models import Condition, Notice

log = logging.getLogger(__name__)

Retold = Callable[[str], Telling | None]
CONDITION_CHANGES = (
    *("kind", "severity", "customer_id", "customer_name", "of_log", "subject", "text", "path", "event_id"),
    *("changed_at", "told_at", "closed_at", "acknowledged_at", "acknowledged_by_id", "acknowledged_by_name"),
)


@dataclass(frozen=True)
class NoticeSource:
    """Where a notice comes from: whose it is, and when and by which event it was found; 0 for none."""

    customer_id: int | None
    customer_name: str
    at: datetime
    event_id: int = 0


def event_note(event: Event, **_: Any) -> None:
    """Write what an event tells, if it tells anything. Called within its transaction, with its chain locked."""
    name = KIND_OF.get(event.action)
    if name is None:
        return
    kind = NOTICE_KINDS[name]
    telling = telling_of(kind, event, None)
    if telling is not None:
        source = NoticeSource(event.customer_id, event.customer_name, event.at, event.pk)
        telling_note(name, source, telling, lambda was: telling_of(kind, event, was))


def telling_of(kind: NoticeKind, event: Event, was: str | None) -> Telling | None:
    """Return what an event tells, or None. A fault of ours in the words of a notice keeps no event from the log."""
    try:
        return kind.tells(event, was)
    except Exception:
        log.exception("notices: event %s could not be told", event.pk)
        return None


def telling_note(name: str, source: NoticeSource, telling: Telling, retold: Retold | None = None) -> None:
    """Write a notice, move its condition, and let a notice that is held back about the same tell of this instead.

    retold: what is told, given the state that people know of.
    """
    wait = timedelta(0) if telling.effect is NoticeEffect.TELLS else NOTICE_KINDS[name].held
    held = held_notice(telling.condition) if wait else None
    if held and retold:
        telling = retold(held.was) or telling
    ended = condition_move(name, source, telling)
    if held:
        held_move(held, source, telling)
    elif not telling.is_silent and (telling.effect is not NoticeEffect.ENDS or ended):
        Notice.objects.create(due_at=source.at + wait, **notice_columns(name, source, telling))


def held_notice(condition: str) -> Notice | None:
    """Return the notice of how this is that waits to be told, locked, so that it is not addressed meanwhile."""
    waiting = Notice.objects.unaddressed().filter(condition=condition, repeats=False).exclude(now="")
    return waiting.select_for_update().first()


def held_move(held: Notice, source: NoticeSource, telling: Telling) -> None:
    """Let a notice that was held back tell of the newer event, or nothing, when all is as people know it."""
    bad = NOTICE_KINDS[held.kind].bad_states
    if telling.now == held.was or bad.isdisjoint({telling.now, held.was}):
        held.delete()
    else:
        Notice.objects.filter(pk=held.pk).update(**notice_columns(held.kind, source, telling))


def condition_move(kind: str, source: NoticeSource, telling: Telling) -> bool:
    """Open the condition that is told of, or end it. Return whether it was open and has ended."""
    if telling.effect == NoticeEffect.BEGINS:
        columns = told_columns(kind, source, telling) | {"changed_at": source.at, "told_at": source.at}
        of_log = NOTICE_KINDS[kind].right is Action.REVIEW_LOG
        Condition.objects.bulk_create(
            [Condition(key=telling.condition, of_log=of_log, **columns)],
            update_conflicts=True,
            unique_fields=["key"],
            update_fields=CONDITION_CHANGES,
        )
        return False
    open_one = Condition.objects.still_open().filter(key=telling.condition)
    return telling.effect == NoticeEffect.ENDS and open_one.update(closed_at=source.at) == 1


def notice_columns(kind: str, source: NoticeSource, telling: Telling) -> dict[str, Any]:
    moved = {"condition": telling.condition, "was": telling.was, "now": telling.now, "at": source.at}
    return told_columns(kind, source, telling) | moved


def told_columns(kind: str, source: NoticeSource, telling: Telling) -> dict[str, Any]:
    """Return the columns that a notice and its condition have in common."""
    return {
        "kind": kind,
        "severity": telling.severity,
        "customer_id": source.customer_id,
        "customer_name": source.customer_name,
        "subject": single_line(telling.subject),
        "text": telling.text,
        "path": telling.path[:500],
        "event_id": source.event_id,
    }


def single_line(text: str) -> str:
    """Return a text for a line of its own, such as the subject of a mail: names on a PBX may hold anything."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:300]
