"""Changing a password, and setting a new one by a link in an e-mail."""

import re
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_tasks_db.models import DBTaskResult

from pbxadmin.access.models import User
from pbxadmin.accounts.tasks import mail_reset_link
from pbxadmin.audit.models import Event
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
CHANGE, RESET = "/accounts/password/change/", "/accounts/password/reset/"
NEW = "staple battery horse"


@pytest.fixture
def mara(client: Client) -> User:
    user = make_user("viewer", username="mara", email="mara@acme.example")
    client.force_login(user)
    return user


def change(client: Client, now: str = PASSWORD, new: str = NEW, again: str = NEW) -> Any:
    return client.post(CHANGE, {"oldpassword": now, "password1": new, "password2": again})


def ask(client: Client, email: str) -> Any:
    """Ask for a link, and let the worker do what was asked of it."""
    response = client.post(RESET, {"email": email})
    for result in DBTaskResult.objects.all():
        mail_reset_link.call(*result.args_kwargs["args"])
    return response


def link_in_the_mail() -> str:
    found = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", str(mail.outbox[-1].body))
    assert found is not None
    return found[1]


def set_by_link(client: Client, link: str, password: str = NEW) -> Any:
    form = client.get(link, follow=True)
    return client.post(form.redirect_chain[-1][0], {"password1": password, "password2": password})


