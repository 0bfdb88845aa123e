"""Verification of the chains: every event says what was recorded, in its place, and fits the checkpoints.

Rows are read as tuples and their stored text is hashed as it is. Faults are put into words only when something differs.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connection, transaction

from .checkpoints import CheckpointHead
from .log import DERIVED, INDEX, derived_digest, index_of, link
from .models import is_text

ROWS_AT_A_TIME = 2_000
PLACED = ("chain", "sequence", "previous_hash")
NAMES = (*PLACED, *sorted(name for name in INDEX if name not in ("at", *PLACED, *DERIVED)))
# The database writes times as the text does, so that none is parsed to compare them. SQLite omits zero microseconds.
AT_AS_TEXT = {
    "sqlite": "replace(at, ' ', 'T') || '+00:00'",
    "postgresql": """to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')""",
}
columns_in_text = itemgetter("at", *NAMES)
decode = json.JSONDecoder().raw_decode
Stored = tuple[Any, ...]  # id, hash, text, DERIVED, time and NAMES
AT_PLACE = 3 + len(DERIVED)
CHAIN_PLACE, SEQUENCE_PLACE, PREVIOUS_PLACE = range(AT_PLACE + 1, AT_PLACE + 4)


@dataclass(frozen=True)
class ChainFault:
    """One fault at one place of a chain. event_id: None when no event is there.

    is_against_checkpoint: the chain by itself is good, but not the one that a checkpoint was made of.
    """

    chain: str
    sequence: int
    event_id: int | None
    problem: str
    is_against_checkpoint: bool = False

    def __str__(self) -> str:
        where = f"event {self.event_id}" if self.event_id else "no event"
        return f"{self.chain} {self.sequence} ({where}): {self.problem}"


@dataclass
class Report:
    """The result of a verification. chains: the number of events found in each chain.

    accepted: where the log differs from a checkpoint, and somebody accepted that with a reason.
    """

    chains: dict[str, int] = field(default_factory=dict)
    faults: list[ChainFault] = field(default_factory=list)
    accepted: list[ChainFault] = field(default_factory=list)

    @property
    def events(self) -> int:
        return sum(self.chains.values())


class EventRow(NamedTuple):
    """An event as the database stores it. columns: its time and NAMES, in the order of `columns_in_text`."""

    id: int
    hash: str
    text: str
    derived: tuple[str, ...]
    columns: tuple[Any, ...]

    @classmethod
    def of(cls, stored: Stored) -> "EventRow":
        return cls(stored[0], stored[1], stored[2], stored[3:AT_PLACE], stored[AT_PLACE:])

    @property
    def chain(self) -> Any:
        return self.columns[1]

    @property
    def sequence(self) -> Any:
        return self.columns[2]

    @property
    def previous_hash(self) -> Any:
        return self.columns[3]


HeadsByNumber = Mapping[int, Sequence[CheckpointHead]]
HeadsByChain = Mapping[str, HeadsByNumber]


def verify(chain: str = "", known: HeadsByChain | None = None) -> Report:
    """Verify every chain, or this one, from its first event, by stored text and hashes. Continue after a fault.

    known: heads in checkpoints, which are kept outside the database (checkpoints.heads_by_chain).
    """
    known = known or {}
    report = Report()
    for name, rows in groupby(stored_rows(chain), itemgetter(CHAIN_PLACE)):
        walk = Walk(report, name, known.get(name, {}))
        walk.along(rows)
        walk.end()
    for name in sorted(known.keys() - report.chains.keys()):
        if chain in ("", name):
            Walk(report, name, known[name]).end()
    return report


def stored_rows(chain: str) -> Iterator[Stored]:
    """Yield id, hash, text, DERIVED, time and NAMES of each event, chain by chain."""
    columns = ", ".join(["id", "hash", "text", *DERIVED, AT_AS_TEXT[connection.vendor], *NAMES])
    is_postgresql = connection.vendor == "postgresql"
    # A transaction lets PostgreSQL hand out rows as they are asked for; on SQLite it would keep writers out.
    with transaction.atomic() if is_postgresql else nullcontext(), connection.chunked_cursor() as cursor:
        only, values = ("WHERE chain = %s", [chain]) if chain else ("", [])
        cursor.execute(f"SELECT {columns} FROM audit_event {only} ORDER BY chain, sequence", values)  # noqa: S608
        while rows := cursor.fetchmany(ROWS_AT_A_TIME):
            yield from rows


