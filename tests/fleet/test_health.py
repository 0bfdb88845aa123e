"""Health of PBXs: a sample of each contact, its count per hour, and what the pages make of them."""

import re
from datetime import timedelta
from threading import Event

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pbxadmin.access.models import User
from pbxadmin.access.roles import Role
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.sink.sending import sink_turn
from pbxadmin.audit.sink.ways import sink_address
from pbxadmin.fleet.availability import availability_of
from pbxadmin.fleet.contacts import Tally, contacts_roll_up, failure_of, hour_of, step_of
from pbxadmin.fleet.freshness import FRESHNESS, freshness_of
from pbxadmin.fleet.models import ContactFailure, ContactHour, ContactSample, Pbx, PbxHealth, WorkerProcess
from pbxadmin.fleet.pbx_sessions import open_pbx_session
from pbxadmin.ops.workers import Workers
from pbxadmin.yeastar.errors import PbxBusy, PbxForbidden, PbxLocked, PbxOtherApi, PbxOutcomeUnknown, PbxUntrusted
from tests.factories import make_pbx, make_user
from tests.pbx_http import breaks, refused, says

pytestmark = pytest.mark.django_db(transaction=True)


def read(pbx):
    with open_pbx_session(pbx, "a test", insist=True) as pbx_session:
        pbx_session.client.query_ivrs()


def sample(pbx, minutes_ago=0, ms=100, failure="", **more):
    at = timezone.now() - timedelta(minutes=minutes_ago)
    return ContactSample.objects.create(pbx=pbx, at=at, ms=ms, failure=failure, **more)


def samples_of(pbx):
    return list(ContactSample.objects.filter(pbx=pbx).order_by("pk").values_list("failure", "is_turn"))


def test_each_contact_leaves_a_sample_with_what_failed(acme, pbx_http):
    pbx = make_pbx(acme)
    read(pbx)
    pbx_http.fail("ivr/query", breaks)
    with pytest.raises(PbxOutcomeUnknown):
        read(pbx)
    pbx_http.fail("ivr/query", breaks)
    with pytest.raises(PbxOutcomeUnknown):
        read(pbx)
    read(pbx)

    assert samples_of(pbx) == [("", False), ("no-answer", True), ("no-answer", False), ("", True)]


def test_an_ivr_that_a_pbx_does_not_have_is_an_answer(acme, pbx_http):
    pbx = make_pbx(acme)
    pbx_http.fail("ivr/query", says(refused("10012")))
    read(pbx)

    assert samples_of(pbx) == [("", False)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PbxUntrusted("x"), "untrusted"),
        (PbxForbidden(), "no-connection"),
        (PbxOtherApi("x"), "other-answer"),
        (PbxLocked("20002", "x"), "locked"),
        (PbxBusy("20010", "x"), "busy"),
    ],
)
def test_the_kind_of_a_failure_is_the_narrowest(error, kind):
    assert failure_of(error) == kind


def test_finished_hours_are_counted_once_and_their_samples_deleted(acme):
    pbx, gone = make_pbx(acme), make_pbx(acme, name="GONE")
    with time_machine.travel(timezone.now().replace(minute=30)):
        for ms in (80, 100, 1000):
            sample(pbx, 65, ms)
        sample(pbx, 65, failure="no-answer", is_turn=True)
        sample(pbx, 130)
        pk = gone.pk
        gone.delete()
        sample(Pbx(pk=pk), 130)  # of a contact that ended after its record was deleted
        now = sample(pbx)

        assert contacts_roll_up() == 6
        assert contacts_roll_up() == 0
        now.delete()
        sample(pbx, 65, 100)  # saved late
        now = sample(pbx)
        assert contacts_roll_up() == 1

    hours = list(ContactHour.objects.order_by("hour"))
    assert [(hour.pbx_id, hour.answered, hour.failures, hour.turns) for hour in hours] == [
        (pbx.pk, 1, {}, 0),
        (pbx.pk, 4, {"no-answer": 1}, 1),
    ]
    health = PbxHealth.objects.get()
    assert (health.answered, health.failed, health.turns) == (5, 1, 1)
    assert 88 <= health.p50_ms <= 113
    assert 880 <= health.p95_ms <= 1130
    assert list(ContactSample.objects.all()) == [now]


def test_hours_past_their_days_are_forgotten(acme):
    pbx, now = make_pbx(acme), hour_of(timezone.now())
    for days in (settings.HEALTH_DAYS - 1, settings.HEALTH_DAYS + 1):
        ContactHour.objects.create(pbx=pbx, hour=now - timedelta(days=days), answered=1)

    contacts_roll_up()

    assert [(now - hour.hour).days for hour in ContactHour.objects.all()] == [settings.HEALTH_DAYS - 1]


def test_a_percentile_is_right_to_an_eighth():
    tally = Tally()
    for ms in range(1, 1001):
        tally.times[step_of(ms)] += 1

    assert tally.percentile(50) == pytest.approx(500, rel=0.125)
    assert tally.percentile(95) == pytest.approx(950, rel=0.125)
    assert Tally().percentile(95) is None


