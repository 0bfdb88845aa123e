"""Giving the log to a SIEM: by one process at a time, each chain from where it stopped, never in the way of the log.

A chain has no gaps and its events are committed in order, so a place in each chain says what was sent; ids may be
committed out of order and say nothing. What was given away and not written down yet, because the process died, is asked
of the way (ways.py) before anything is sent.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event as Flag
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, connections, transaction
from django.db.models import Q
from django.utils import timezone

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import MAX_ID, Event, EventSink, SinkPosition, is_text

from .lines import SentPlace
from .ways import SinkAddress, SinkError, SinkWay, sink_address, way_to

log = logging.getLogger(__name__)

LOOK_AT_LOG_S = 2.0
EVENTS_PER_BATCH = 200
TURN_S = 20.0
TURN_CLAIM_S = 60  # longer than a turn and a batch that the other side takes slowly
SHORT_PAUSE_S, LONG_PAUSE_S = 2, 300
TOLD_AFTER = timedelta(minutes=15)  # of nothing but failures: a server that is restarted is no news
# Each chain with where the sink is in it: the position, the last event, and the event that stands at the position. A
# chain is found by the index that keeps its numbers unique: one step for each chain, however long it is.
CHAINS = f"""
WITH RECURSIVE chains(chain) AS (
    SELECT min(chain) FROM audit_event
    UNION ALL
    SELECT (SELECT min(chain) FROM audit_event WHERE chain > chains.chain) FROM chains WHERE chains.chain IS NOT NULL
)
SELECT chains.chain, position.sequence, position.hash,
    (SELECT max(sequence) FROM audit_event WHERE chain = chains.chain AND sequence <= {MAX_ID}),
    (SELECT hash FROM audit_event WHERE chain = chains.chain AND sequence = position.sequence)
