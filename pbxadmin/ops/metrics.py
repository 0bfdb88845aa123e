"""Figures for Prometheus, read from the database when they are asked for. Nothing of a customer or a PBX is in them."""

import hmac
from collections.abc import Iterator
from datetime import datetime, timedelta
from ipaddress import ip_address

from django.conf import settings
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET
from django_tasks_db.models import DBTaskResult
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ivr.models import Change
from pbxadmin import __version__
from pbxadmin.audit.sink.sending import sink_state
from pbxadmin.fleet.models import Pbx, PbxState, WorkerProcess
from pbxadmin.notices.models import Notice, NoticeMail
from pbxadmin.review.selectors import outcome_totals
from pbxadmin.webhooks.models import Webhook, WebhookDelivery

from .models import PeriodicJob

OVERDUE = timedelta(minutes=15)
OUTCOMES_IN_LOG = ("verified", "not-as-asked", "refused", "not-sent", "unknown")
REFUSED = "Ask from this machine, or with the token of METRICS_TOKEN.\n"


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with all figures, to loopback or whoever has the token."""
    if not is_from_here(request) and not has_token(request):
        return HttpResponse(REFUSED, status=403, content_type="text/plain")
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def is_from_here(request: HttpRequest) -> bool:
    """Return whether a program of this machine asks, and no proxy of this machine for somebody else."""
    try:
        is_loopback = ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        is_loopback = False
    came_by_a_proxy = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"))
    return is_loopback and not came_by_a_proxy


def has_token(request: HttpRequest) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    is_same = hmac.compare_digest(given.encode(), settings.METRICS_TOKEN.encode())
    return scheme.lower() == "bearer" and bool(settings.METRICS_TOKEN) and is_same


class FigureCollector(Collector):
    """All figures: each group is one query, or two."""

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        yield labelled("info", "Always 1", "version", {__version__: 1})
        yield from pbx_figures(now)
        yield from change_figures()
        yield from queue_figures(now)
        yield from job_figures(now)
        yield from notice_figures()
        yield from sink_figures(now)


def pbx_figures(now: datetime) -> Iterator[Metric]:
    pbxs = Pbx.objects.in_use().order_by()
    states = dict.fromkeys(PbxState.values, 0) | dict(pbxs.values_list("state").annotate(Count("pk")))
    yield labelled("pbxs", "PBXs in use", "state", states)
    scheduled = Pbx.objects.due(now).order_by()
    yield gauge("pbxs_due", "PBXs whose reading is due", scheduled.count())
    late = scheduled.filter(next_refresh_at__lte=now - OVERDUE)
    yield gauge("pbxs_overdue", "PBXs whose reading is due for 15 minutes or longer", late.count())
    oldest = pbxs.filter(refresh_minutes__gt=0).aggregate(Min("read_at"))["read_at__min"]
    yield gauge(
        "oldest_reading_age_seconds", "Age of the oldest reading of a scheduled PBX", seconds_since(oldest, now)
    )


def change_figures() -> Iterator[Metric]:
    outcomes = CounterMetricFamily("pbxadmin_change_outcomes", "Outcomes of changes in the log", labels=["outcome"])
    for outcome, count in (dict.fromkeys(OUTCOMES_IN_LOG, 0) | outcome_totals()).items():
        outcomes.add_metric([outcome], count)
    yield outcomes
    yield gauge(
        "changes_unsettled", "Changes sent that may still become another outcome", Change.objects.in_motion().count()
    )


def queue_figures(now: datetime) -> Iterator[Metric]:
    ready = DBTaskResult.objects.filter(status="READY").order_by()
    rows = list(ready.values_list("queue_name").annotate(Count("pk"), Min("enqueued_at")))
    queues = settings.TASKS["default"]["QUEUES"]
    lengths = dict.fromkeys(queues, 0) | {row[0]: row[1] for row in rows}
    ages = dict.fromkeys(queues, 0.0) | {row[0]: seconds_since(row[2], now) for row in rows}
    yield labelled("queue_length", "Tasks that wait", "queue", lengths)
    yield labelled("queue_age_seconds", "Age of the task that waits longest", "queue", ages)
    alive = WorkerProcess.objects.alive().count()
    yield gauge("worker_processes", "Processes with workers seen within a minute", alive)


def job_figures(now: datetime) -> Iterator[Metric]:
    done = dict(PeriodicJob.objects.values_list("name", "done_at"))
    yield gauge(
        "last_tick_age_seconds", "Age of the last tick; 0 before the first", seconds_since(done.get("tick"), now)
    )
    yield gauge(
        "last_checkpoint_age_seconds",
        "Age of the last daily checkpoint; 0 before the first",
        seconds_since(done.get("seal"), now),
    )


def notice_figures() -> Iterator[Metric]:
    yield gauge("notices_waiting", "Notices not yet given to people", Notice.objects.unaddressed().count())
    mails = NoticeMail.objects.filter(state__in=("waiting", "dead")).order_by()
    counts = {"waiting": 0, "dead": 0} | dict(mails.values_list("state").annotate(Count("pk")))
    yield labelled("notice_mails", "Mails of notices that wait, and that were given up", "state", counts)
    hooks = WebhookDelivery.objects.filter(state__in=("waiting", "dead"), webhook__off_at=None).order_by()
    counts = {"waiting": 0, "dead": 0} | dict(hooks.values_list("state").annotate(Count("pk")))
    yield labelled("webhook_messages", "Messages to webhooks that wait, and that were given up", "state", counts)
    off = Webhook.objects.exclude(off_why="").count()
    yield gauge("webhooks_given_up", "Webhooks that were switched off because they failed", off)


def sink_figures(now: datetime) -> Iterator[Metric]:
    state = sink_state()
    oldest, since = (state.oldest_at, state.sink.failing_since) if state else (None, None)
    yield gauge("event_sink_behind", "Events that EVENT_SINK does not have yet", state.behind if state else 0)
    yield gauge("event_sink_behind_seconds", "Age of the oldest of them", seconds_since(oldest, now))
    yield gauge("event_sink_failing_seconds", "How long EVENT_SINK takes no events", seconds_since(since, now))


def seconds_since(then: datetime | None, now: datetime) -> float:
    """Return how long ago that was, in seconds; 0 for never."""
    return max(0.0, (now - then).total_seconds()) if then else 0.0


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"pbxadmin_{name}", text, value=value)


def labelled(name: str, text: str, label: str, values: dict[str, float] | dict[str, int]) -> Metric:
    family = GaugeMetricFamily(f"pbxadmin_{name}", text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


registry = CollectorRegistry(auto_describe=False)
registry.register(FigureCollector())
