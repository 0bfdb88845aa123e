"""The clock of a PBX: what it told, how far it is from ours, and that its page says so."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from pbxadmin.access.models import Customer
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_clock import clock_told
from pbxadmin.fleet.pbx_sessions import identity_columns
from pbxadmin.yeastar.readings import DeviceInfo
from tests.factories import make_pbx, make_user

AT = datetime(2026, 3, 29, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "zone", "words"),
    [
        ("2026-03-29 12:00:02 UTC+0", "UTC+0", "as ours"),
        ("2026-03-29 04:00:59 UTC-8", "UTC-8", "as ours"),
        ("2026-03-29 17:35:00 UTC+5:30", "UTC+5:30", "5 min ahead of ours"),
        ("2026-03-29 11:00:00 UTC+2", "UTC+2", "3 h behind ours"),
        ("2017-05-24 23:25:20 UTC-8", "UTC-8", "3230 d behind ours"),
    ],
)
def test_it_is_compared_with_our_clock(told: str, zone: str, words: str) -> None:
    clock = clock_told(told, AT)

    assert clock is not None
    assert (clock.zone, clock.words) == (zone, words)
    assert clock.agrees is (words == "as ours")


@pytest.mark.parametrize(
    "told", ["", "03:25:04", "2026-13-29 12:00:00 UTC+0", "2026-03-29 12:00:00", "0001-01-01 00:00:00 UTC+99"]
)
def test_what_is_no_time_says_nothing(told: str) -> None:
    assert clock_told(told, AT) is None


@pytest.mark.django_db
def test_the_page_of_a_pbx_says_how_far_its_clock_is_off(client: Client, acme: Customer) -> None:
    pbx = make_pbx(acme)
    Pbx.objects.update(clock="2026-03-29 13:05:00 UTC+1", identity_at=AT)
    client.force_login(make_user(is_superuser=True))

    page = client.get(pbx.get_absolute_url()).content.decode()

    assert "5 min ahead of ours" in page
    assert "UTC+1" in page


@pytest.mark.django_db
def test_what_a_pbx_tells_at_its_sign_in_is_kept(acme: Customer) -> None:
    told = DeviceInfo(serial="1", clock="2026-03-29 13:05:00 UTC+1")

    assert identity_columns(make_pbx(acme), told)["clock"] == told.clock
