"""Restoring many outside changes: a batch in which each target goes back to its own old values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ivr.changes.restore import Restoration, restoration_of
from ivr.models import OutsideChange
from pbxadmin.access.models import User
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.fields import BY_NAME

from .services import Chosen


@dataclass(frozen=True)
class Restorable:
    """What a batch would restore, and a sentence for each outside change that it cannot."""

    chosen: Sequence[Chosen]
    left_out: Sequence[str]

    @property
    def lines(self) -> list[tuple[Chosen, list[str]]]:
        """Return each target with the fields that go back, in words."""
        return [(each, [move_back(each, name) for name in each.asked]) for each in self.chosen]


def move_back(each: Chosen, name: str) -> str:
    """Say what a field goes back from, and to which value."""
    field = BY_NAME[name]
    return f"{field.label} {field.in_words(each.left[name])} → {field.in_words(each.asked[name])}"


def restorable(user: User, rows: Sequence[OutsideChange]) -> Restorable:
    """Return what a batch would restore of these outside changes. Several of one IVR make one target."""
    events = Event.objects.in_bulk([row.pk for row in rows])
    pbxs = Pbx.objects.visible_to(user).in_use().select_related("customer").in_bulk({row.pbx_id for row in rows})
    chosen: dict[str, Chosen] = {}
    left_out = []
    for row in sorted(rows, key=lambda row: row.pk):
        pbx, event = pbxs.get(row.pbx_id), events.get(row.pk)
        back = restoration_of(event, pbx.version) if pbx and event else None
        why = why_left_out(row, pbx, back)
        if why or not (pbx and event and back):
            left_out.append(f"{event.data['pbx_name'] if event else ''} {row.number}: {why}")
            continue
        one = chosen_to_restore(pbx, back, event.data["ivr_name"])
        chosen[one.line] = merged(chosen.get(one.line), one)
    return Restorable(list(chosen.values()), left_out)


def why_left_out(row: OutsideChange, pbx: Pbx | None, back: Restoration | None) -> str:
    """Return why a batch cannot restore an outside change, as a sentence, "" when it can."""
    if not row.is_open:
        return "it is decided already."
    if pbx is None:
        return "its PBX is not in use."
    if back is None:
        return "it left nothing that could be restored."
    return "its number changed. Restore it by itself." if "number" in back.wanted else ""


def chosen_to_restore(pbx: Pbx, back: Restoration, name: str) -> Chosen:
    left = {field: back.left[field] for field in back.wanted}
    return Chosen(pbx.customer_id, pbx.customer.name, pbx.pk, pbx.name, back.number, name, back.wanted, left)


def merged(before: Chosen | None, one: Chosen) -> Chosen:
    """Return one target for two outside changes of an IVR."""
    if before is None:
        return one
    return replace(one, asked={**before.asked, **one.asked}, left={**before.left, **one.left})
