"""The figures for Prometheus: what they say, to whom, at what price; who names one names a real one."""

import json
import re
from datetime import timedelta

import pytest
from django.conf import settings as used
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from ivr.refresh import refresh_work
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.env import BadSetting, token
from pbxadmin.fleet.models import Pbx
from pbxadmin.ops.models import PeriodicJob
from pbxadmin.review import rollup
from tests.factories import make_change, make_pbx

pytestmark = pytest.mark.django_db
TOKEN = "a-token-of-metrics-" + "x" * 20
NAME = r"\bpbxadmin_[a-z_]+\b"


def figures(client):
    text = client.get("/metrics").text
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name.removeprefix("pbxadmin_"), *sample.labels.values()): sample.value for sample in found}


def test_what_they_say(client, acme):
    now = timezone.now()
    pbx, late = make_pbx(acme), make_pbx(acme, name="ACME-2")
    Pbx.objects.update(state="reachable", read_at=now - timedelta(hours=2), next_refresh_at=now + timedelta(hours=1))
    Pbx.objects.filter(pk=late.pk).update(next_refresh_at=now - timedelta(minutes=16))
    make_change(pbx), make_change(pbx, "unknown")
    for outcome in ("verified", "verified", "unknown"):
        record(EventAction.CHANGE_OUTCOME, outcome=outcome)
    refresh_work.enqueue(1)
    PeriodicJob.objects.create(name="tick", due_at=now, done_at=now - timedelta(seconds=30))

    said = figures(client)

    assert said["pbxs", "reachable"] == 2
    assert (said["pbxs_due",], said["pbxs_overdue",]) == (1, 1)
    assert said["oldest_reading_age_seconds",] == pytest.approx(7200, abs=60)
    counted = {outcome: said["change_outcomes_total", outcome] for outcome in ("verified", "unknown", "refused")}
    assert counted == {"verified": 2, "unknown": 1, "refused": 0}
    assert said["changes_unsettled",] == 1
    assert sum(value for key, value in said.items() if key[0] == "queue_length") == 1
    assert said["last_tick_age_seconds",] == pytest.approx(30, abs=60)


def test_an_outcome_counts_once_before_and_after_its_day_is_counted(client, monkeypatch):
    record(EventAction.CHANGE_OUTCOME, outcome="verified")
    before = figures(client)["change_outcomes_total", "verified"]
    monkeypatch.setattr(rollup, "SETTLED", timedelta(0))
    rollup.roll_up()
    record(EventAction.CHANGE_SETTLED, outcome="verified")

    assert (before, figures(client)["change_outcomes_total", "verified"]) == (1, 2)


def test_they_name_nobody_and_cost_the_same_for_many(client, acme, django_assert_max_num_queries):
    for place in range(5):
        make_change(make_pbx(acme, name=f"ACME-{place}"))

    with django_assert_max_num_queries(14):
        text = client.get("/metrics").text

    assert "acme" not in text.lower()


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, 200),
        ({"REMOTE_ADDR": "192.0.2.7"}, 403),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 403),
        ({"REMOTE_ADDR": ""}, 403),
        ({"REMOTE_ADDR": "192.0.2.7", "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, 200),
        ({"REMOTE_ADDR": "192.0.2.7", "HTTP_AUTHORIZATION": f"Basic {TOKEN}"}, 403),
        ({"REMOTE_ADDR": "192.0.2.7", "HTTP_AUTHORIZATION": f"Bearer {TOKEN}x"}, 403),
        ({"REMOTE_ADDR": "192.0.2.7", "HTTP_AUTHORIZATION": "Bearer \xe9"}, 403),
    ],
)
def test_who_gets_them(client, settings, more, status):
    settings.METRICS_TOKEN = TOKEN

    assert client.get("/metrics", **more).status_code == status


def test_no_token_opens_when_none_is_set(client):
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.7", HTTP_AUTHORIZATION="Bearer ").status_code == 403


def test_a_short_token_stops_start_up(monkeypatch):
    monkeypatch.setenv("METRICS_TOKEN", "short")

    with pytest.raises(BadSetting, match="METRICS_TOKEN must be at least 32 characters"):
        token("METRICS_TOKEN")


def test_each_figure_is_documented_and_no_other_is_named(client):
    given = {f"pbxadmin_{key[0]}" for key in figures(client)}
    named = {
        name: set(re.findall(NAME, (used.BASE_DIR / name).read_text(encoding="utf-8")))
        for name in ("docs/metrics.md", "deploy/alerts.yml", "deploy/grafana.json")
    }

    assert named["docs/metrics.md"] == given
    assert named["deploy/alerts.yml"] <= given
    assert named["deploy/grafana.json"] == given
    assert len(json.loads((used.BASE_DIR / "deploy/grafana.json").read_text())["panels"]) > 5
