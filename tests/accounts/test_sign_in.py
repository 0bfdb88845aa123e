import re
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client, RequestFactory
from django.urls import reverse

from pbxadmin.accounts.middleware import client_address
from pbxadmin.audit.models import Event
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
HERE, ELSEWHERE = "198.51.100.7", "203.0.113.9"


def sign_in(client: Client, user: str, password: str, source: str = HERE, **more: Any) -> Any:
    return client.post(LOGIN, {"login": user, "password": password}, REMOTE_ADDR=source, **more)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_a_person_signs_in_and_lands_where_they_wanted_to_go(client: Client) -> None:
    make_user(username="mara")

    response = client.post(f"{LOGIN}?next=/customers/", {"login": "mara", "password": PASSWORD})

    assert is_signed_in(client)
    assert (response.status_code, response["Location"]) == (302, "/customers/")


def test_the_case_of_a_user_name_does_not_matter(client: Client) -> None:
    make_user(username="Mara")

    sign_in(client, "mARA", PASSWORD)

    assert is_signed_in(client)


def test_a_wrong_password_and_an_unknown_name_get_the_same_words(client: Client) -> None:
    make_user(username="mara")

    answers = [sign_in(client, name, "not this one") for name in ("mara", "nora")]

    assert [answer.status_code for answer in answers] == [422, 422]
    wrong, unknown = (answer.content.decode() for answer in answers)
    assert "User name and password do not match." in wrong
    assert wrong.replace("mara", "nora").count("do not match") == unknown.count("do not match") == 1
    assert not is_signed_in(client)


def test_the_name_has_the_focus_and_after_a_wrong_password_the_password(client: Client) -> None:
    make_user(username="mara")

    first, second = (answer.content.decode() for answer in (client.get(LOGIN), sign_in(client, "mara", "not this one")))

    assert re.findall(r'<input[^>]*name="(\w+)"[^>]*\sautofocus', first) == ["login"]
    assert re.findall(r'<input[^>]*name="(\w+)"[^>]*\sautofocus', second) == ["password"]


def test_a_disabled_person_cannot_sign_in(client: Client) -> None:
    make_user(username="mara", is_active=False)

    sign_in(client, "mara", PASSWORD)

    assert not is_signed_in(client)


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_sign_in_leads_to_our_own_pages_only(client: Client, target: str) -> None:
    make_user(username="mara")

    response = client.post(LOGIN, {"login": "mara", "password": PASSWORD, "next": target})

    assert response["Location"] == "/"


def test_fifty_wrong_passwords_from_one_source_do_not_lock_the_owner_out_elsewhere() -> None:
    make_user(username="mara")
    stranger, owner = Client(), Client()

    answers = [sign_in(stranger, "mara", f"guess {n}", HERE).content.decode() for n in range(50)]
    sign_in(owner, "mara", PASSWORD, ELSEWHERE)

    assert "Too many wrong passwords" in answers[-1]
    assert is_signed_in(owner)


def test_after_too_many_guesses_even_the_right_password_waits(client: Client) -> None:
    make_user(username="mara")
    for n in range(10):
        sign_in(client, "mara", f"guess {n}")

    sign_in(client, "MARA", PASSWORD)

    assert not is_signed_in(client)


def test_guessing_one_name_after_the_other_is_slowed_by_source(client: Client) -> None:
    make_user(username="mara")
    for n in range(30):
        sign_in(client, f"name{n}", "Summer2026!")

    sign_in(client, "mara", PASSWORD)
    assert not is_signed_in(client)

    sign_in(client, "mara", PASSWORD, ELSEWHERE)
    assert is_signed_in(client)


def test_a_guesser_cannot_get_new_tries_by_inventing_sources(client: Client) -> None:
    make_user(username="mara")
    for n in range(10):
        sign_in(client, "mara", f"guess {n}", headers={"X-Forwarded-For": f"192.0.2.{n}"})

    sign_in(client, "mara", PASSWORD, headers={"X-Forwarded-For": "192.0.2.99"})

    assert not is_signed_in(client)


def test_a_guesser_cannot_get_new_tries_from_the_same_ipv6_network(client: Client) -> None:
    make_user(username="mara")
    for n in range(10):
        sign_in(client, "mara", f"guess {n}", f"2001:db8:1:2::{n:x}")

    sign_in(client, "mara", PASSWORD, "2001:db8:1:2::ffff")

    assert not is_signed_in(client)


def test_right_passwords_do_not_use_up_the_limit(client: Client) -> None:
    make_user(username="mara")
    for _ in range(12):
        sign_in(client, "mara", PASSWORD)
        assert is_signed_in(client)
        client.post("/accounts/logout/")


