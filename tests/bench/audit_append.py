"""Appending to the log with eight processes at once, against appending the same events without a chain.

Unchained: everything but the lock and the look at the event before. Ready-made: not even JSON, hash and words, only the
statement with values that are there already, in a transaction of its own. On PostgreSQL run it with POSTGRES_FSYNC=on,
or commits cost nothing.
"""

import multiprocessing
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from django.db import connection, connections, transaction

from pbxadmin.audit import log
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import EVENT_COLUMNS, INSERT, record
from pbxadmin.audit.models import Event

from .figures import at_least, heading

WRITERS, SECONDS, ROUNDS = 8, 1.0, 8
CUSTOMERS = 100
READY = "ready-made rows"
FIELDS = {"response_timeout": {"before": "3", "asked": "6", "found": "6"}}
DETAIL = {"sentence": "Verified. Read back: all as asked.", "answer": {"status": "Success", "code": ""}}
Append = Callable[[int, int], object]  # number of the writer, number of its event


def main() -> None:
    heading(
        f"Appending with {WRITERS} processes on {connection.vendor}, {SECONDS} s each, {ROUNDS} rounds; events a second"
    )
    ways: dict[str, Append] = {
        READY: ready_made,
        "unchained": unchained,
        "chained, one chain": lambda writer, number: chained(1),
        f"chained, {CUSTOMERS} customers": lambda writer, number: chained((number * 37 + writer * 13) % CUSTOMERS + 1),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, append in ways.items():
            rates[name].append(rate(append))
    print(f"{'':<28}{'x best':>8}{'x median':>10}{'best':>9}{'median':>9}")
    for name, found in rates.items():
        ratios = f"{max(found) / max(rates[READY]):>8.2f}{median(found) / median(rates[READY]):>10.2f}"
        print(f"{name:<28}{ratios}{max(found):>9.0f}{median(found):>9.0f}")
    least = {"sqlite": 0.85, "postgresql": 0.4}[connection.vendor]
    bases = list(ways)[:2]
    for name in list(ways)[2:]:
        for base in bases:
            at_least(f"{name}, x {base} (best)", max(rates[name]) / max(rates[base]), least)


def rate(append: Append) -> float:
    """Events a second of all writers, from when the last of them is ready."""
    connections.close_all()
    forks = multiprocessing.get_context("fork")
    start, done = forks.Barrier(WRITERS), forks.Queue()
    writers = [forks.Process(target=write, args=(append, number, start, done)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    total = sum(done.get() for _ in writers)
    for writer in writers:
        writer.join()
    return total / SECONDS


def write(append: Append, writer: int, start: Any, done: Any) -> None:
    append(writer, 0)
    start.wait()
    until, written_so_far = time.perf_counter() + SECONDS, 0
    while time.perf_counter() < until:
        append(writer, written_so_far + 1)
        written_so_far += 1
    done.put(written_so_far)


def chained(customer: int) -> None:
    record(
        EventAction.CHANGE_OUTCOME,
        outcome="verified",
        customer=(customer, f"Customer_{customer:03}"),
        pbx=(customer, "Site-0001"),
        ivr=("6500", "Main_Menu"),
        change_id=1,
        fields=FIELDS,
        detail=DETAIL,
    )


made: dict[str, Any] = {}


def unchained(writer: int, number: int) -> None:
    """In this process for good, which ends with it."""
    log.locked_tail = lambda *of: (own_place(writer), "")
    chained(CUSTOMERS + 1 + writer)


def ready_made(writer: int, number: int) -> None:
    if not made:
        chained(1)
        event: Any = Event.objects.order_by("-id").values().first()
        event["at"] = connection.ops.adapt_datetimefield_value(event["at"])
        made.update(event)
    values = made | {"chain": f"bench:{writer}", "sequence": own_place(writer)}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(INSERT, [*map(values.get, EVENT_COLUMNS)])
        cursor.fetchone()


def own_place(writer: int) -> int:
    """A number that no other event of this chain has, without asking for one."""
    return time.time_ns() // 1000 * WRITERS + writer
