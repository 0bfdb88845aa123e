"""Each person sees times in a zone of their own; what is stored, counted and exported stays UTC."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from pbxadmin.access.models import Membership, User
from pbxadmin.accounts.services import time_zone_choose
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
LOGIN, CHOOSE = "/accounts/login/", "/accounts/security/time-zone/"


def zone_of(username):
    return User.objects.get(username=username).time_zone


def sign_in(client, told):
    client.cookies["zone"] = told
    assert client.post(LOGIN, {"login": "mara", "password": PASSWORD}).status_code == 302


@pytest.mark.parametrize(
    ("had", "told", "kept"),
    [
        ("", "Europe/Berlin", "Europe/Berlin"),
        ("Asia/Tokyo", "Europe/Berlin", "Asia/Tokyo"),
        ("", "Mars/Base", ""),
        ("", "../../etc/passwd", ""),
        ("", "", ""),
    ],
)
def test_the_first_sign_in_takes_the_zone_of_the_browser_and_no_later_one(client, had, told, kept):
    make_user(username="mara", time_zone=had)

    sign_in(client, told)

    assert zone_of("mara") == kept


def test_a_person_chooses_a_zone_and_every_page_shows_it(client, acme):
    client.force_login(make_user("auditor", acme, username="mara"))
    at = record(EventAction.PBX_EDITED, customer=(acme.pk, acme.name)).at.replace(tzinfo=UTC)
    assert "times are UTC" in client.get("/").content.decode()

    client.post(CHOOSE, {"time_zone": "Asia/Kolkata"})
    page = client.get("/audit/").content.decode()

    assert "times are Asia/Kolkata" in page
    there = at + timedelta(hours=5, minutes=30)
    assert f'title="{at:%Y-%m-%d %H:%M:%S} UTC">{there:%H:%M:%S}</time>' in page


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../UTC"])
def test_a_zone_that_is_not_known_is_refused(client, zone):
    client.force_login(make_user(username="mara", time_zone="Asia/Tokyo"))

    answer = client.post(CHOOSE, {"time_zone": zone})

    assert answer.status_code == 422
    assert b'data-error-for="time_zone"' in answer.content
    assert zone_of("mara") == "Asia/Tokyo"
    with pytest.raises(ValueError, match="no time zone"):
        time_zone_choose(person=User.objects.get(), time_zone=zone)


def test_a_zone_that_the_system_no_longer_knows_is_utc(client):
    client.force_login(make_user(time_zone="Pacific/Sunken"))

    assert "times are UTC" in client.get("/").content.decode()


def test_the_log_has_a_switch_between_the_own_zone_and_utc(client, acme):
    client.force_login(make_user("auditor", acme, time_zone="Asia/Tokyo"))
    at = record(EventAction.PBX_EDITED, customer=(acme.pk, acme.name), ticket="HD-1").at

    own = client.get("/audit/?ticket=HD-1").content.decode()
    utc = client.get("/audit/?ticket=HD-1&times=utc").content.decode()

    assert f">{at + timedelta(hours=9):%H:%M:%S}</time>" in own
    assert 'href="/audit/?ticket=HD-1&amp;times=utc"' in own
    assert f">{at:%H:%M:%S}</time>" in utc
    assert 'href="/audit/?ticket=HD-1"' in utc
    assert "No event matches" not in client.get("/audit/?times=utc").content.decode()


@pytest.mark.parametrize(("times", "offset"), [("", "+09:00"), ("&times=utc", "+00:00")])
def test_an_export_keeps_utc_and_adds_the_local_time_as_its_last_column(client, acme, times, offset):
    client.force_login(make_user("auditor", acme, time_zone="Asia/Tokyo"))
    event = record(EventAction.PBX_EDITED, customer=(acme.pk, acme.name))

    lines = b"".join(client.get(f"/audit/export/?action=pbx.edited{times}").streaming_content).decode("utf-8-sig")
    header, row, _ = csv.reader(io.StringIO(lines))

    assert (header[1], header[-1]) == ("at", "local_time")
    assert row[1] == json.loads(event.text)["at"]
    assert row[-1].endswith(offset)
    assert datetime.fromisoformat(row[-1]) == event.at.replace(microsecond=0)


def test_no_zone_makes_a_role_last_longer(acme, time_machine):
    """The last day of a role ends with the day in UTC, also for who has chosen a zone where it is still yesterday."""
    time_machine.move_to(datetime(2026, 7, 1, 0, 5, tzinfo=UTC))
    make_user("manager", acme, ends_on=date(2026, 6, 30))

    with timezone.override("Pacific/Pago_Pago"):
        assert not Membership.objects.current().exists()
        assert Membership.objects.get().is_over
