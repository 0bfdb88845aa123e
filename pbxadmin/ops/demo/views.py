"""The page of the demo on which PBXs are broken while one watches. Without a demo it does not exist."""

from collections.abc import Mapping
from functools import wraps
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from ivr.models import Ivr
from pbxadmin.access.person import user_of
from pbxadmin.fleet.models import Pbx, PbxQuerySet
from pbxadmin.web.posting import PostView

from .fleet import edit_on_pbx, fleet_order

# By the switches of the simulator, and what a user of the demo then does to see it.
SWITCH_WORDS: Mapping[str, tuple[str, str]] = {
    "well": ("Behaves", "Everything is as it was. Read it or test it, and its state follows."),
    "off": ("Off", "Read it, or change an IVR there: it refuses connections."),
    "slow": ("Slow", "Each answer takes three seconds now. Open an IVR there to edit."),
    "lies": ("Lies", "It says Success and stores nothing. Change an IVR there: the outcome is what was read back."),
    "refuses": ("Refuses changes", "Change an IVR there: the PBX says no, and nothing is stored."),
    "loses": ("Loses an answer", "Change an IVR there: the answer is lost, and the PBX is away for two minutes."),
    "certificate": ("Other certificate", "Read it: nothing is sent to who cannot prove that it is the PBX."),
    "password": ("Other password", "Read it: it is asked once, and not again until somebody types the new password."),
    "locked": ("Locked", "Read it: it takes no login from this address, and is left alone for ten minutes."),
}


class SwitchForm(forms.Form):
    """An order for one PBX: a switch, or that somebody edits its first IVR on its own pages."""

    pbx = forms.IntegerField()
    switch = forms.ChoiceField(choices=[(name, label) for name, (label, _) in SWITCH_WORDS.items()], required=False)
    edit = forms.BooleanField(required=False)


def in_demo(view: PostView) -> PostView:
    """Decorate a view that there is in the demo alone, for nobody else a page."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if settings.DEMO_CONTROLS is None:
            raise Http404
        return view(request, *args, **kwargs)

    return guarded


@in_demo
@login_required
@require_http_methods(["GET", "POST"])
def demo_page(request: HttpRequest) -> HttpResponse:
    """Show how each simulated PBX behaves; a POST changes that."""
    pbxs = Pbx.objects.visible_to(user_of(request)).select_related("customer").order_by("customer__name", "name")
    if request.method == "POST":
        form = SwitchForm(request.POST)
        if not form.is_valid():
            raise Http404
        messages.info(request, obeyed(pbxs, form.cleaned_data))
        return redirect("ops:demo")
    found = fleet_order()
    rows = [(pbx, found[pbx.name]) for pbx in pbxs if pbx.name in found]
    choices = [(name, label) for name, (label, _) in SWITCH_WORDS.items()]
    return render(request, "ops/demo.html", {"rows": rows, "choices": choices})


def obeyed(pbxs: PbxQuerySet, order: Mapping[str, Any]) -> str:
    """Give the fleet an order of a form. Return what it did, and what to do to see it."""
    pbx = get_object_or_404(pbxs, pk=order["pbx"])
    if order["edit"]:
        return edited(pbx)
    switch = order["switch"] or "well"
    fleet_order(pbx=pbx.name, switch=switch)
    label, what_next = SWITCH_WORDS[switch]
    return f"{pbx.name}: {label.lower()} from now on. {what_next}"


def edited(pbx: Pbx) -> str:
    """Change the response timeout of the first IVR of a PBX, as somebody on its own pages would."""
    ivr = get_object_or_404(Ivr.objects.filter(pbx=pbx).order_by("number")[:1])
    seconds = int(ivr.response_timeout or 0) % 10 + 1
    edit_on_pbx(pbx.name, ivr.number, {"response_timeout": str(seconds)})
    return f"On {pbx.name}, somebody set the response timeout of IVR {ivr.number} to {seconds} s. Read it to find out."
