"""The page that compares the health of PBXs: how fresh, how slow, how often going and coming back."""

from datetime import timedelta

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from pbxadmin.audit.sink.sending import sink_state
from pbxadmin.fleet.freshness import freshness_of, freshness_rows
from pbxadmin.fleet.models import Pbx, PbxHealth, WorkerProcess

LISTED = 10
FLAPS = 2  # turns in 24 hours: it went once and came back
LATELY = timedelta(hours=26)  # figures of a PBX that nobody talked to for a day say nothing of today


@login_required
@require_GET
def fleet_health(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    pbxs = Pbx.objects.visible_to(request.user).in_use()
    figures = PbxHealth.objects.visible_to(request.user).in_use().filter(until__gte=now - LATELY)
    figures = figures.select_related("pbx__customer")
    counts = freshness_of(pbxs, now)
    context = {
        "total": sum(counts.values()),
        "freshness": freshness_rows(counts),
        "slowest": list(figures.exclude(p95_ms=None).order_by("-p95_ms", "pk")[:LISTED]),
        "flapping": list(figures.filter(turns__gte=FLAPS).order_by("-turns", "pk")[:LISTED]),
    }
    if request.user.is_superuser:
        context["workers"] = WorkerProcess.objects.alive().order_by("started_at")
        context["sink"] = sink_state()
    return render(request, "fleet/health.html", context)