def test_a_password_is_kept_with_argon2(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["pbxadmin.accounts.hashers.Argon2", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]

    user = make_user()

    assert user.password.startswith("argon2$argon2id$v=19$m=47104,t=2,p=1$")
    assert user.check_password(PASSWORD)


def test_a_password_of_an_older_kind_still_opens_and_is_kept_with_argon2_from_then_on(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["pbxadmin.accounts.hashers.Argon2", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    make_user(username="mara")
    User.objects.update(password=hashers.PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000))

    Client().post("/accounts/login/", {"login": "mara", "password": PASSWORD})

    assert User.objects.get().password.startswith("argon2$")


def test_a_person_changes_their_password_and_stays_signed_in(client: Client, mara: User) -> None:
    response = change(client)

    mara.refresh_from_db()
    assert (response.status_code, response["Location"]) == (302, "/accounts/security/")
    assert mara.check_password(NEW)
    assert client.get("/customers/").status_code == 200
    assert [event.actor_id for event in Event.objects.filter(action="password.changed")] == [mara.pk]


def test_a_changed_password_ends_every_other_session(client: Client, mara: User) -> None:
    other = Client()
    other.force_login(mara)

    change(client)

    assert mara.sessions.count() == 1
    assert other.get("/customers/").status_code == 302


@pytest.mark.parametrize(
    ("field", "now", "new", "again", "words"),
    [
        ("oldpassword", "wrong", NEW, NEW, "type your current password"),
        ("password1", PASSWORD, "short", "short", "at least 10 characters"),
        ("password1", PASSWORD, "1234567890", "1234567890", "too common"),
        ("password1", PASSWORD, "mara-mara-mara", "mara-mara-mara", "too similar to the user name"),
        ("password2", PASSWORD, NEW, "something else", "the same password"),
    ],
)
def test_a_password_that_will_not_do_is_refused_beside_its_field(
    client: Client, mara: User, field: str, now: str, new: str, again: str, words: str
) -> None:
    if field == "password1" and "mara" in new:
        mara.username = "mara-mara"
        mara.save()

    response = change(client, now, new, again)

    page = response.content.decode().replace("username", "user name")
    assert response.status_code == 422
    assert words in page[page.index(f'data-error-for="{field}"') :]
    mara.refresh_from_db()
    assert mara.check_password(PASSWORD)


def test_guessing_the_old_password_in_somebody_elses_open_browser_is_slowed(client: Client, mara: User) -> None:
    answers = [change(client, f"guess {n}").status_code for n in range(6)]

    assert answers == [422] * 5 + [429]


def test_who_signs_in_elsewhere_has_no_password_to_change(client: Client, mara: User) -> None:
    mara.set_unusable_password()
    mara.save()
    client.force_login(mara)

    assert client.get(CHANGE).status_code == 404
    assert CHANGE not in client.get("/accounts/security/").content.decode()


def test_a_forgotten_password_is_set_anew_by_a_link(client: Client) -> None:
    mara = make_user(username="mara", email="Mara@acme.example")

    ask(client, "mara@ACME.example")
    response = set_by_link(client, link_in_the_mail())

    mara.refresh_from_db()
    assert response["Location"] == "/accounts/password/reset/key/done/"
    assert mara.check_password(NEW)
    assert mail.outbox[0].to == ["Mara@acme.example"]
    event = Event.objects.get(action="password.reset")
    assert (event.chain, event.actor_id) == ("installation", mara.pk)


def test_a_link_works_once(client: Client) -> None:
    mara = make_user(email="mara@acme.example")
    ask(client, "mara@acme.example")
    set_by_link(client, link_in_the_mail())

    page = Client().get(link_in_the_mail(), follow=True).content.decode()

    assert "This link does not work" in page
    mara.refresh_from_db()
    assert mara.check_password(NEW)


def test_a_link_works_for_an_hour(client: Client, clock: Any) -> None:
    make_user(email="mara@acme.example")
    ask(client, "mara@acme.example")

    clock.shift(3700)

    assert "This link does not work" in client.get(link_in_the_mail(), follow=True).content.decode()


def test_a_link_does_not_sign_in_and_ends_every_session(client: Client) -> None:
    mara, signed_in = make_user(email="mara@acme.example"), Client()
    signed_in.force_login(mara)

    ask(client, "mara@acme.example")
    set_by_link(client, link_in_the_mail())

    assert "_auth_user_id" not in client.session
    assert signed_in.get("/customers/").status_code == 302
    assert not mara.sessions.exists()


def test_known_and_unknown_addresses_get_the_same_answer_for_the_same_work(client: Client) -> None:
    make_user(email="mara@acme.example")
    client.post(RESET, {"email": "warm@up.example"})

    answers, queries = [], []
    for address in ("mara@acme.example", "nora@acme.example"):
        with CaptureQueriesContext(connection) as made:
            answers.append(client.post(RESET, {"email": address}, follow=True).content)
        queries.append(len(made))

    assert answers[0] == answers[1]
    assert queries[0] == queries[1]
    assert not mail.outbox


@pytest.mark.parametrize("who", ["unknown", "disabled", "without password"])
def test_no_link_is_sent_to(client: Client, who: str) -> None:
    mara = make_user(email="mara@acme.example", is_active=who != "disabled")
    if who == "without password":
        mara.set_unusable_password()
        mara.save()

    ask(client, "nobody@acme.example" if who == "unknown" else "mara@acme.example")

    assert not mail.outbox
    assert Event.objects.filter(action="password.reset-asked").count() == 1


def test_asking_for_links_is_slowed_by_source_and_a_stranger_uses_up_nobody_elses_tries(client: Client) -> None:
    asked = [client.post(RESET, {"email": "mara@acme.example"}).status_code for _ in range(11)]
    owner = client.post(RESET, {"email": "mara@acme.example"}, REMOTE_ADDR="203.0.113.9")

    assert asked == [302] * 10 + [429]
    assert owner.status_code == 302


def test_nobody_gets_more_than_one_link_in_five_minutes(client: Client, clock: Any) -> None:
    make_user(email="mara@acme.example")

    for pause in (0, 10, 301):
        clock.shift(pause)
        mail_reset_link.call("mara@acme.example", "http://testserver")

    assert len(mail.outbox) == 2


def test_the_link_names_the_site_as_it_is_set(client: Client, settings: Any) -> None:
    settings.SITE_URL = "https://pbx.example.com"
    make_user(email="mara@acme.example")

    ask(client, "mara@acme.example")

    assert "https://pbx.example.com/accounts/password/reset/key/" in mail.outbox[0].body


def test_a_name_with_signs_stands_in_the_mail_as_it_is(client: Client) -> None:
    make_user(username="o'neil", email="o@acme.example")

    ask(client, "o@acme.example")

    assert "o'neil" in mail.outbox[0].body
