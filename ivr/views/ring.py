"""Ring my phone: on the page of an IVR and on receipts."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from ivr.addresses import ivr_address
from ivr.models import Ivr
from ivr.ring import RingOutcome, RungTooOften, can_ring, extension_of, ivr_ring
from pbxadmin.access.models import User
from pbxadmin.access.permissions import can, require
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.fleet.decorators import waits_for_pbx
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.htmx import go, is_own_path, render_either
from pbxadmin.web.posting import post_only

from .common import actor, pbx_or_404

NO_EXTENSION = "Enter the number of an extension of this PBX: 1 to 7 digits. Outside numbers are never called."


class RingForm(forms.Form):
    """The extension to ring."""

    extension = forms.RegexField(
        r"\A[0-9]{1,7}\Z",
        label="Your extension",
        help_text="The PBX rings it and plays the IVR as it is set now.",
        error_messages={"required": NO_EXTENSION, "invalid": NO_EXTENSION},
        widget=forms.TextInput(attrs={"class": "num", "inputmode": "numeric", "maxlength": "7", "autocomplete": "off"}),
    )


def ring_context(user: User, pbx: Pbx | None, number: str) -> dict[str, Any]:
    """Return what the panel needs; no form for who may not edit, or where the API cannot ring."""
    if pbx is None or not can(user, Action.EDIT_IVR, pbx.customer) or not can_ring(pbx, number):
        return {"ring_form": None}
    form = RingForm(initial={"extension": extension_of(user.pk, pbx)})
    return {"ring_form": form, "ring_address": reverse("ivr:ivr-ring", args=[pbx.pk, number])}


@login_required
@post_only("ivr:ivr-page", "pbx_id", "number")
@waits_for_pbx
def ivr_ring_view(request: HttpRequest, pbx_id: int, number: str) -> HttpResponse:
    """Ring once, then lead back to the page that the form stands on, which says what came of it."""
    pbx = pbx_or_404(request, pbx_id)
    require(user_of(request), Action.EDIT_IVR, pbx.customer)
    ivr = get_object_or_404(Ivr.objects.select_related("pbx__customer"), pbx=pbx, number=number)
    form = RingForm(request.POST)
    if not form.is_valid():
        return ring_page(request, ivr, form, status=422)
    try:
        rung = ivr_ring(ivr=ivr, extension=form.cleaned_data["extension"], actor=actor())
    except RungTooOften as error:
        form.add_error(None, str(error))
        return ring_page(request, ivr, form, status=429)
    say = messages.success if rung.outcome is RingOutcome.RANG else messages.error
    say(request, rung.sentence)
    return go(request, came_from(request, ivr))


def came_from(request: HttpRequest, ivr: Ivr) -> str:
    wanted = request.POST.get("next", "")
    return wanted if is_own_path(wanted) else ivr_address(ivr.pbx_id, ivr.number)


def ring_page(request: HttpRequest, ivr: Ivr, form: RingForm, status: int) -> HttpResponse:
    context = {
        "pbx": ivr.pbx,
        "ivr_number": ivr.number,
        "ivr_name": ivr.name,
        "ring_form": form,
        "ring_address": reverse("ivr:ivr-ring", args=[ivr.pbx_id, ivr.number]),
        "came_from": came_from(request, ivr),
    }
    return render_either(request, "ivr/ring_page.html", "ivr/_ring.html", context, status=status)
