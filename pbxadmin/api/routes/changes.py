"""Changes: plan, apply, check, resolve, restore. They take the path of the pages and end in its outcomes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router, Status

from ivr.changes.apply import NotConfirmed, change_apply_now
from ivr.changes.opening import allowed_settings, edit_plan, fields_refuse, nothing_differs, require_rights
from ivr.changes.plan import Opened, change_resolve
from ivr.changes.receipts import receipt
from ivr.changes.reconcile import change_check
from ivr.changes.restore import restoration_for, restore_plan
from ivr.changes.risks import change_risks
from ivr.forms import IvrForm, RecordForm, opened_now
from ivr.models import Change
from ivr.selectors import ChangeFilter
from pbxadmin.access.permissions import require
from pbxadmin.access.roles import Action
from pbxadmin.api.calling import Told, caller, customer_or_none, pbx_allowed, pbx_seen, row_or_404
from pbxadmin.api.description import TALKS_TO_A_PBX, answers
from pbxadmin.api.idempotency import IDEMPOTENCY_HEADER, calling_key
from pbxadmin.api.paging import list_page_out, list_query
from pbxadmin.api.problems import ApiProblem, problem_invalid
from pbxadmin.api.schemas import (
    ApplyIn,
    ChangeOut,
    ChangesOut,
    NothingIn,
    NothingOut,
    PlanIn,
    RecordIn,
    ResolveIn,
    change_out,
    change_out_whole,
    conflict_lines,
    conflicts_out,
    typed_value,
    wanted_texts,
)
from pbxadmin.audit.context import current
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.site import site_address
from pbxadmin.web.times import AS_UTC, times_as
from pbxadmin.yeastar.fields import Kind

from .ivrs import live_or_404

router = Router(tags=["Changes"])
ChangeQuery: Any = list_query(ChangeFilter, without=["times"])


def changes_out(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [change_out(change) for change in changes]


def change_seen(request: HttpRequest, change_id: int) -> Change:
    return row_or_404(Change.objects.visible_to(caller(request)), change_id)


def change_allowed(request: HttpRequest, change_id: int) -> Change:
    """Return a change of which the caller may change each field."""
    change = change_seen(request, change_id)
    require_rights(caller(request), change)
    return change


@router.get("/changes", response=ChangesOut, operation_id="change_list")
def change_list_operation(
    request: HttpRequest,
    response: HttpResponse,
    asked: Query[ChangeQuery],
) -> dict[str, Any]:
    """List the changes that you see, with the filters and the orders of the page. `from` and `to`: days, UTC."""
    wanted = ChangeFilter.from_query(request.GET)
    with times_as(AS_UTC):
        found = wanted.narrow(Change.objects.visible_to(caller(request)))
    return list_page_out(request, response, found, wanted.order, changes_out)


@router.get("/changes/{change_id}", response=ChangeOut, operation_id="change_read")
def change_read_operation(request: HttpRequest, change_id: int) -> dict[str, Any]:
    """Read a change: plan, or outcome."""
    return change_out_whole(change_seen(request, change_id))


@router.get("/changes/{change_id}/receipt", operation_id="change_receipt", openapi_extra=answers("text/plain"))
def change_receipt_operation(request: HttpRequest, change_id: int) -> HttpResponse:
    """Return the receipt of a change as text, to be pasted into a ticket."""
    change = change_seen(request, change_id)
    text = receipt(change, f"{site_address(request)}{change.get_absolute_url()}")
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@router.post(
    "/pbxs/{pbx_id}/ivrs/{number}/changes",
    response={201: ChangeOut, 200: NothingOut},
    operation_id="change_plan",
    openapi_extra=TALKS_TO_A_PBX,
)
def change_plan_operation(request: HttpRequest, response: HttpResponse, pbx_id: int, number: str, body: PlanIn) -> Told:
    """Read the IVR now, check the values, and plan a change. Nothing is sent before it is applied."""
    pbx = pbx_allowed(request, pbx_id, Action.EDIT_IVR)
    wanted = wanted_texts(body.values)
    fields_refuse(user=caller(request), pbx=pbx, ivr=(number, ""), names=wanted)
    live = live_or_404(pbx, number)
    refuse_other_base(body, live.values(), wanted)
    opened = replace(opened_now(pbx, live, timezone.now()), form=form_name(request))
    form = plan_form(request, pbx, opened, wanted, body)
    if not form.is_valid():
        raise problem_invalid(form.errors)
    if not form.wanted:
        return Status(200, {"detail": nothing_differs(pbx)})
    reason, ticket = form.reason_and_ticket
    change = edit_plan(pbx=pbx, opened=opened, wanted=form.wanted, actor=current().actor, reason=reason, ticket=ticket)
    return planned(response, change)


def form_name(request: HttpRequest) -> str:
    """Name the form of a plan by the request: cut off and sent again, it gives the same change."""
    name = f"{calling_key(request).pk} {request.headers.get(IDEMPOTENCY_HEADER, '')}"
    return f"api {hashlib.sha256(name.encode()).hexdigest()[:32]}"


def refuse_other_base(body: PlanIn, live: Mapping[str, str | None], wanted: Mapping[str, str]) -> None:
    """Raise ApiProblem (409) when a field to change holds something else than the caller believes."""
    believed = body.base.dict(exclude_unset=True) if body.base else {}
    texts = {name: None if value is None else typed_value(value) for name, value in believed.items()}
    found = conflict_lines({**live, **texts}, live, wanted)
    if found:
        raise ApiProblem(409, "conflict", "Changed since you read it. Nothing was planned.", conflicts=found)


def plan_form(request: HttpRequest, pbx: Pbx, opened: Opened, wanted: Mapping[str, str], body: PlanIn) -> IvrForm:
    """Return the form of the page, filled in with what the IVR holds and with what is asked for."""
    settings = allowed_settings(caller(request), pbx)
    filled = {field.name: wanted.get(field.name, opened.values.get(field.name) or "") for field in settings}
    switches = {field.name for field in settings if field.kind is Kind.SWITCH}
    data = {name: text for name, text in filled.items() if name not in switches or text == "on"}
    return IvrForm(opened, settings, data | {"reason": body.reason, "ticket": body.ticket}, customer=pbx.customer)


def planned(response: HttpResponse, change: Change) -> Told:
    """Answer with a plan. Raises ApiProblem (409) for one that clashed with a newer reading."""
    refuse_conflict(change)
    response["Location"] = f"/api/v1/changes/{change.pk}"
    return Status(201, change_out_whole(change))


@router.post(
    "/changes/{change_id}/apply",
    response={200: ChangeOut, 202: ChangeOut},
    operation_id="change_apply",
    openapi_extra=TALKS_TO_A_PBX,
)
def change_apply_operation(request: HttpRequest, response: HttpResponse, change_id: int, body: ApplyIn) -> Told:
    """Send a planned change once, read it back, and answer with the outcome; 202 while somebody else is sending it."""
    change = change_allowed(request, change_id)
    if change.batch_id:
        raise ApiProblem(409, "of-batch", f"Only batch {change.batch_id} sends this change.")
    risks = change_risks(change)
    is_confirmed = not risks.sentences or body.confirm == risks.digest
    try:
        change_apply_now(change=change, actor=current().actor, confirmed=is_confirmed, typed=body.typed)
    except NotConfirmed:
        raise ApiProblem(
            422,
            "not-confirmed",
            "Confirm the risks first. Nothing was sent.",
            risks=risks.sentences,
            confirm_with=risks.digest,
            type_number=bool(risks.breaks),
        ) from None
    change.refresh_from_db()
    refuse_conflict(change)
    response["Location"] = f"/api/v1/changes/{change.pk}"
    return Status(202 if change.outcome == Change.Status.SENDING else 200, change_out_whole(change))


def refuse_conflict(change: Change) -> None:
    """Raise ApiProblem (409) for a change that met a conflict."""
    if change.status == Change.Status.CONFLICT:
        raise ApiProblem(409, "conflict", change.account, conflicts=conflicts_out(change), change=change.pk)


@router.post(
    "/changes/{change_id}/check", response=ChangeOut, operation_id="change_check", openapi_extra=TALKS_TO_A_PBX
)
def change_check_operation(request: HttpRequest, change_id: int, body: NothingIn | None = None) -> dict[str, Any]:
    """Read once more, now, what a change of unknown outcome came to. Nothing is sent."""
    change = change_seen(request, change_id)
    require(caller(request), Action.EDIT_IVR, customer_or_none(change.customer_id))
    unread = change_check(change, insist=True)
    if unread:
        raise ApiProblem(503, "pbx-not-read", f"It could not be read. {unread}")
    change.refresh_from_db()
    return change_out_whole(change)


@router.post(
    "/changes/{change_id}/resolve",
    response={201: ChangeOut, 200: NothingOut},
    operation_id="change_resolve",
)
def change_resolve_operation(request: HttpRequest, response: HttpResponse, change_id: int, body: ResolveIn) -> Told:
    """Plan again after a conflict, with your value of the fields that you name."""
    change = change_allowed(request, change_id)
    if change.status != Change.Status.CONFLICT:
        raise ApiProblem(409, "no-conflict", "This change met no conflict.")
    pbx_seen(request, change.pbx_id)
    plan = change_resolve(change=change, yours=body.yours, actor=current().actor)
    if plan is None:
        return Status(200, {"detail": f"{change.pbx_name} stays as it is. Nothing was sent."})
    return planned(response, plan)


@router.post(
    "/changes/{change_id}/restore",
    response={201: ChangeOut},
    operation_id="change_restore",
    openapi_extra=TALKS_TO_A_PBX,
)
def change_restore_operation(request: HttpRequest, response: HttpResponse, change_id: int, body: RecordIn) -> Told:
    """Plan a change back to the values that a change replaced. Nothing is sent before that is applied."""
    change = change_seen(request, change_id)
    event = Event.objects.filter(pk=change.event_id).first() if change.event_id else None
    return planned(response, restore_of(request, event, change.pbx_id, body))


def restore_of(request: HttpRequest, event: Event | None, pbx_id: int, body: RecordIn) -> Change:
    """Plan a restore of what an event left. Raises Outdated when there is nothing to restore any more."""
    pbx = pbx_seen(request, pbx_id)
    back = restoration_for(user=caller(request), event=event, pbx=pbx)
    form = RecordForm({"reason": body.reason, "ticket": body.ticket}, customer=pbx.customer)
    if not form.is_valid():
        raise problem_invalid(form.errors)
    reason, ticket = form.reason_and_ticket
    once = form_name(request)
    return restore_plan(pbx=pbx, back=back, form=once, actor=current().actor, reason=reason, ticket=ticket)
