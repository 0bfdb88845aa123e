"""What needs attention, the worst first, each with what mends it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ivr.addresses import ivr_address
from ivr.models import Change
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import Batch, BatchState
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.notices.models import Condition

# What somebody has to do by hand before anything works again comes before what may pass by itself.
WORST, BAD, SOON, AT_LEISURE = range(4)
STATE_SEVERITY = {PbxState.CREDENTIALS_REJECTED: WORST, PbxState.UNTRUSTED: WORST}
BATCH_SEVERITY = {BatchState.HALTED: WORST, BatchState.PAUSED: SOON}


@dataclass(frozen=True)
class Todo:
    """One row of what needs attention. kind: pbx, change, batch, outside, reopened or desk.

    it: the row of that kind, or how many there are. address: of the page on which an outside change is decided.
    condition: as it is told, for whoever may acknowledge it.
    """

    severity: int
    kind: str
    it: Any
    address: str = ""
    condition: Condition | None = None

    @property
    def condition_key(self) -> str:
        """Return the key under which people are told of it, "" for what is told otherwise or not."""
        return f"{self.kind}/{self.it.pk}" if self.kind in ("pbx", "change", "outside") else ""


def todos(
    *,
    pbxs: Iterable[Pbx] = (),
    changes: Iterable[Change] = (),
    batches: Iterable[Batch] = (),
    outside: Iterable[Event] = (),
    reopened: int = 0,
    on_desk: int = 0,
) -> list[Todo]:
    """Return the rows by severity; among equals in the order in which they are given here."""
    rows = [Todo(STATE_SEVERITY.get(PbxState(pbx.state), SOON), "pbx", pbx) for pbx in pbxs]
    rows += [Todo(BAD, "change", change) for change in changes]
    rows += [
        Todo(BATCH_SEVERITY[BatchState(batch.state)], "batch", batch)
        for batch in batches
        if batch.state in BATCH_SEVERITY
    ]
    rows += [Todo(SOON, "outside", event, ivr_of(event)) for event in outside]
    rows += [Todo(BAD, "reopened", reopened)] if reopened else []
    rows += [Todo(AT_LEISURE, "desk", on_desk)] if on_desk else []
    return sorted(rows, key=lambda row: row.severity)


def with_conditions(rows: Sequence[Todo], customers: Collection[int] | None) -> list[Todo]:
    """Return the rows with their conditions, of the customers of which the person may acknowledge them. None is all."""
    keys = [row.condition_key for row in rows if row.condition_key]
    found = Condition.objects.still_open().filter(key__in=keys)
    mine = {one.key: one for one in found if customers is None or one.customer_id in customers}
    return [replace(row, condition=mine.get(row.condition_key)) for row in rows]


def ivr_of(event: Event) -> str:
    """Return the address of the IVR that an event is about."""
    return ivr_address(event.pbx_id or 0, str(event.data["ivr_number"]))
