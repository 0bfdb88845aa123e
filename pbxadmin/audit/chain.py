"""Walking the chains: does every event still say what was recorded, in its place?"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .models import Event

COLUMNS = ("id", "chain", "sequence", "previous_hash", "hash", "text")
INDEX = (
    *("at", "actor_id", "actor_name", "customer_id", "customer_name", "pbx_id", "pbx_name"),
    *("ivr_number", "ivr_name", "action", "outcome", "change_id"),
)


@dataclass(frozen=True)
class Fault:
    chain: str
    sequence: int
    event_id: int | None
    problem: str

    def __str__(self) -> str:
        where = f"event {self.event_id}" if self.event_id else "no event"
        return f"{self.chain} {self.sequence} ({where}): {self.problem}"


@dataclass
class Report:
    """What a walk found. `chains` holds the length of each chain as far as it is there."""

    chains: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def events(self) -> int:
        return sum(self.chains.values())


def verify() -> Report:
    """Walk every chain from its first event, by the stored text and hashes, and go on after a fault."""
    report = Report()
    chain, sequence, previous = "", 0, ""
    rows = Event.objects.order_by("chain", "sequence").values_list(*COLUMNS, *INDEX).iterator(2000)
    for event_id, its_chain, its_sequence, its_previous, its_hash, text, *index in rows:
        if its_chain != chain:
            chain, sequence, previous = its_chain, 0, ""
        for missing in range(sequence + 1, min(its_sequence, sequence + 11)):
            report.faults.append(Fault(chain, missing, None, "missing"))
        problems = problems_of(its_previous, its_hash, text, previous if its_sequence == sequence + 1 else None)
        problems = problems or list(index_problems(text, (its_chain, its_sequence), index))
        report.faults.extend(Fault(chain, its_sequence, event_id, problem) for problem in problems)
        sequence, previous = its_sequence, its_hash
        report.chains[chain] = report.chains.get(chain, 0) + 1
    return report


def problems_of(previous_hash: str, own_hash: str, text: str, expected_previous: str | None) -> list[str]:
    """expected_previous: None when the event before it is missing, which is said already."""
    if hashlib.sha256(f"{previous_hash}\n{text}".encode()).hexdigest() != own_hash:
        return ["changed: its text does not give its hash"]
    if expected_previous is not None and previous_hash != expected_previous:
        return ["not linked to the event before it: reordered, inserted or replaced"]
    return []


def index_problems(text: str, place: tuple[str, int], index: list[Any]) -> Iterator[str]:
    """Columns beside the text are used to find events, so one that says something else hides them."""
    data = json.loads(text)
    if (data["chain"], data["sequence"]) != place:
        yield "moved: its text names another place"
    for name, value in zip(INDEX, index, strict=True):
        said = datetime.fromisoformat(data[name]) if name == "at" else data[name]
        if value != said and not (
            isinstance(said, str) and isinstance(value, str) and said.startswith(value) and value
        ):
            yield f"changed: its column {name} does not say what its text says"
