"""The list of outside changes, and accepting them: one, or all that were chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from ivr.addresses import ivr_address
from ivr.changes.restore import moved_since_event, outside_accept, restoration_of
from ivr.models import Ivr, OutsideChange
from ivr.open_outside_changes import IvrKey, held_now, ivr_key
from ivr.outside import between_times, field_moves
from ivr.outside_visits import visit_note
from ivr.selectors import OUTSIDE_KINDS, OutsideFilter, outside_chosen
from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import can, can_anywhere, require
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import PAGE_SIZE, keyset
from pbxadmin.web.posting import post_only
from pbxadmin.web.words import number_of
from pbxadmin.yeastar.fields import BY_NAME, FIELDS

MOST_CHOICES = 500  # customers, or PBXs of one, in a filter


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
            return between_times(datetime.fromisoformat(detail["since"]), datetime.fromisoformat(detail["until"]))
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
        """Whether callers can dial out since, as far as the event tells."""
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
        may_edit and is_in_use and pbx is not None and holds_restorable(event, pbx.version, now),
    )


def holds_restorable(event: Event, version: str, now: dict[IvrKey, Ivr]) -> bool:
    """Tell whether to offer a restore of an event: by its snapshot the IVR still holds what it left."""
    back, row = restoration_of(event, version), now.get(ivr_key(event))
    return back is not None and row is not None and not moved_since_event(back, row.settings)


@login_required
@require_GET
def outside_list(request: HttpRequest) -> HttpResponse:
    """List what changed without us, of the customers that the person sees, newest first."""
    user, wanted = user_of(request), OutsideFilter.from_query(request.GET)
    visit_at = visit_note(user.pk)
    found = wanted.narrow(OutsideChange.objects.visible_to(user), visit_at)
    page = keyset(found, ["-event_id"], request.GET.get("cursor", ""), PAGE_SIZE)
    rows = outside_rows(user, page.rows)
    context = {
        "wanted": wanted,
        "query": wanted.query,
        "page_query": request.GET.urlencode(),
        "page": page,
        "rows": rows,
        "visit_at": visit_at,
        "customers": list(Customer.objects.visible_to(user).values_list("pk", "name")[:MOST_CHOICES]),
        "pbxs": pbxs_of(user, wanted.customer),
        "fields": [(field.name, field.label) for field in FIELDS],
        "kinds": [(name, action.label) for name, action in OUTSIDE_KINDS.items()],
        "may_choose": any(row.may_accept for row in rows),
        "may_restore_many": can_anywhere(user, Action.BATCH) and any(row.may_restore for row in rows),
    }
    return render_either(request, "ivr/outside_list.html", "ivr/_outside_table.html", context)


def pbxs_of(user: User, customer_id: int | None) -> list[tuple[int, str]]:
    """Return the PBXs to choose from; none without a customer, because there may be thousands."""
    if customer_id is None:
        return []
    return list(Pbx.objects.visible_to(user).filter(customer_id=customer_id).values_list("pk", "name")[:MOST_CHOICES])


def outside_list_address(query: str) -> str:
    """Return the address of the list with this filter."""
    address = reverse("ivr:outside-list")
    return f"{address}?{query}" if query else address


def require_to_accept(user: User, customer_id: int) -> None:
    """Raise PermissionDenied unless the person edits IVRs of this customer, or reviews its log."""
    if not can(user, Action.REVIEW_LOG, customer_id):
        require(user, Action.EDIT_IVR, customer_id)


@login_required
@post_only("ivr:outside-list")
def outside_accept_many(request: HttpRequest) -> HttpResponse:
    """Accept all that were chosen, with one note. The address carries the filter of the list."""
    user = user_of(request)
    if not any(can_anywhere(user, action) for action in (Action.EDIT_IVR, Action.REVIEW_LOG)):
        require(user, Action.EDIT_IVR, None)
    rows = outside_chosen(user, request.POST.getlist("event"))
    for customer_id in sorted({row.customer_id for row in rows}):
        require_to_accept(user, customer_id)
    events = Event.objects.in_bulk([row.pk for row in rows])
    note = note_in(request)
    count = sum(outside_accept(event=event, note=note) for _, event in sorted(events.items()))
    if count:
        messages.success(request, f"{number_of(count, 'outside change')} accepted: they may stay as they are.")
    else:
        messages.info(request, "Nothing was chosen, or it was accepted already." if rows else "Nothing was chosen.")
    return go(request, outside_list_address(request.GET.urlencode()))


def note_in(request: HttpRequest) -> str:
    return request.POST.get("note", "").replace("\0", "").strip()[:500]


def row_in_place(request: HttpRequest, event_id: int) -> HttpResponse:
    """Answer with the row of an outside change as it is now, for the place where it was."""
    user = user_of(request)
    (row,) = outside_rows(user, outside_chosen(user, [str(event_id)]))
    context = {"row": row, "page_query": request.POST.get("list", ""), "may_choose": True}
    return render(request, "ivr/_outside_row.html", context)


def is_of_list(request: HttpRequest, event_id: int) -> bool:
    """Tell whether HTMX wants the row of this outside change in the list."""
    return request.headers.get("HX-Target") == f"outside-{event_id}"
