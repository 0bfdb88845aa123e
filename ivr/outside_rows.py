"""Outside changes as lists show them: with their events, what became of them, and what a person may do about each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from pbxadmin.access.models import User
from pbxadmin.access.permissions import can
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.fields import BY_NAME

from .addresses import ivr_address
from .changes.restore import may_go_back, restoration_of
from .models import Ivr, OutsideChange
from .open_outside_changes import IvrKey, held_now, ivr_key
from .outside import between_times, field_moves


@dataclass(frozen=True)
class OutsideRow:
    """An outside change as the list shows it. decided_by: the event that closed it."""

    row: OutsideChange
    event: Event
    decided_by: Event | None
    is_in_use: bool
    may_accept: bool
    may_restore: bool

    @property
    def said(self) -> dict[str, Any]:
        return self.event.data

    @property
    def address(self) -> str:
        return ivr_address(self.row.pbx_id, self.row.number)

    @property
    def when(self) -> str:
        """Say between which times it was changed, as far as the event tells."""
        detail = self.said["detail"]
        try:
            return between_times(
                datetime.fromisoformat(detail["since"]), timezone.localtime(datetime.fromisoformat(detail["until"]))
            )
        except (KeyError, TypeError, ValueError):
            return ""

    @property
    def moves(self) -> list[str]:
        """Return what moved in words; nothing for an IVR that came or went."""
        if self.row.action != EventAction.IVR_CHANGED_OUTSIDE:
            return []
        fields = self.said["fields"].items()  # an altered event may say anything
        return list(
            field_moves({name: {"before": None, "found": None} | said for name, said in fields if name in BY_NAME})
        )

    @property
    def opened(self) -> bool:
        """Return whether callers can dial out since, as far as the event tells."""
        said = self.said["fields"].get("dial_outbound", {})
        return bool(said.get("found") == "on")


def outside_rows(user: User, rows: Sequence[OutsideChange]) -> list[OutsideRow]:
    """Return these outside changes with their events, and what this person may do about each, in few queries."""
    ids = {pk for row in rows for pk in (row.event_id, row.decided_by_id) if pk}
    events = Event.objects.in_bulk(list(ids))
    rows = [row for row in rows if row.event_id in events]
    pbxs = Pbx.objects.select_related("customer").in_bulk({row.pbx_id for row in rows})
    now = held_now([events[row.event_id] for row in rows if row.is_open])
    return [outside_row(user, row, events, pbxs.get(row.pbx_id), now) for row in rows]


def outside_row(
    user: User, row: OutsideChange, events: dict[int, Event], pbx: Pbx | None, now: dict[IvrKey, Ivr]
) -> OutsideRow:
    event = events[row.event_id]
    may_edit = row.is_open and pbx is not None and can(user, Action.EDIT_IVR, pbx.customer)
    is_in_use = pbx is not None and pbx.is_enabled and pbx.customer.archived_at is None
    return OutsideRow(
        row,
        event,
        events.get(row.decided_by_id or 0),
        is_in_use,
        row.is_open and (may_edit or can(user, Action.REVIEW_LOG, row.customer_id)),
        may_edit and is_in_use and pbx is not None and holds_restorable(user, event, pbx, now),
    )


def holds_restorable(user: User, event: Event, pbx: Pbx, now: dict[IvrKey, Ivr]) -> bool:
    """Tell whether to offer somebody a restore of an event: by its snapshot the IVR still holds what it left."""
    return may_go_back(user, restoration_of(event, pbx.version), now.get(ivr_key(event)), pbx)
