"""The roll-up of the log. Events never change, so each is counted once, in the order of ids, when it has settled."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import takewhile

from django.db import connection, transaction
from django.db.models import Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from pbxadmin.audit.models import Event, EventQuerySet, is_text

from .models import ALL_CUSTOMERS, NO_CUSTOMER, RolledUp

# A transaction may commit an event later than another that got a higher id; none stays open this long.
SETTLED = timedelta(minutes=15)
AHEAD = timedelta(days=30)  # no clock runs so far ahead; what says so was altered, and is not waited for
EVENTS_PER_STEP, MOST_STEPS = 2_000, 10

CountedRow = tuple[int, datetime, int | None, str, str]

ADD_COUNT = """
INSERT INTO review_daycount (day, customer_id, action, outcome, count) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (customer_id, day, action, outcome) DO UPDATE SET count = review_daycount.count + excluded.count
"""
# Ids only grow, so the first that was ever seen of a day is its lowest.
ADD_DAY = """
INSERT INTO review_day (day, first_id, last_id) VALUES (%s, %s, %s)
ON CONFLICT (day) DO UPDATE SET last_id = excluded.last_id
"""


def rolled_up_to() -> int:
    """Return the id of the last event that was counted; 0 for none."""
    return RolledUp.objects.values_list("up_to", flat=True).first() or 0


def not_rolled_up(events: EventQuerySet) -> EventQuerySet:
    return events.filter(pk__gt=Coalesce(Subquery(RolledUp.objects.values("up_to")[:1]), 0))


def roll_up(steps: int = MOST_STEPS) -> int:
    """Count the events that settled since the last time, in at most so many steps; return how many."""
    counted = 0
    for _ in range(steps):
        found = roll_up_step()
        counted += found
        if found < EVENTS_PER_STEP:
            break
    return counted


def roll_up_step() -> int:
    before = RolledUp.objects.get_or_create(pk=1)[0].up_to
    following = Event.objects.filter(pk__gt=before).order_by("pk")
    rows = settled(following.values_list("pk", "at", "customer_id", "action", "outcome")[:EVENTS_PER_STEP])
    if not rows:
        return 0
    with transaction.atomic():
        # Whoever moves the mark counts these events; another process finds it moved and counts none.
        if not RolledUp.objects.filter(pk=1, up_to=before).update(up_to=rows[-1][0]):
            return 0
        add_counts(rows)
    return len(rows)


def settled(rows: Iterable[CountedRow]) -> list[CountedRow]:
    """Return the rows before the first that is too young. A clock that ran a little ahead only delays the roll-up."""
    now = timezone.now()
    young, never = now - SETTLED, now + AHEAD
    return list(takewhile(lambda row: not row[1] or not young < row[1] < never, rows))


def is_countable(row: CountedRow) -> bool:
    """Return whether a row has values of the right types: somebody may have altered it so that it has not."""
    _, at, customer_id, *words = row
    return isinstance(at, datetime) and isinstance(customer_id, int | None) and all(map(is_text, words))


def add_counts(rows: Sequence[CountedRow]) -> None:
    counts: Counter[tuple[date, int, str, str]] = Counter()
    days: dict[date, tuple[int, int]] = {}
    for pk, at, customer_id, action, outcome in filter(is_countable, rows):
        counts[at.date(), customer_id or NO_CUSTOMER, action, outcome] += 1
        counts[at.date(), ALL_CUSTOMERS, action, outcome] += 1
        days[at.date()] = (days.get(at.date(), (pk, pk))[0], pk)
    with connection.cursor() as cursor:
        cursor.executemany(ADD_COUNT, [(str(key[0]), *key[1:], count) for key, count in sorted(counts.items())])
        cursor.executemany(ADD_DAY, [(str(day), *ids) for day, ids in sorted(days.items())])
