"""From an event of the log back to the IVR: restore what it changed, or accept what changed outside."""

import uuid
from collections.abc import Collection, Mapping

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_http_methods

from ivr.addresses import ivr_address
from ivr.changes.opening import status_of
from ivr.changes.restore import (
    MovedSince,
    NothingToRestore,
    Restoration,
    outside_accept,
    require_to_accept,
    restoration_for,
    restore_look,
    restore_plan,
)
from ivr.field_rules import risks_of
from ivr.forms import RecordForm
from pbxadmin.access.permissions import can, customer_ids
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.models import Event
from pbxadmin.fleet.decorators import waits_for_pbx
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.htmx import go, in_place_of, render_either
from pbxadmin.web.posting import post_only
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.fields import BY_NAME

from .changes import apply_seen
from .common import actor, pbx_or_404
from .outside import is_of_list, outside_list_address, row_in_place


def visible_ivr_event(request: HttpRequest, event_id: int, actions: Collection[EventAction]) -> Event:
    """Return an event about an IVR of a PBX that the person sees.

    Its fields are no more than the pages of that IVR show.
    """
    events = Event.objects.for_customers(customer_ids(user_of(request), Action.SEE)).filter(action__in=actions)
    return get_object_or_404(events.exclude(pbx_id=None), pk=event_id)


@login_required
@require_http_methods(["GET", "POST"])
@waits_for_pbx
def restore(request: HttpRequest, event_id: int) -> HttpResponse:
    event = visible_ivr_event(request, event_id, EventGroup.CHANGE_OUTCOME.actions | EventGroup.OUTSIDE.actions)
    pbx = pbx_or_404(request, event.pbx_id or 0)
    try:
        back = restoration_for(user=user_of(request), event=event, pbx=pbx)
    except NothingToRestore as error:
        return restore_page(request, pbx, event, problem=str(error), status=409)
    form = record_form(request, pbx, event)
    try:
        return ask_or_plan(request, pbx, back, form)
    except PbxError as error:
        problem, moved, status = str(error), None, status_of(error)
    except NothingToRestore as error:
        problem, moved, status = str(error), None, 409
    except MovedSince as error:
        problem, moved, status = str(error), error.moved, 409
    typed = form if form.is_bound else None
    return restore_page(request, pbx, event, back, problem=problem, moved=moved, form=typed, status=status)


def ask_or_plan(request: HttpRequest, pbx: Pbx, back: Restoration, form: RecordForm) -> HttpResponse:
    """Ask for the reason and ticket beside what would change, then plan the restore; with `apply`, also apply it."""
    if not form.is_valid():
        restore_look(pbx=pbx, back=back)
        return restore_page(request, pbx, back.event, back, form=form, status=422 if form.errors else 200)
    reason, ticket = form.reason_and_ticket
    once = request.POST.get("form", "")
    change = restore_plan(pbx=pbx, back=back, form=once, actor=actor(), reason=reason, ticket=ticket)
    return apply_seen(request, change) if "apply" in request.POST else go(request, change.get_absolute_url())


def record_form(request: HttpRequest, pbx: Pbx, event: Event) -> RecordForm:
    """Return the form for the reason and ticket that the customer wants. It opens with those of the event."""
    draft = {"reason": event.data["reason"], "ticket": event.data["ticket"]}
    return RecordForm(request.POST if request.method == "POST" else None, customer=pbx.customer, draft=draft)


def restore_page(
    request: HttpRequest,
    pbx: Pbx,
    event: Event,
    back: Restoration | None = None,
    *,
    problem: str = "",
    moved: Mapping[str, str | None] | None = None,
    form: RecordForm | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "pbx": pbx,
        "event": event,
        "number": back.number if back else event.data["ivr_number"],
        "lines": restore_lines(back) if back else [],
        "kept_out": [(BY_NAME[name].label, why) for name, why in back.kept_out.items()] if back else [],
        "moved": [(BY_NAME[name], BY_NAME[name].in_words(text)) for name, text in (moved or {}).items()],
        "problem": problem,
        "form": form,
        "may_go_on": form is not None and status != 409,
        "at_once": back is not None and not (risks_of(back.left, back.wanted) or "number" in back.wanted),
        "once": request.POST.get("form") or str(uuid.uuid4()),
        "may_review": can(user_of(request), Action.REVIEW_LOG, pbx.customer),
    }
    answer = render_either(request, "ivr/restore.html", "ivr/_restore.html", context, status=status)
    return in_place_of(answer, "#restore")


def restore_lines(back: Restoration) -> list[tuple[str, str, str, str]]:
    """Return name, label, what the event left and what the field goes back to."""
    fields = ((BY_NAME[name], text) for name, text in back.wanted.items())
    left = back.left
    return [(field.name, field.label, field.in_words(left[field.name]), field.in_words(text)) for field, text in fields]


def page_of_outside(request: HttpRequest, event_id: int) -> str:
    """Return where an outside change is accepted: for who reviews the log its event, for others the IVR."""
    event = visible_ivr_event(request, event_id, EventGroup.OUTSIDE.actions)
    if can(user_of(request), Action.REVIEW_LOG, event.customer_id or 0):
        return event.get_absolute_url()
    return ivr_address(event.pbx_id or 0, event.data["ivr_number"])


@login_required
@post_only(page_of_outside)
def outside_accept_view(request: HttpRequest, event_id: int) -> HttpResponse:
    event = visible_ivr_event(request, event_id, EventGroup.OUTSIDE.actions)
    require_to_accept(user_of(request), event.customer_id or 0)
    is_new = outside_accept(event=event, note=request.POST.get("note", ""))
    if is_of_list(request, event_id):
        return row_in_place(request, event_id)
    if is_new:
        messages.success(request, "Accepted: it may stay as it is.")
    else:
        messages.info(request, "Somebody accepted it already.")
    if "list" in request.POST:
        return go(request, outside_list_address(QueryDict(request.POST["list"]).urlencode()))
    return go(request, page_of_outside(request, event_id))
