"""What the views of PBX records share."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from pbxadmin.access.permissions import require
from pbxadmin.access.roles import Action
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.htmx import go


def pbx_to_show(request: HttpRequest, pk: int) -> Pbx:
    return get_object_or_404(Pbx.objects.visible_to(request.user).select_related("customer"), pk=pk)


def managed_pbx(request: HttpRequest, pk: int) -> Pbx:
    pbx = pbx_to_show(request, pk)
    require(request.user, Action.MANAGE_PBXS, pbx.customer)
    return pbx


def to_pbx_page(request: HttpRequest, pbx: Pbx) -> HttpResponse:
    return go(request, pbx.get_absolute_url())