def test_the_page_of_a_pbx_counts_finished_hours_and_the_current_one(client, acme):
    pbx = make_pbx(acme)
    ContactHour.objects.create(
        pbx=pbx,
        hour=hour_of(timezone.now()) - timedelta(days=2),
        answered=998,
        failures={ContactFailure.LOCKED: 1},
        times={step_of(200): 998},
    )
    sample(pbx, ms=300)
    client.force_login(make_user("viewer", acme))

    page = client.get(f"/pbxs/{pbx.pk}/").content.decode()

    found = availability_of(pbx)
    assert (found.share, found.tally.total, len(found.days)) == ("99.9 %", 1000, 14)
    assert '<b data-figure="answered">99.9 %</b>' in page
    assert ": 99.8 % of 999 contacts answered; 1 locked out</title>" in page
    assert page.count(": no contact</title>") == 12


def test_a_pbx_that_was_never_talked_to_says_so(client, acme):
    client.force_login(make_user("viewer", acme))

    assert "No contact in 14 days." in client.get(f"/pbxs/{make_pbx(acme).pk}/").content.decode()


def compared(customer, name, **figures):
    pbx = make_pbx(customer, name=name, read_at=timezone.now())
    counts = {"answered": 9, "failed": 1, "turns": 0, "p50_ms": 50, "p95_ms": 100} | figures
    PbxHealth.objects.create(pbx=pbx, until=hour_of(timezone.now()), **counts)
    return pbx


def test_the_slowest_and_the_flapping_of_what_one_sees_in_a_constant_number_of_queries(client, acme, bellweather):
    slow, flaps = compared(acme, "SLOW", p95_ms=5000), compared(acme, "FLAPS", turns=6)
    compared(bellweather, "BELL-HQ", p95_ms=9000, turns=9)
    make_pbx(acme, name="OFF", is_enabled=False)
    client.force_login(make_user("viewer", acme))

    with CaptureQueriesContext(connection) as few:
        page = client.get("/pbxs/health/").content.decode()
    for place in range(12):
        compared(acme, f"ACME-{place}", turns=2)
    with CaptureQueriesContext(connection) as many:
        longer = client.get("/pbxs/health/").content.decode()

    assert "BELL" not in page
    assert "2 PBXs in use" in page
    assert page.index(f'data-slow="{slow.pk}"') < page.index(f'data-slow="{flaps.pk}"')
    assert page.count("data-flapping=") == 1
    assert longer.count("data-slow=") == longer.count("data-flapping=") == 10
    assert len(many) == len(few)


def test_each_pbx_has_one_age_and_the_list_is_narrowed_by_it(client, acme):
    ages = {"15m": 5, "1h": 30, "6h": 120, "1d": 600, "7d": 3000, "older": 20000}
    for step, minutes in ages.items():
        make_pbx(acme, name=step.upper(), read_at=timezone.now() - timedelta(minutes=minutes))
    make_pbx(acme, name="NEVER")
    client.force_login(make_user("viewer", acme))

    assert set(freshness_of(Pbx.objects.all(), timezone.now()).values()) == {1}
    for step in FRESHNESS:
        page = client.get(f"/pbxs/?read={step}").content.decode()
        assert page.count("<tr data-pbx=") == 1
        assert f"<bdi>{step.upper()}</bdi>" in page


def test_a_site_admin_sees_who_works(client, acme):
    make_pbx(acme)
    Workers(5).heart.beat()
    gone = Workers(3).heart
    with time_machine.travel(timezone.now() - timedelta(minutes=5)):
        gone.beat()

    client.force_login(make_user(Role.MANAGER, acme))
    assert 'id="workers"' not in client.get("/pbxs/health/").content.decode()

    client.force_login(User.objects.create_superuser("root"))
    found = client.get("/pbxs/health/").content.decode()
    assert (found.count('<td class="c-main mono">'), gone.name in found) == (1, False)
    assert '<td class="num" data-label="Threads">5</td>' in found


def test_a_site_admin_sees_how_far_the_siem_is(client, acme, settings, tmp_path):
    settings.EVENT_SINK = {"name": "file:///e", "scheme": "file", "form": "json", "path": str(tmp_path)}
    settings.DATA_DIR = tmp_path
    make_pbx(acme)
    record(EventAction.PBX_EDITED, customer=(acme.pk, acme.name))
    assert sink_turn(sink_address(), Event()) == 0

    client.force_login(make_user(Role.MANAGER, acme))
    assert 'id="event-sink"' not in client.get("/pbxs/health/").text
    client.force_login(User.objects.create_superuser("root"))
    found = client.get("/pbxs/health/").text

    assert '<dd class="mono">file:///e</dd>' in found
    assert re.search(r"\d events, the oldest", found)
    assert "Is a directory" in found


def test_who_stopped_working_is_forgotten():
    with time_machine.travel(timezone.now() - timedelta(minutes=5)):
        Workers(1).heart.beat()
    Workers(1).heart.beat()

    assert WorkerProcess.objects.count() == 1
