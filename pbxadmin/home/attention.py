"""What needs attention, the worst first, each with what mends it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ivr.addresses import ivr_address
from ivr.models import Change
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import Batch, BatchState
from pbxadmin.fleet.models import Pbx, PbxState

# What somebody has to do by hand before anything works again comes before what may pass by itself.
WORST, BAD, SOON, AT_LEISURE = range(4)
STATE_SEVERITY = {PbxState.CREDENTIALS_REJECTED: WORST, PbxState.UNTRUSTED: WORST}
BATCH_SEVERITY = {BatchState.HALTED: WORST, BatchState.PAUSED: SOON}


@dataclass(frozen=True)
class Todo:
    """One row of what needs attention. kind: pbx, change, batch, outside, reopened or desk.

    it: the row of that kind, or how many there are. address: of the page on which an outside change is decided.
    """

    severity: int
    kind: str
    it: Any
    address: str = ""


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


def ivr_of(event: Event) -> str:
    """Return the address of the IVR that an event is about."""
    return ivr_address(event.pbx_id or 0, str(event.data["ivr_number"]))
