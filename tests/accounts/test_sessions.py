"""How long a session lives, and the list of one's own."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pbxadmin.access.models import Session, User
from pbxadmin.access.services import membership_end, sessions_end
from pbxadmin.accounts.services import sessions_expire, site_admin_give, site_admin_take
from pbxadmin.accounts.views.security import browser_name
from pbxadmin.audit.models import Event
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
MINUTE, HOUR = 60, 3600


@pytest.fixture
def mara() -> User:
    return make_user("viewer", username="mara")


def signed_in(user: User, **more: Any) -> Client:
    client = Client(**more)
    client.post("/accounts/login/", {"login": user.username, "password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get("/customers/").status_code == 200


def test_an_idle_session_ends(mara: User, clock: Any) -> None:
    client = signed_in(mara)

    clock.shift(settings.SESSION_IDLE_MINUTES * MINUTE - 30)
    assert is_in(client)
    clock.shift(settings.SESSION_IDLE_MINUTES * MINUTE + 30)

    assert not is_in(client)


@pytest.mark.parametrize(("method", "is_use"), [("get", False), ("post", True)])
def test_only_a_reading_that_a_page_asks_for_by_itself_is_no_use(
    mara: User, clock: Any, method: str, is_use: bool
) -> None:
    client = signed_in(mara)
    clock.shift(HOUR)
    before = Session.objects.get().expire_date

    getattr(client, method)("/filters/", headers={"X-Poll": "yes"})

    assert (Session.objects.get().expire_date > before) == is_use


def test_every_template_that_asks_in_an_interval_says_so() -> None:
    templates = (Path(settings.BASE_DIR) / "templates").rglob("*.html")
    asking = {path.name: path.read_text() for path in templates if 'hx-trigger="every ' in path.read_text()}

    assert len(asking) >= 3
    assert [name for name, text in asking.items() if "X-Poll" not in text] == []


def test_a_session_in_use_ends_too_in_the_end(mara: User, clock: Any) -> None:
    client = signed_in(mara)

    for _ in range(settings.SESSION_HOURS - 1):
        clock.shift(HOUR)
        assert is_in(client)
    clock.shift(HOUR + 1)

    assert not is_in(client)


def test_a_session_in_use_is_noted_once_a_minute(mara: User, clock: Any) -> None:
    client, notes = signed_in(mara), []

    for pause in (0, MINUTE + 1, MINUTE - 1, 2):
        clock.shift(pause)
        with CaptureQueriesContext(connection) as made:
            assert is_in(client)
        notes.append(sum(query["sql"].startswith("UPDATE") for query in made))

    assert notes == [0, 1, 0, 1]


def test_the_cookie_goes_when_the_browser_closes(mara: User) -> None:
    cookie = signed_in(mara).cookies["session"]

    assert cookie["max-age"] == cookie["expires"] == ""
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_a_person_sees_where_they_are_signed_in(mara: User) -> None:
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    signed_in(mara, headers={"User-Agent": firefox}, REMOTE_ADDR="198.51.100.7")
    here = signed_in(mara, headers={"User-Agent": "<script>"}, REMOTE_ADDR="203.0.113.9")
    signed_in(make_user(username="nora"), REMOTE_ADDR="192.0.2.1")

    page = here.get("/accounts/security/").content.decode()

    assert "Firefox on Linux" in page
    assert "198.51.100.7" in page
    assert "&lt;script&gt;" in page
    assert "192.0.2.1" not in page
    assert page.count("This one") == 1


def test_a_person_signs_out_their_others_and_nobody_elses(mara: User) -> None:
    other, here, stranger = signed_in(mara), signed_in(mara), signed_in(make_user("viewer", username="nora"))

    response = here.post("/accounts/security/sign-out-others/")

    assert response["Location"] == "/accounts/security/"
    assert (is_in(other), is_in(here), is_in(stranger)) == (False, True, True)
    event = Event.objects.get(action="session.ended")
    assert event.data["detail"] == {"user_id": mara.pk, "user": "mara", "sessions": 1}


def test_signing_out_others_needs_a_form(mara: User) -> None:
    client = signed_in(mara)

    assert client.get("/accounts/security/sign-out-others/").headers["Location"] == "/accounts/security/"
    assert Client().post("/accounts/security/sign-out-others/").status_code == 302


def test_a_disabled_person_is_out_at_once(mara: User) -> None:
    client = signed_in(mara)

    User.objects.update(is_active=False)

    assert not is_in(client)


def test_ended_sessions_do_not_come_back_with_the_person(mara: User) -> None:
    client = signed_in(mara)

    User.objects.update(is_active=False)
    assert sessions_end(user=mara) == 1
    User.objects.update(is_active=True)

    assert not is_in(client)


def test_taking_a_role_away_ends_the_sessions(mara: User) -> None:
    client = signed_in(mara)

    membership_end(membership=mara.memberships.get())

    assert not is_in(client)


def test_a_site_admin_who_is_none_any_more_is_out_at_once(mara: User) -> None:
    make_user(username="second", is_superuser=True)
    site_admin_give(user=mara)
    client = signed_in(mara)

    site_admin_take(user=mara)

    assert not is_in(client)


def test_a_role_that_has_ended_is_gone_at_the_next_request(mara: User) -> None:
    client = signed_in(mara)

    mara.memberships.update(ends_on=date(2020, 1, 1))

    assert "No customers" in client.get("/customers/").content.decode()


def test_sessions_that_are_over_are_removed(mara: User, clock: Any) -> None:
    signed_in(mara)
    clock.shift(settings.SESSION_HOURS * HOUR + 1)
    signed_in(mara)

    assert sessions_expire() == 1
    assert Session.objects.count() == 1


def test_an_earlier_secret_key_still_opens_sessions(mara: User, settings: Any) -> None:
    client, old = signed_in(mara), settings.SECRET_KEY

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-" + "y" * 40, [old]
    assert is_in(client)
    settings.SECRET_KEY_FALLBACKS = []
    assert is_in(client)  # it was signed anew

    settings.SECRET_KEY = "a-third-" + "z" * 40
    assert not is_in(client)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/129.0 Safari/537.36 Edg/129.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_0) AppleWebKit/605 Version/17.0 Safari/605", "Safari on Mac"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/129.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604", "Safari on iPhone"),
        ("something of their own", "something of their own"),
        ("", "Unknown"),
    ],
)
def test_a_browser_has_a_short_name(told: str, name: str) -> None:
    assert browser_name(told) == name
