"""Outside changes and violations: what moved without us, and what breaks a policy."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from ivr.changes.restore import outside_accept, require_to_accept
from ivr.models import OutsideChange
from ivr.selectors import OutsideFilter
from pbxadmin.api.calling import Told, caller, row_or_404
from pbxadmin.api.description import TALKS_TO_A_PBX
from pbxadmin.api.paging import PageQuery, list_page_out, list_query
from pbxadmin.api.schemas import (
    AcceptIn,
    AcceptOut,
    ChangeOut,
    OutsidesOut,
    RecordIn,
    ViolationsOut,
    json_value,
    outside_out,
)
from pbxadmin.audit.models import Event
from pbxadmin.policies.models import Violation
from pbxadmin.web.times import AS_UTC, times_as

from .changes import planned, restore_of

router = Router(tags=["Outside changes and violations"])
OutsideQuery: Any = list_query(OutsideFilter, without=["visit", "times"])


def outsides_out(rows: Sequence[OutsideChange]) -> list[dict[str, Any]]:
    events = Event.objects.in_bulk([row.event_id for row in rows])
    return [outside_out(row, events[row.event_id].data) for row in rows if row.event_id in events]


@router.get("/outside", response=OutsidesOut, operation_id="outside_list")
def outside_list_operation(
    request: HttpRequest,
    response: HttpResponse,
    asked: Query[OutsideQuery],
) -> dict[str, Any]:
    """List what changed on PBXs without us, newest first, with the filters of the page. `from` and `to`: days, UTC."""
    wanted = OutsideFilter.from_query(request.GET, is_since_visit=False)
    with times_as(AS_UTC):
        found = wanted.narrow(OutsideChange.objects.visible_to(caller(request)), None)
    return list_page_out(request, response, found, ["-event_id"], outsides_out)


@router.post("/outside/{outside_id}/accept", response=AcceptOut, operation_id="outside_accept")
def outside_accept_operation(request: HttpRequest, outside_id: int, body: AcceptIn) -> dict[str, bool]:
    """Say that an outside change may stay. accepted: false when somebody did so already."""
    row = row_or_404(OutsideChange.objects.visible_to(caller(request)), outside_id)
    require_to_accept(caller(request), row.customer_id)
    event = row_or_404(Event.objects.all(), row.event_id)
    return {"accepted": outside_accept(event=event, note=body.note)}


@router.post(
    "/outside/{outside_id}/restore",
    response={201: ChangeOut},
    operation_id="outside_restore",
    openapi_extra=TALKS_TO_A_PBX,
)
def outside_restore_operation(request: HttpRequest, response: HttpResponse, outside_id: int, body: RecordIn) -> Told:
    """Plan a change back to what an outside change replaced. Nothing is sent before that is applied."""
    row = row_or_404(OutsideChange.objects.visible_to(caller(request)), outside_id)
    event = Event.objects.filter(pk=row.event_id).first()
    return planned(response, restore_of(request, event, row.pbx_id, body))


def violations_out(rows: Sequence[Violation]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.pk,
            "policy_id": row.policy_id,
            "policy": row.policy.title,
            "severity": row.policy.severity,
            "customer_id": row.pbx.customer_id,
            "pbx_id": row.pbx_id,
            "pbx": row.pbx.name,
            "number": row.number,
            "field": row.policy.field,
            "value": json_value(row.policy.of_field, row.value),
            "since": row.since,
            "until": row.until,
            "accepted_until": row.exception.ends_on if row.exception else None,
        }
        for row in rows
    ]


@router.get("/violations", response=ViolationsOut, operation_id="violation_list")
def violation_list_operation(request: HttpRequest, response: HttpResponse, asked: Query[PageQuery]) -> dict[str, Any]:
    """List the IVRs that break a policy now, newest first."""
    found = Violation.objects.visible_to(caller(request)).select_related("policy", "pbx", "exception")
    return list_page_out(request, response, found, ["-id"], violations_out)