FROM chains LEFT JOIN audit_sinkposition position ON position.chain = chains.chain AND position.sink_id = %s
WHERE chains.chain IS NOT NULL
"""  # noqa: S608


class ChainBehind(NamedTuple):
    """A chain with events that the sink does not have: where it is, and the last number.

    is_another: what was sent is not in the log any more, so the chain is sent from its first event.
    """

    chain: str
    sequence: int
    last: int
    is_another: bool


@dataclass(frozen=True)
class SinkState:
    """How far a sink is. behind: events that it does not have. oldest_at: of the first of them."""

    sink: EventSink
    behind: int
    oldest_at: datetime | None


def chains_behind(sink_name: str) -> list[ChainBehind]:
    """Return the chains whose last event the sink does not have."""
    with connection.cursor() as cursor:
        cursor.execute(CHAINS, [sink_name])
        rows = [row for row in cursor.fetchall() if is_text(row[0]) and isinstance(row[3], int)]
    found = []
    for chain, sequence, sent_hash, last, hash_there in rows:
        is_another = bool(sequence) and sent_hash != hash_there
        if is_another or last > (sequence or 0):
            found.append(ChainBehind(chain, 0 if is_another else sequence or 0, last, is_another))
    return found


def sink_state() -> SinkState | None:
    """Return how far the sink of this installation is; None when EVENT_SINK names none."""
    address = sink_address()
    if address is None:
        return None
    sink = EventSink.objects.filter(name=address.name).first() or EventSink(name=address.name)
    behind = chains_behind(sink.name)
    first = Q(pk__in=[])
    for one in behind:
        first |= Q(chain=one.chain, sequence=one.sequence + 1)
    oldest = Event.objects.filter(first).order_by("at").values_list("at", flat=True).first()
    return SinkState(sink, sum(one.last - one.sequence for one in behind), oldest)


def sends(stopping: Flag) -> None:
    """Send events until told to stop. Without EVENT_SINK return at once."""
    address = sink_address()
    while address and not stopping.is_set():
        try:
            close_old_connections()
            sink_turn(address, stopping)
        except DatabaseError as error:
            log.error("event sink: no turn, the database says %s", error)
        except Exception:
            log.exception("event sink: no turn")
        stopping.wait(LOOK_AT_LOG_S)
    connections.close_all()


def sink_turn(address: SinkAddress, stopping: Flag) -> int:
    """Send what is new, unless another process sends or the sink failed a moment ago; return how many events."""
    if not chains_behind(address.name):
        return 0
    EventSink.objects.get_or_create(name=address.name)
    with turn_lock() as is_ours:
        if not is_ours or not sink_claim(address.name):
            return 0
        try:
            count = events_send(address.name, way_to(address), stopping)
        except (SinkError, OSError) as error:
            sink_failed(address.name, error)
            return 0
        sink_released(address.name)
    return count


@contextmanager
def turn_lock() -> Iterator[bool]:
    """Hold the lock of this machine, which ends with the process; give False when another process has it.

    A claim can run out while its process is held up. This cannot, so that two processes never write one file.
    """
    path = Path(settings.DATA_DIR) / "event-sink.lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def sink_claim(name: str) -> bool:
    """Claim the sink among all machines, unless it has to pause. It ends by itself when the process dies."""
    now = timezone.now()
    is_free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    is_due = Q(next_at=None) | Q(next_at__lte=now)
    until = now + timedelta(seconds=TURN_CLAIM_S)
    return EventSink.objects.filter(is_free, is_due, name=name).update(claimed_until=until) == 1


def events_send(name: str, way: SinkWay, stopping: Flag) -> int:
    """Send a batch of each chain in turn, until the sink has everything or the turn is over; return how many events."""
    give_up, count = time.monotonic() + TURN_S, 0
    reached_note(name, way.reached())
    while behind := chains_behind(name):
        took = 0
        for one in behind:
            took += chain_send(name, way, one)
            if stopping.is_set() or time.monotonic() > give_up:
                return count + took
        if not took:
            break
        count += took
    return count


def reached_note(name: str, place: SentPlace | None) -> None:
    """Write down how far a dead process came, when the log holds that event and the position is before it."""
    if place is None or Event.objects.hash_at(place.chain, place.sequence) != place.hash:
        return
    SinkPosition.objects.get_or_create(sink_id=name, chain=place.chain)
    before = SinkPosition.objects.filter(sink_id=name, chain=place.chain, sequence__lt=place.sequence)
    before.update(sequence=place.sequence, hash=place.hash)


def chain_send(name: str, way: SinkWay, behind: ChainBehind) -> int:
    """Send one batch of a chain and write down how far it is; return how many events."""
    position, _ = SinkPosition.objects.get_or_create(sink_id=name, chain=behind.chain)
    if behind.is_another:
        log.error("event sink: %s is not what was sent up to %s; it is sent anew", position.chain, position.sequence)
    following = Event.objects.filter(chain=behind.chain, sequence__gt=behind.sequence, sequence__lte=MAX_ID)
    events = [event for event in following.order_by("sequence")[:EVENTS_PER_BATCH] if event.sequence]
    if not events:
        return 0
    way.send(events)
    here = SinkPosition.objects.filter(pk=position.pk, sequence=position.sequence)
    here.update(sequence=events[-1].sequence, hash=events[-1].hash)
    return len(events)


def sink_released(name: str) -> None:
    """Write down that it works, and let others send."""
    sink = EventSink.objects.get(name=name)
    if sink.failures:
        log.warning("event sink: %s takes events again", name)
    works = {"failures": 0, "failing_since": None, "error": "", "told_at": None, "sent_at": timezone.now()}
    with transaction.atomic():
        EventSink.objects.filter(name=name).update(claimed_until=None, next_at=None, **works)
        if sink.told_at:
            record(EventAction.EVENT_SINK_WORKS, detail={"sink": name})


def sink_failed(name: str, error: Exception) -> None:
    """Write down why it does not take events, and let it pause: longer after each failure, for five minutes at most.

    When it has failed for a while, the log says so, once.
    """
    sink, now = EventSink.objects.get(name=name), timezone.now()
    why = (str(error) or type(error).__name__)[:300]
    if not sink.failures:
        log.error("event sink: %s does not take events: %s", name, why)
    pause = min(SHORT_PAUSE_S * 2 ** min(sink.failures, 10), LONG_PAUSE_S)
    since = sink.failing_since or now
    is_news = sink.told_at is None and since <= now - TOLD_AFTER
    columns = {"failures": sink.failures + 1, "failing_since": since, "error": why}
    if is_news:
        columns["told_at"] = now
    with transaction.atomic():
        due = now + timedelta(seconds=pause)
        EventSink.objects.filter(name=name).update(claimed_until=None, next_at=due, **columns)
        if is_news:
            record(EventAction.EVENT_SINK_FAILED, detail={"sink": name, "since": str(since), "sentence": why})
