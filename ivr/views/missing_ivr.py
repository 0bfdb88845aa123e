"""The address of an IVR that is not on its PBX any more: it is in tickets and bookmarks, so it leads to its history."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from ivr.models import Change, Ivr
from ivr.ways import ways_shown
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx

from .common import draft_query

CHANGES_SHOWN = 8
OUTSIDE_SHOWN = 3


def outside_events(pbx: Pbx, number: str) -> list[Event]:
    """Return the newest events of an IVR that tell of a change made outside."""
    return list(
        Event.objects.filter(pbx_id=pbx.pk, ivr_number=number, action__in=EventGroup.OUTSIDE.actions)[:OUTSIDE_SHOWN]
    )


def missing_ivr_page(request: HttpRequest, pbx: Pbx, number: str) -> HttpResponse | None:
    """Show what we know of an IVR without a snapshot. None when we know nothing, so that it may have come just now."""
    history, outside = Change.objects.newest_of_ivr(pbx.pk, number, CHANGES_SHOWN), outside_events(pbx, number)
    if not history and not outside:
        return None
    names = [*(change.name for change in history), *(str(event.data["ivr_name"]) for event in outside)]
    name = next(filter(None, names), "")
    namesakes = Ivr.objects.filter(pbx=pbx, name=name, flaw="").order_by("number") if name else ()
    ways_in = ways_shown(pbx, number)
    context = {
        "pbx": pbx,
        "ways_in": ways_in,
        "still_led_to": any(way.ivr_number for shown in ways_in for way in shown.ways),
        "keeping": draft_query(request),
        "number": number,
        "name": name,
        "namesake": next((ivr.number for ivr in namesakes if ivr.settings.is_addressable), ""),
        "vanished": outside[0] if outside and outside[0].action == EventAction.IVR_VANISHED else None,
        "moved": next((change for change in history if change.number == number != change.number_now), None),
        "outside": outside,
    }
    return render(request, "ivr/ivr_missing.html", context, status=404)


def missing_ivr_or_404(request: HttpRequest, pbx: Pbx, number: str) -> HttpResponse:
    page = missing_ivr_page(request, pbx, number)
    if page is None:
        raise Http404
    return page
