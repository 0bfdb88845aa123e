"""Walking the whole log, against a loop that only reads the same rows and hashes their bytes.

`--events` says how many there are; 100,000 by default.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from django.db import connection, transaction

from pbxadmin.audit.chain import verify

from .events import fill_events
from .figures import at_least, heading, in_turns, table

EVENTS = int(os.environ.get("BENCH_EVENTS", "100000"))
ROUNDS = 5 if EVENTS <= 200_000 else 2


def main() -> None:
    fill_events(EVENTS)
    heading(f"Verifying {EVENTS:,} events on {connection.vendor}, {ROUNDS} rounds; ms per 1,000 events")
    loop, texts = "read rows, hash their bytes", "read texts only, hash them"
    ways = {loop: read_and_hash("*"), texts: read_and_hash("text"), "audit_verify": walk}
    taken = in_turns(ways, ROUNDS)
    table(taken, loop, per=EVENTS // 1000)
    at_least("speed of audit_verify, x the loop over rows", min(taken[loop]) / min(taken["audit_verify"]), 0.4)
    print(f"the same, x the loop over texts: {min(taken[texts]) / min(taken['audit_verify']):.2f}")


def walk() -> None:
    report = verify()
    if report.faults or report.events != EVENTS:
        raise RuntimeError(f"{report.events} events, {report.faults[:3]}")


def read_and_hash(columns: str) -> Any:
    def loop() -> None:
        place = -1
        for row in rows(f"SELECT {columns} FROM audit_event ORDER BY chain, sequence"):  # noqa: S608
            if place < 0:
                place = max(range(len(row)), key=lambda n: len(str(row[n])))  # the text is the longest
            hashlib.sha256(row[place].encode()).hexdigest()

    return loop


def rows(query: str) -> Iterator[tuple[Any, ...]]:
    is_postgresql = connection.vendor == "postgresql"
    with transaction.atomic() if is_postgresql else nullcontext(), connection.chunked_cursor() as cursor:
        cursor.execute(query)
        while found := cursor.fetchmany(2_000):
            yield from found
