"""Health checks of the service: /healthz (does the process live) and /readyz (can it work)."""

import logging
from datetime import timedelta

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from pbxadmin.audit.triggers import MISSING, triggers_missing

from .rotation import wrong_keys
from .tick import LATE_S, last_tick
from .unmigrated import migrations_missing

log = logging.getLogger(__name__)


@require_GET
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_GET
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 503 when database, migrations, triggers of the log, keys or workers are not as they must be.

    Anybody may ask, so the reason is only in the log of the service.
    """
    try:
        reasons = why_not_ready()
    except DatabaseError:
        reasons = ["the database does not answer"]
    last_said.say(reasons)
    return JsonResponse({"status": "not ready" if reasons else "ok"}, status=503 if reasons else 200)


class LastSaid:
    """The reasons that were logged last. Only a change is logged: the check runs every few seconds, or more often."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def say(self, reasons: list[str]) -> None:
        if reasons != self.reasons:
            self.reasons = reasons
            log.warning(f"not ready: {'; '.join(reasons)}" if reasons else "ready again")


last_said = LastSaid()


def why_not_ready() -> list[str]:
    if migrations_missing():
        return ["migrations are not applied: run manage.py migrate"]
    reasons = [MISSING.format(name) for name in triggers_missing(connection)]
    if why := wrong_keys():
        reasons.append(why)
    last = last_tick()
    if last is None or last < timezone.now() - timedelta(seconds=LATE_S):
        reasons.append("no worker ticked within a minute: is serve or work running?")
    return reasons
