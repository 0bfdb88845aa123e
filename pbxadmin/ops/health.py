"""Two questions of whoever watches the service: does the process live, and can it do its work?"""

from datetime import timedelta

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from pbxadmin.audit.triggers import MISSING, triggers_missing

from .rotation import wrong_keys
from .tick import LATE_S, last_tick


@require_GET
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_GET
def readyz(request: HttpRequest) -> JsonResponse:
    """503 with the reasons when the database, the log's triggers or the workers are not as they must be."""
    try:
        reasons = why_not_ready()
    except DatabaseError:
        reasons = ["the database does not answer"]
    return JsonResponse(
        {"status": "not ready" if reasons else "ok", "reasons": reasons}, status=503 if reasons else 200
    )


def why_not_ready() -> list[str]:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return ["migrations are not applied: run manage.py migrate"]
    reasons = [MISSING.format(name) for name in triggers_missing(connection)]
    if why := wrong_keys():
        reasons.append(why)
    last = last_tick()
    if last is None or last < timezone.now() - timedelta(seconds=LATE_S):
        reasons.append("no worker ticked within a minute: is serve or work running?")
    return reasons
