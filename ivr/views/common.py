"""What the views of this app share: finding a PBX the person may see, and saying what a failed exchange means."""

from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from pbxadmin.access.person import user_of
from pbxadmin.audit.context import Actor, current
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.filters import typed_text, whole
from pbxadmin.yeastar.fields import BY_NAME
from pbxadmin.yeastar.readings import ADDRESSABLE


def actor() -> Actor:
    return current().actor


def pbx_or_404(request: HttpRequest, pbx_id: int) -> Pbx:
    return get_object_or_404(Pbx.objects.visible_to(user_of(request)).select_related("customer"), pk=pbx_id)


def draft_parameters(request: HttpRequest) -> dict[str, str]:
    """Return what the address says that a form opens with: a plan (`from`), and fields by their own names."""
    given = {name: typed_text(request.GET[name]) for name in BY_NAME if name in request.GET}
    plan = whole(request.GET.get("from"))
    return ({"from": str(plan)} if plan else {}) | given


def draft_query(request: HttpRequest) -> str:
    """Return the query that keeps what a form opens with, "" when the address says nothing of it."""
    kept = draft_parameters(request)
    return f"?{urlencode(kept)}" if kept else ""


def addressable(number: str) -> str:
    if not ADDRESSABLE.fullmatch(number):
        raise Http404
    return number
