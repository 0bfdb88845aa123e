"""What the views of this app share: finding a PBX the person may see, and saying what a failed exchange means."""

from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from pbxadmin.access.models import Customer, User
from pbxadmin.access.person import user_of
from pbxadmin.audit.context import Actor, current
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.filters import FilterValues, typed_text, whole
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


def names_in(user: User, wanted: FilterValues) -> dict[str, str]:
    """Return the names of the customer and the PBX that a filter gives by their ids, of those that the person sees."""
    given = wanted.values()
    customers = Customer.objects.visible_to(user).filter(pk=given["customer"] or 0)
    pbxs = Pbx.objects.visible_to(user).filter(pk=given["pbx"] or 0)
    named = {"customer": customers if given["customer"] else None, "pbx": pbxs if given["pbx"] else None}
    found = {what: rows.values_list("name", flat=True).first() for what, rows in named.items() if rows is not None}
    return {what: name for what, name in found.items() if name}
