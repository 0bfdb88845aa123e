"""The auditor's pages: the log, and one event with its proof."""

from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from pbxadmin.access.models import User
from pbxadmin.access.permissions import customers_of, require_anywhere
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import ACTIONS
from pbxadmin.audit.models import EventQuerySet
from pbxadmin.web.htmx import render_either
from pbxadmin.web.pages import keyset
from pbxadmin.web.words import OUTCOMES

from .selectors import EventFilter, events_for
from .words import changed_fields, detail_lines, gist

PAGE_SIZE = 50
OTHERS = 20


def reviewable(request: HttpRequest) -> EventQuerySet:
    """Events that this person may review. Who may review none at all is refused, which is an event itself."""
    user = cast(User, request.user)
    require_anywhere(user, Action.REVIEW_LOG)
    return events_for(user)


@login_required
@require_GET
def event_list(request: HttpRequest) -> HttpResponse:
    wanted = EventFilter.from_query(request.GET.dict())
    page = keyset(wanted.narrow(reviewable(request)), ["-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    customers = customers_of(cast(User, request.user), Action.REVIEW_LOG)
    context = {
        "page": page,
        "events": [(event, *gist(event)) for event in page.rows],
        "wanted": wanted,
        "query": wanted.query,
        "chips": wanted.chips(page.rows[0].data["pbx_name"] if page.rows else ""),
        "customers": list(customers.values_list("pk", "name")[:500]),
        "actions": list(ACTIONS.items()),
        "outcomes": [(value, look.label) for value, look in OUTCOMES.items() if value != "planned"],
    }
    return render_either(request, "review/event_list.html", "review/_event_table.html", context)


@login_required
@require_GET
def event_page(request: HttpRequest, pk: int) -> HttpResponse:
    events = reviewable(request)
    event = get_object_or_404(events, pk=pk)
    others = events.filter(change_id=event.change_id).exclude(pk=pk).order_by("id")[:OTHERS] if event.change_id else []
    context = {"event": event, "fields": changed_fields(event), "detail": detail_lines(event), "others": others}
    return render(request, "review/event_page.html", context)
