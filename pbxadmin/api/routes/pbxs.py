"""PBXs: list, read, add, edit, test, read again. The password goes in and never comes out."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from ivr.refresh import pbx_refresh
from pbxadmin.access.permissions import require_anywhere
from pbxadmin.access.roles import Action
from pbxadmin.api.calling import caller, pbx_allowed, pbx_seen
from pbxadmin.api.description import TALKS_TO_A_PBX
from pbxadmin.api.paging import list_page_out, list_query
from pbxadmin.api.problems import ApiProblem, problem_invalid
from pbxadmin.api.schemas import NothingIn, PbxAdd, PbxEntered, PbxOut, PbxsOut, RefreshOut, TestOut, pbx_out
from pbxadmin.audit.context import current
from pbxadmin.fleet import services
from pbxadmin.fleet.connection_test import connection_test
from pbxadmin.fleet.forms import PbxFilter, PbxForm
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.record_fields import EXPORT_COLUMNS, RECORD_FIELDS
from pbxadmin.fleet.testing_rate import TooManyTests, count_connection_test

router = Router(tags=["PBXs"])
PbxQuery: Any = list_query(PbxFilter)
DEFAULTS = {field.name: field.default for field in RECORD_FIELDS if field.default}
STEP_RESULTS = {True: "passed", False: "failed", None: "not reached"}


def pbxs_out(pbxs: Sequence[Pbx]) -> list[dict[str, Any]]:
    return [pbx_out(pbx) for pbx in pbxs]


def as_typed(values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as a form takes them."""
    return {name: str(value) for name, value in values.items()}


@router.get("", response=PbxsOut, operation_id="pbx_list")
def pbx_list_operation(
    request: HttpRequest,
    response: HttpResponse,
    asked: Query[PbxQuery],
) -> dict[str, Any]:
    """List the PBXs that you see, by name, with the filters and the orders of the page."""
    wanted = PbxFilter(request.GET, user=caller(request))
    found = wanted.narrow(Pbx.objects.visible_to(caller(request))).select_related("customer").with_tags()
    return list_page_out(request, response, found, wanted.order, pbxs_out)


@router.get("/{pbx_id}", response=PbxOut, operation_id="pbx_read")
def pbx_read_operation(request: HttpRequest, pbx_id: int) -> dict[str, Any]:
    """Read one PBX: its record, and what was learned of it."""
    return pbx_out(pbx_seen(request, pbx_id))


@router.post("", response={201: PbxOut}, operation_id="pbx_add")
def pbx_add_operation(request: HttpRequest, response: HttpResponse, body: PbxAdd) -> Status[dict[str, Any]]:
    """Add a PBX. It is not connected to: test it afterwards."""
    user = caller(request)
    require_anywhere(user, Action.MANAGE_PBXS)
    form = PbxForm(as_typed(DEFAULTS | body.dict(exclude_none=True)), user=user)
    pbx = form.saved(services.pbx_create)
    if pbx is None:
        raise problem_invalid(form.errors)
    response["Location"] = f"{request.path}/{pbx.pk}"
    return Status(201, pbx_out(pbx))


@router.patch("/{pbx_id}", response=PbxOut, operation_id="pbx_edit")
def pbx_edit_operation(request: HttpRequest, pbx_id: int, body: PbxEntered) -> dict[str, Any]:
    """Change what the body names. Another address or login drops what was learned, as on the page."""
    pbx = pbx_allowed(request, pbx_id, Action.MANAGE_PBXS)
    stored = {name: getattr(pbx, name) for name in EXPORT_COLUMNS} | {"customer": pbx.customer_id}
    form = PbxForm(as_typed(stored | body.dict(exclude_none=True)), user=caller(request), pbx=pbx)
    if form.saved(partial(services.pbx_edit, pbx=pbx)) is None:
        raise problem_invalid(form.errors)
    return pbx_out(pbx_seen(request, pbx_id))


@router.post("/{pbx_id}/test", response=TestOut, operation_id="pbx_test", openapi_extra=TALKS_TO_A_PBX)
def pbx_test_operation(request: HttpRequest, pbx_id: int, body: NothingIn | None = None) -> dict[str, Any]:
    """Test the connection now, step by step. It ends a pause of the circuit breaker."""
    pbx = pbx_allowed(request, pbx_id, Action.MANAGE_PBXS)
    try:
        count_connection_test(request)
    except TooManyTests as error:
        raise ApiProblem(429, "too-many-requests", str(error), headers={"Retry-After": "60"}) from None
    test = connection_test(pbx, f"{current().actor.name} is testing the connection")
    return {
        "passed": test.passed,
        "fingerprint": test.certificate.fingerprint if test.certificate else "",
        "steps": [
            {"step": step.name, "result": STEP_RESULTS[step.passed], "sentence": step.sentence} for step in test.steps
        ],
    }


@router.post("/{pbx_id}/refresh", response=RefreshOut, operation_id="pbx_refresh", openapi_extra=TALKS_TO_A_PBX)
def pbx_read_again_operation(request: HttpRequest, pbx_id: int, body: NothingIn | None = None) -> dict[str, int]:
    """Read all IVRs of a PBX now."""
    return {"ivrs": pbx_refresh(pbx=pbx_seen(request, pbx_id), actor=current().actor)}
