"""IVRs: the list with the filters of the page, one as last read, and one read now."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Query, Router

from ivr.changes.opening import read_live
from ivr.models import Ivr
from ivr.selectors import IvrFilter, ivrs_found
from pbxadmin.api.calling import caller, pbx_seen
from pbxadmin.api.description import TALKS_TO_A_PBX
from pbxadmin.api.paging import list_page_out, list_query
from pbxadmin.api.problems import problem_not_there
from pbxadmin.api.schemas import IvrOut, IvrsOut, ivr_out
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.readings import ADDRESSABLE, IvrSettings

router = Router(tags=["IVRs"])
IvrQuery: Any = list_query(IvrFilter)


def ivrs_out(ivrs: Sequence[Ivr]) -> list[dict[str, Any]]:
    return [ivr_out(ivr, ivr.pbx) for ivr in ivrs]


@router.get("/ivrs", response=IvrsOut, operation_id="ivr_list")
def ivr_list_operation(
    request: HttpRequest,
    response: HttpResponse,
    asked: Query[IvrQuery],
) -> dict[str, Any]:
    """List the IVRs that you see, as last read, with the filters and the orders of the page."""
    wanted = IvrFilter.from_query(request.GET)
    found = ivrs_found(caller(request), wanted).select_related("pbx__customer").defer("raw", "words")
    return list_page_out(request, response, found, wanted.order, ivrs_out)


@router.get("/pbxs/{pbx_id}/ivrs/{number}", response=IvrOut, operation_id="ivr_read")
def ivr_read_operation(request: HttpRequest, pbx_id: int, number: str) -> dict[str, Any]:
    """Read an IVR as it was last read from its PBX."""
    pbx = pbx_seen(request, pbx_id)
    return ivr_out(ivr_or_404(pbx, number), pbx)


@router.get(
    "/pbxs/{pbx_id}/ivrs/{number}/live", response=IvrOut, operation_id="ivr_read_live", openapi_extra=TALKS_TO_A_PBX
)
def ivr_read_live_operation(request: HttpRequest, pbx_id: int, number: str) -> dict[str, Any]:
    """Read an IVR from its PBX now."""
    pbx = pbx_seen(request, pbx_id)
    live = live_or_404(pbx, number)
    return ivr_out(Ivr.objects.filter(pbx=pbx, number=live.number).first() or as_row(pbx, live), pbx)


def as_row(pbx: Pbx, live: IvrSettings) -> Ivr:
    return Ivr(pbx=pbx, read_at=timezone.now(), **live.values())


def ivr_or_404(pbx: Pbx, number: str) -> Ivr:
    ivr = Ivr.objects.filter(pbx=pbx, number=number[:200]).first() if "\0" not in number else None
    if ivr is None:
        raise problem_not_there()
    return ivr


def live_or_404(pbx: Pbx, number: str) -> IvrSettings:
    """Read an IVR now. Raises ApiProblem (404) when it is not there, PbxError when the PBX cannot be read."""
    live = read_live(pbx, number)[0] if ADDRESSABLE.fullmatch(number) else None
    if live is None:
        raise problem_not_there()
    return live
