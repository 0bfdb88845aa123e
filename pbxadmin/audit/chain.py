"""Walking the chains: does every event still say what was recorded, in its place?"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from .log import index_of, link
from .models import Event


@dataclass(frozen=True)
class Fault:
    """What is wrong at one place of a chain. event_id: None when nothing is there."""

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


def verify(chain: str = "") -> Report:
    """Walk every chain, or this one, from its first event by the stored text and hashes, and go on after a fault."""
    report = Report()
    before = Event()
    walked = Event.objects.filter(chain=chain) if chain else Event.objects.all()
    for event in walked.order_by("chain", "sequence").iterator(2000):
        if event.chain != before.chain:
            before = Event(id=0, chain=event.chain, sequence=0)  # what the first event of a chain comes after
        report.faults.extend(faults_of(event, before))
        report.chains[event.chain] = report.chains.get(event.chain, 0) + 1
        before = event
    return report


def faults_of(event: Event, before: Event) -> Iterator[Fault]:
    expected = before.sequence + 1
    if event.sequence > expected:
        others = "" if event.sequence == expected + 1 else f", as are all up to {event.sequence - 1}"
        yield Fault(event.chain, expected, None, f"missing{others}")
    for problem in problems_of(event, before):
        yield Fault(event.chain, event.sequence, event.pk, problem)


def problems_of(event: Event, before: Event) -> Iterator[str]:
    if link(event.previous_hash, event.text) != event.hash:
        yield "changed: its text does not give its hash"
        return  # what such a text says of its place and columns means nothing
    if event.sequence == before.sequence + 1 and event.previous_hash != before.hash:
        yield "wrong link: not to the event before it"
    if event.pk <= before.pk:
        yield "reordered: its id is not above that of the event before it"
    yield from index_problems(event)


def index_problems(event: Event) -> Iterator[str]:
    """Columns beside the text are used to find events, so one that says something else hides them."""
    try:
        said = index_of(event.data)
    except (ValueError, TypeError, KeyError, RecursionError):
        yield "changed: its text is not one that the log writes"
        return
    if (said.pop("chain"), said.pop("sequence")) != (event.chain, event.sequence):
        yield f"reordered: its text says that it is {event.data['chain']} {event.data['sequence']}"
    for name, value in said.items():
        if getattr(event, name) != value:
            yield f"changed: its column {name} does not say what its text says"
