"""What the views of this app share: finding a PBX the person may see, and saying what a failed exchange means."""

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from pbxadmin.access.person import user_of
from pbxadmin.audit.context import Actor, current
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.filters import whole
from pbxadmin.yeastar.readings import ADDRESSABLE


def actor() -> Actor:
    return current().actor


def pbx_or_404(request: HttpRequest, pbx_id: int) -> Pbx:
    return get_object_or_404(Pbx.objects.visible_to(user_of(request)).select_related("customer"), pk=pbx_id)


def draft_query(request: HttpRequest) -> str:
    """Return the query that keeps the plan whose values a form opens with, "" when the address names none."""
    plan = whole(request.GET.get("from"))
    return f"?from={plan}" if plan else ""


def addressable(number: str) -> str:
    if not ADDRESSABLE.fullmatch(number):
        raise Http404
    return number
