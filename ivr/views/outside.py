"""The list of outside changes, and accepting them: one, or all that were chosen."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from ivr.changes.restore import outside_accept, require_to_accept
from ivr.models import OutsideChange
from ivr.outside_rows import outside_rows
from ivr.outside_visits import visit_note
from ivr.selectors import OUTSIDE_KINDS, OutsideFilter, outside_chosen
from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import can_anywhere, require
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import PAGE_SIZE, found_of, keyset
from pbxadmin.web.posting import post_only
from pbxadmin.web.times import times_as_asked
from pbxadmin.web.words import number_of
from pbxadmin.yeastar.fields import FIELDS

from .common import names_in

MOST_CHOICES = 500  # customers, or PBXs of one, in a filter


@login_required
@require_GET
@times_as_asked
def outside_list(request: HttpRequest) -> HttpResponseBase:
    """List what changed without us, of the customers that the person sees, newest first."""
    user, wanted = user_of(request), OutsideFilter.from_query(request.GET)
    visit_at = visit_note(user.pk)
    seen = OutsideChange.objects.visible_to(user)
    found = wanted.narrow(seen, visit_at)
    page = keyset(found, ["-event_id"], request.GET.get("cursor", ""), PAGE_SIZE)
    rows = outside_rows(user, page.rows)
    context = {
        "wanted": wanted,
        "query": wanted.query,
        "page_query": request.GET.urlencode(),
        "page": page,
        "rows": rows,
        "counts": found_of(page, found, seen if wanted.is_narrow else None),
        "chips": wanted.shown_chips(names_in(user, wanted)),
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
    note = request.POST.get("note", "")
    count = sum(outside_accept(event=event, note=note) for _, event in sorted(events.items()))
    if count:
        messages.success(request, f"{number_of(count, 'outside change')} accepted: they may stay as they are.")
    else:
        messages.info(request, "Nothing was chosen, or it was accepted already." if rows else "Nothing was chosen.")
    return go(request, outside_list_address(request.GET.urlencode()))


def row_in_place(request: HttpRequest, event_id: int) -> HttpResponse:
    """Answer with the row of an outside change as it is now, for the place where it was, and how many are open."""
    user = user_of(request)
    (row,) = outside_rows(user, outside_chosen(user, [str(event_id)]))
    context = {"row": row, "page_query": request.POST.get("list", ""), "may_choose": True}
    return render(request, "ivr/_outside_answer.html", context)


def is_of_list(request: HttpRequest, event_id: int) -> bool:
    """Tell whether HTMX wants the row of this outside change in the list."""
    return request.headers.get("HX-Target") == f"outside-{event_id}"