@pytest.mark.parametrize(
    "page", ["signup/", "email/", "confirm-email/", "password/set/", "3rdparty/", "social/signup/"]
)
def test_nobody_can_register(client: Client, page: str) -> None:
    assert client.get(f"/accounts/{page}").status_code == 404


def test_sign_in_and_out_are_recorded_with_name_and_address(client: Client) -> None:
    mara = make_user(username="mara", first_name="Mara", last_name="Lindqvist")

    sign_in(client, "mara", PASSWORD)
    client.post(reverse("account_logout"), REMOTE_ADDR=HERE)

    events = Event.objects.filter(action__startswith="session.").order_by("id")
    assert [event.action for event in events] == ["session.signed-in", "session.signed-out"]
    for event in events:
        assert (event.chain, event.actor_id, event.actor_name) == ("installation", mara.pk, "Mara Lindqvist")
        assert event.data["address"] == HERE
        assert event.data["request_id"]


def test_a_failed_sign_in_is_recorded_without_the_password(client: Client) -> None:
    make_user(username="mara")

    sign_in(client, "mara", "almost-right-secret")
    sign_in(client, "x" * 140, "almost-right-secret")

    events = Event.objects.filter(action="session.failed").order_by("id")
    assert [event.data["detail"]["user"] for event in events] == ["mara", "x" * 140]
    assert events[0].actor_id is None
    assert all("almost-right-secret" not in event.text for event in Event.objects.all())


def test_signing_out_ends_the_session(client: Client) -> None:
    client.force_login(make_user())

    client.post(reverse("account_logout"))

    assert client.get("/customers/")["Location"].startswith(LOGIN)


def test_a_session_key_from_before_the_sign_in_is_worthless_after_it(client: Client) -> None:
    make_user(username="mara")
    client.get(LOGIN)
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key

    sign_in(client, "mara", PASSWORD)

    assert client.session.session_key != before


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "expected"),
    [
        ("198.51.100.7", "", [], "198.51.100.7"),
        ("198.51.100.7", "192.0.2.1", [], "198.51.100.7"),
        ("198.51.100.7", "192.0.2.1", ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.2", "192.0.2.1", ["10.0.0.0/8"], "192.0.2.1"),
        ("10.0.0.2", "1.1.1.1, 192.0.2.1", ["10.0.0.0/8"], "192.0.2.1"),
        ("10.0.0.2", "1.1.1.1, 192.0.2.1, 10.0.0.3", ["10.0.0.0/8"], "192.0.2.1"),
        ("10.0.0.2", "192.0.2.1, nonsense", ["10.0.0.0/8"], "10.0.0.2"),
        ("10.0.0.2", "", ["10.0.0.0/8"], "10.0.0.2"),
        ("::ffff:10.0.0.2", "192.0.2.1", ["10.0.0.0/8"], "192.0.2.1"),
        ("2001:db8::1", "2001:db8::2", ["2001:db8::1/128"], "2001:db8::2"),
        ("", "192.0.2.1", ["10.0.0.0/8"], ""),
    ],
)
def test_the_address_is_believed_from_our_own_proxies_only(
    settings: Any, remote: str, forwarded: str, proxies: list[str], expected: str
) -> None:
    settings.TRUSTED_PROXIES = proxies

    request = RequestFactory().get("/", REMOTE_ADDR=remote, headers={"X-Forwarded-For": forwarded})

    assert client_address(request) == expected


def test_an_unknown_name_costs_as_much_hashing_as_a_wrong_password(client: Client, settings: Any) -> None:
    make_user(username="mara")
    settings.PASSWORD_HASHERS = ["tests.accounts.test_sign_in.CountingHasher"]
    CountingHasher.hashed = 0

    sign_in(client, "mara", "wrong")
    known, CountingHasher.hashed = CountingHasher.hashed, 0
    sign_in(client, "nora", "wrong")

    assert CountingHasher.hashed == known == 1


class CountingHasher(MD5PasswordHasher):
    hashed = 0

    def encode(self, password: str, salt: str) -> str:
        type(self).hashed += 1
        return super().encode(password, salt)


@pytest.mark.parametrize(("remote", "status"), [("10.0.0.1", 302), ("203.0.113.9", 301)])
def test_only_a_trusted_proxy_is_believed_that_a_browser_came_by_https(client, settings, remote, status):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    settings.SECURE_SSL_REDIRECT, settings.SECURE_PROXY_SSL_HEADER = True, ("HTTP_X_FORWARDED_PROTO", "https")

    answer = client.get("/ivrs/", REMOTE_ADDR=remote, headers={"X-Forwarded-Proto": "https"})

    assert answer.status_code == status