class Walk:
    """The verification of one chain. `id`, `hash` and `sequence` belong to the event before the current one."""

    def __init__(self, report: Report, chain: str, known: HeadsByNumber) -> None:
        self.report = report
        self.chain = chain
        self.known = known
        self.count = self.id = self.sequence = 0
        self.hash = ""
        self.unlike: list[tuple[CheckpointHead, int]] = []

    def along(self, rows: Iterable[Stored]) -> None:
        """Verify rows in order. Nearly all are good, which one expression proves; a row that raises is not good.

        Only local names and as few calls as possible: this loop is most of the time of millions of events.
        """
        before_id, before_hash, number, known = 0, "", 0, self.known
        for row in rows:
            event_id, digest, text = row[:3]
            number += 1
            try:
                data, end = decode(text)
                is_good = (
                    row[SEQUENCE_PLACE] == number
                    and row[PREVIOUS_PLACE] == before_hash
                    and event_id > before_id
                    and link(before_hash, text) == digest
                    and columns_in_text(data) == row[AT_PLACE:]
                    and derived_digest(row[3:AT_PLACE]) == data["index"]
                    and end == len(text)
                )
            except (ValueError, TypeError, KeyError, RecursionError):
                is_good = False
            if not is_good:
                self.id, self.hash, self.sequence = before_id, before_hash, number - 1
                self.report.faults.extend(self.faults_of(EventRow.of(row)))
                number = row[SEQUENCE_PLACE] if isinstance(row[SEQUENCE_PLACE], int) else number
            if number in known:
                self.unlike += [(head, event_id) for head in known[number] if head.hash != digest]
            before_id, before_hash = event_id, digest
            self.count += 1
        self.sequence = number

    def faults_of(self, row: EventRow) -> Iterator[ChainFault]:
        expected = self.sequence + 1
        if not isinstance(row.sequence, int):  # SQLite keeps whatever it is given
            yield ChainFault(self.chain, expected, row.id, "changed: its number in the chain is none")
            return
        if row.sequence > expected:
            others = "" if row.sequence == expected + 1 else f", as are all up to {row.sequence - 1}"
            yield ChainFault(self.chain, expected, None, f"missing{others}")
        for problem in self.problems_of(row):
            yield ChainFault(self.chain, row.sequence, row.id, problem)

    def problems_of(self, row: EventRow) -> Iterator[str]:
        if link(row.previous_hash, row.text) != row.hash:
            yield "changed: its text does not give its hash"
            return  # what such a text says of its place and columns means nothing
        if row.sequence == self.sequence + 1 and row.previous_hash != self.hash:
            yield "wrong link: not to the event before it"
        if row.id <= self.id:
            yield "reordered: its id is not above that of the event before it"
        yield from index_problems(row)

    def end(self) -> None:
        """Report the length of the chain, and every checkpoint that its events do not fit."""
        if self.count:
            self.report.chains[self.chain] = self.count
        heads = [head for heads in self.known.values() for head in heads]
        self.compare(heads, self.report.faults, is_accepted=False)
        self.compare(heads, self.report.accepted, is_accepted=True)

    def compare(self, heads: Iterable[CheckpointHead], found: list[ChainFault], *, is_accepted: bool) -> None:
        """Add one fault for all events that checkpoints know otherwise, and one for all that are gone."""
        unlike = [(head, event_id) for head, event_id in self.unlike if head.is_accepted is is_accepted]
        if unlike:
            head, event_id = unlike[0]
            more = f", nor are {len(unlike) - 1} that later checkpoints hold" if len(unlike) > 1 else ""
            problem = f"not the event that {head.where} holds{more}"
            found.append(ChainFault(self.chain, head.sequence, event_id, problem, is_against_checkpoint=True))
        gone = [head for head in heads if head.is_accepted is is_accepted and head.sequence > self.sequence]
        if gone:
            last = max(gone, key=lambda head: head.sequence)
            others = f", as are all up to {last.sequence}" if last.sequence > self.sequence + 1 else ""
            problem = f"missing{others}: cut off since {last.where}"
            found.append(ChainFault(self.chain, self.sequence + 1, None, problem, is_against_checkpoint=True))


def index_problems(row: EventRow) -> Iterator[str]:
    """Yield what is wrong with the columns: they are used to find events, so a false one hides an event."""
    try:
        data = json.loads(row.text)
        expected = index_of(data)
        data["index"]
    except (ValueError, TypeError, KeyError, RecursionError):
        yield "changed: its text is not one that the log writes"
        return
    if (data["chain"], data["sequence"]) != (row.chain, row.sequence):
        yield f"reordered: its text says that it is {data['chain']} {data['sequence']}"
    if expected["at"] != time_of(row.columns[0]):
        yield "changed: its column at does not say what its text says"
    if not all(map(is_text, row.derived)) or derived_digest(row.derived) != data["index"]:
        yield f"changed: its columns {' and '.join(DERIVED)} are not those that it was recorded with"
    for name, value in zip(NAMES, row.columns[1:], strict=True):
        if name not in ("chain", "sequence") and expected[name] != value:
            yield f"changed: its column {name} does not say what its text says"


def time_of(stored: str) -> datetime | None:
    try:
        return datetime.fromisoformat(stored)
    except (ValueError, TypeError):
        return None
