"""Invitations: who may send them, what is mailed, and what somebody gets who opens the link."""

import datetime as dt
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core import mail
from django.test import Client
from django.utils import timezone

from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_grant, membership_set_end
from pbxadmin.accounts.invitations import (
    MOST_AN_HOUR,
    InvitationGone,
    digest,
    invitation_accept,
    invitation_create,
    invitation_renew,
    invitation_withdraw,
)
from pbxadmin.accounts.models import Invitation
from pbxadmin.accounts.services import person_disable
from pbxadmin.audit.models import Event
from pbxadmin.env import EMAIL_BACKENDS
from pbxadmin.web.logs import hide_links
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
CHOSEN = {"username": "nora", "password": "plenty of horses", "again": "plenty of horses"}
ACCEPT = "/invitations/"


@pytest.fixture
def manager(client: Client, acme: Customer) -> User:
    user = make_user("manager", acme, username="sue", first_name="Sue", last_name="Marsh", email="sue@example.com")
    client.force_login(user)
    return user


@pytest.fixture
def offer(acme: Customer) -> dict[str, Any]:
    return {"email": "nora@example.com", "name": "Nora Quist", "customer": acme.pk, "role": "helpdesk"}


@pytest.fixture
def link(client: Client, manager: User, offer: dict[str, Any]) -> str:
    """Nora is invited as helpdesk of Acme; this is the path of the link in her e-mail."""
    assert client.post("/people/invite/", offer).status_code == 302
    return mailed_link()


def mailed_link() -> str:
    return str(re.findall(r"http://testserver(/invitations/\S+/)", str(mail.outbox[-1].body))[0])


def opened(link: str) -> Client:
    """A browser of somebody else, who opened a link that works."""
    client = Client()
    assert client.get(link)["Location"] == ACCEPT
    return client


def is_closed(answer: Any) -> bool:
    return answer.status_code == 404 and "This link opens nothing" in answer.content.decode()


# Sending


def test_an_invitation_is_mailed_with_all_that_one_needs_to_know(
    client: Client, manager: User, offer: dict[str, Any]
) -> None:
    day = timezone.localdate() + dt.timedelta(days=90)

    answer = client.post("/people/invite/", offer | {"ends_on": f"{day}"})

    assert answer["Location"] == "/people/invitations/"
    (sent,) = mail.outbox
    assert (sent.subject, sent.to, sent.cc, sent.bcc) == ("You are invited to PBX Admin", ["nora@example.com"], [], [])
    assert sent.from_email == "PBX Admin <pbxadmin@localhost>"
    assert "Hello Nora Quist," in sent.body
    assert f"Sue Marsh invites you to PBX Admin, as helpdesk of Acme Logistics until {day}." in sent.body
    assert re.search(r"^http://testserver/invitations/[A-Za-z0-9_-]{43}/$", str(sent.body), re.MULTILINE)
    assert "on its way to nora@example.com" in client.get("/people/invitations/").content.decode()


def test_the_link_leads_to_the_address_that_the_settings_name(
    client: Client, manager: User, offer: dict[str, Any], settings: Any
) -> None:
    settings.SITE_URL = "https://pbx.example.com"

    client.post("/people/invite/", offer)

    assert "\nhttps://pbx.example.com/invitations/" in mail.outbox[0].body


def test_a_forged_host_gets_no_link_mailed(client: Client, manager: User, offer: dict[str, Any]) -> None:
    answer = client.post("/people/invite/", offer, headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert mail.outbox == []


def test_only_a_digest_of_the_link_is_kept(client: Client, link: str) -> None:
    token = link.split("/")[2]

    kept = [str(value) for row in Invitation.objects.values() for value in row.values()]
    written = [event.text for event in Event.objects.all()]

    assert digest(token) in kept
    assert not any(token in text for text in [*kept, *written])
    assert token not in client.get("/people/invitations/").content.decode()


def test_log_lines_do_not_hold_the_link() -> None:
    line = {
        "request": "GET /invitations/s3cret/?x=1",
        "event": "At /accounts/password/reset/key/1-s3cret/",
        "n": 1,
    }

    assert hide_links(None, "info", line) == {
        "request": "GET /invitations/…/?x=1",
        "event": "At /accounts/password/reset/key/…/",
        "n": 1,
    }


def test_an_invitation_is_recorded_in_the_customers_log(
    client: Client, manager: User, acme: Customer, link: str
) -> None:
    event = Event.objects.get(action="invitation.sent")

    assert (event.chain, event.actor_id) == (f"customer:{acme.pk}", manager.pk)
    assert event.data["detail"] == {
        "invitation_id": Invitation.objects.get().pk,
        "email": "nora@example.com",
        "name": "Nora Quist",
        "role": "helpdesk",
        "ends_on": "",
    }


@pytest.mark.parametrize(
    ("values", "bad"),
    [
        ({"email": ""}, "email"),
        ({"email": "nora"}, "email"),
        ({"email": "nora@example.com\nBcc: x@example.com"}, "email"),
        ({"email": "nora@example.com, x@example.com"}, "email"),
        ({"email": "SUE@Example.com"}, "email"),
        ({"name": ""}, "name"),
        ({"name": "Nora\r\nBcc: x@example.com"}, "name"),
        ({"name": "Nora\nhttp://evil.example"}, "name"),
        ({"name": "N" * 151}, "name"),
        ({"customer": "all"}, "customer"),
        ({"customer": "{bellweather}"}, "customer"),
        ({"customer": ""}, "customer"),
        ({"role": "auditor"}, "role"),
        ({"role": "admin"}, "role"),
        ({"ends_on": "2020-01-01"}, "ends_on"),
    ],
)
def test_a_bad_invitation_is_shown_again_and_nothing_is_mailed(
    client: Client, manager: User, bellweather: Customer, offer: dict[str, Any], values: dict[str, str], bad: str
) -> None:
    sent = {name: value.format(bellweather=bellweather.pk) for name, value in values.items()}

    answer = client.post("/people/invite/", offer | sent)

    assert answer.status_code == 422
    assert f'data-error-for="{bad}"' in answer.content.decode()
    assert "Bellweather" not in answer.content.decode()
    assert (mail.outbox, Invitation.objects.count()) == ([], 0)


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "auditor"])
def test_only_those_who_manage_people_invite(client: Client, acme: Customer, offer: dict[str, Any], role: str) -> None:
    client.force_login(make_user(role, acme))

    answers = [client.get("/people/invite/"), client.post("/people/invite/", offer), client.get("/people/invitations/")]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert mail.outbox == []


def test_nothing_tells_whether_somebody_out_of_sight_has_an_account(
    client: Client, manager: User, bellweather: Customer, offer: dict[str, Any]
) -> None:
    make_user("viewer", bellweather, username="nora", email="nora@example.com")

    known = client.post("/people/invite/", offer)
    unknown = client.post("/people/invite/", offer | {"email": "other@example.com"})

    assert (known.status_code, known.content, known["Location"]) == (302, unknown.content, unknown["Location"])


def test_the_same_offer_twice_is_refused_whatever_the_case_of_the_address(
    client: Client, manager: User, offer: dict[str, Any]
) -> None:
    client.post("/people/invite/", offer)

    again = client.post("/people/invite/", offer | {"email": "NORA@Example.COM"})
    another = client.post("/people/invite/", offer | {"role": "viewer"})

    assert (again.status_code, another.status_code) == (422, 302)
    assert "This address has such an invitation." in again.content.decode()


def test_nobody_floods_the_world_with_invitations(client: Client, manager: User, offer: dict[str, Any]) -> None:
    for n in range(MOST_AN_HOUR):
        assert client.post("/people/invite/", offer | {"email": f"n{n}@example.com"}).status_code == 302

    answer = client.post("/people/invite/", offer)

    assert answer.status_code == 422
    assert "Go on a little later." in answer.content.decode()
    assert len(mail.outbox) == MOST_AN_HOUR
    Invitation.objects.update(created_at=timezone.now() - dt.timedelta(hours=1))
    assert client.post("/people/invite/", offer).status_code == 302


def test_an_invitation_that_was_only_printed_is_not_called_on_its_way(
    client: Client, manager: User, offer: dict[str, Any], settings: Any, capsys: Any
) -> None:
    settings.EMAIL_BACKEND = EMAIL_BACKENDS["console"]

    client.post("/people/invite/", offer)

    assert "http://testserver/invitations/" in capsys.readouterr().out
    page = client.get("/people/invitations/").content.decode()
    assert "the e-mail was printed where PBX Admin runs" in page
    assert "on its way" not in page


def test_a_mail_server_that_is_away_is_said_and_the_invitation_can_be_sent_again(
    client: Client, manager: User, offer: dict[str, Any], settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1

    client.post("/people/invite/", offer)
    page = client.get("/people/invitations/").content.decode()

    assert "The mail server did not take the invitation." in page
    assert "Not mailed" in page


def test_a_line_of_another_library_does_not_hold_the_link_either() -> None:
    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "Broken: %s", ("/invitations/s3cret/",), None)
    formatters: Any = settings.LOGGING["formatters"]
    given = {name: value for name, value in formatters["json"].items() if name != "()"}

    line = structlog.stdlib.ProcessorFormatter(**given).format(record)

    assert "Broken: /invitations/" in line
    assert "s3cret" not in line


# The list


def test_the_list_shows_invitations_for_own_customers_only(
    client: Client, manager: User, link: str, bellweather: Customer
) -> None:
    other = make_user("manager", bellweather)
    invitation_create(
        by=other, email="bea@example.com", name="Bea", role=Role.VIEWER, customer=bellweather, ends_on=None
    )

    page = client.get("/people/invitations/").content.decode()

    assert "nora@example.com" in page
    assert "bea@example.com" not in page


@pytest.mark.parametrize("what", ["send", "withdraw"])
def test_an_invitation_out_of_sight_or_of_more_than_ones_own_rights_cannot_be_touched(
    client: Client, manager: User, acme: Customer, bellweather: Customer, what: str
) -> None:
    admin = make_user(is_superuser=True)
    values: dict[str, Any] = {"by": admin, "email": "bea@example.com", "name": "Bea", "ends_on": None}
    theirs, _ = invitation_create(role=Role.VIEWER, customer=bellweather, **values)
    of_all, _ = invitation_create(role=Role.VIEWER, customer=None, **values)
    auditor, _ = invitation_create(role=Role.AUDITOR, customer=acme, **values)
    Invitation.objects.update(renewed_at=timezone.now() - dt.timedelta(hours=1))

    answers = [client.post(f"/people/invitations/{one.pk}/{what}/").status_code for one in (theirs, of_all, auditor)]

    assert answers == [404, 404, 403]
    assert Invitation.objects.open().count() == 3
    assert mail.outbox == []


def test_sending_again_makes_a_new_link_and_closes_the_old_one(
    client: Client, manager: User, link: str, time_machine: Any
) -> None:
    url = f"/people/invitations/{Invitation.objects.get().pk}/send/"
    client.post(url)
    assert len(mail.outbox) == 1  # not so soon

    time_machine.move_to(timezone.now() + dt.timedelta(days=8))
    client.force_login(manager)
    client.post(url)

    assert is_closed(Client().get(link))
    assert Client().get(mailed_link())["Location"] == ACCEPT
    assert Event.objects.filter(action="invitation.sent").count() == 2


@pytest.mark.parametrize("meanwhile", ["renewed", "withdrawn", "accepted"])
def test_what_somebody_else_did_meanwhile_is_not_sent_over(manager: User, link: str, meanwhile: str) -> None:
    Invitation.objects.update(renewed_at=timezone.now() - dt.timedelta(hours=1))
    seen = Invitation.objects.get()
    Invitation.objects.update(**{f"{meanwhile}_at": timezone.now()})

    with pytest.raises(InvitationGone):
        invitation_renew(invitation=seen, by=manager)

    assert Invitation.objects.get().token_digest == digest(link.split("/")[2])


def test_get_sends_and_withdraws_nothing(client: Client, manager: User, link: str) -> None:
    pk = Invitation.objects.get().pk

    assert [client.get(f"/people/invitations/{pk}/{what}/").status_code for what in ("send", "withdraw")] == [302, 302]


# Accepting


def test_somebody_invited_makes_an_account_and_has_the_role(client: Client, acme: Customer, link: str) -> None:
    theirs = opened(link)
    page = theirs.get(ACCEPT).content.decode()
    assert "Sue Marsh</bdi> invites you as helpdesk of <b><bdi>Acme Logistics" in page

    answer = theirs.post(ACCEPT, CHOSEN)

    assert answer["Location"] == "/invitations/accepted/"
    assert "Your account is ready" in theirs.get(answer["Location"]).content.decode()
    nora = User.objects.get(username="nora")
    assert (nora.display_name, nora.email, nora.is_superuser, nora.is_staff) == (
        "Nora Quist",
        "nora@example.com",
        False,
        False,
    )
    assert list(nora.memberships.values_list("customer_id", "role", "ends_on")) == [(acme.pk, "helpdesk", None)]
    assert EmailAddress.objects.filter(user=nora, email="nora@example.com", verified=True, primary=True).exists()
    theirs.post("/accounts/login/", {"login": "nora", "password": CHOSEN["password"]})
    assert theirs.get(f"/customers/{acme.pk}/").status_code == 200


def test_accepting_is_recorded_as_done_by_the_new_person(
    client: Client, manager: User, acme: Customer, link: str
) -> None:
    opened(link).post(ACCEPT, CHOSEN)

    nora = User.objects.get(username="nora")
    events = Event.objects.filter(actor_id=nora.pk).order_by("id")
    assert [(event.action, event.chain) for event in events] == [
        ("person.added", "installation"),
        ("invitation.accepted", f"customer:{acme.pk}"),
        ("membership.granted", f"customer:{acme.pk}"),
    ]
    assert all(CHOSEN["password"] not in event.text for event in Event.objects.all())


@pytest.mark.parametrize(
    ("values", "bad"),
    [
        ({"username": ""}, "username"),
        ({"username": "SUE"}, "username"),
        ({"username": "ｓｕｅ"}, "username"),
        ({"username": "no spaces"}, "username"),
        ({"username": "x" * 151}, "username"),
        ({"password": "short", "again": "short"}, "password"),
        ({"password": "password123", "again": "password123"}, "password"),
        ({"password": "nora@example.com", "again": "nora@example.com"}, "password"),
        ({"password": ""}, "password"),
        ({"again": "something else"}, "again"),
        ({"again": ""}, "again"),
    ],
)
def test_a_bad_choice_is_shown_beside_its_field_and_the_link_still_works(
    link: str, values: dict[str, str], bad: str
) -> None:
    theirs = opened(link)

    answer = theirs.post(ACCEPT, CHOSEN | values)

    assert answer.status_code == 422
    assert answer.content.decode().count(f'data-error-for="{bad}"') == 1
    assert CHOSEN["password"] not in answer.content.decode()
    assert User.objects.count() == 1
    assert theirs.post(ACCEPT, CHOSEN).status_code == 302


@pytest.mark.parametrize(
    "field", ["is_superuser", "is_staff", "role", "customer", "email", "name", "ends_on", "invitation"]
)
def test_further_fields_give_nothing_more(bellweather: Customer, acme: Customer, link: str, field: str) -> None:
    forged = {"role": "manager", "customer": bellweather.pk, "email": "sue@example.com", "name": "Site Admin"}

    opened(link).post(ACCEPT, CHOSEN | {field: forged.get(field, "1")})

    nora = User.objects.get(username="nora")
    assert (nora.is_superuser, nora.is_staff, nora.email, nora.display_name) == (
        False,
        False,
        "nora@example.com",
        "Nora Quist",
    )
    assert list(nora.memberships.values_list("customer_id", "role", "ends_on")) == [(acme.pk, "helpdesk", None)]


def test_the_page_that_accepts_has_no_token_in_its_address_and_the_link_goes_no_further(link: str) -> None:
    answer = Client().get(link)

    assert (answer.status_code, answer["Location"]) == (302, ACCEPT)
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "no-store, private"


def test_the_session_holds_only_a_digest(link: str) -> None:
    theirs = opened(link)

    assert link.split("/")[2] not in str(dict(theirs.session))


def use_it(link: str) -> None:
    opened(link).post(ACCEPT, CHOSEN)


def expire_it(link: str) -> None:
    Invitation.objects.update(expires_at=timezone.now())


def withdraw_it(link: str) -> None:
    invitation_withdraw(invitation=Invitation.objects.get())


def outlive_it(link: str) -> None:
    Invitation.objects.update(ends_on=timezone.localdate() - dt.timedelta(days=1))


def disable_the_inviter(link: str) -> None:
    person_disable(user=User.objects.get(username="sue"))


def demote_the_inviter(link: str) -> None:
    User.objects.get(username="sue").memberships.update(role=Role.HELPDESK)


ENDS = [use_it, expire_it, withdraw_it, outlive_it, disable_the_inviter, demote_the_inviter]


@pytest.mark.parametrize("end", ENDS)
def test_a_link_that_is_over_opens_nothing_and_answers_like_one_that_never_was(
    link: str, end: Callable[[str], None]
) -> None:
    end(link)

    answers = [Client().get(url) for url in (link, "/invitations/never-was/", f"/invitations/{'x' * 43}/", ACCEPT)]

    assert all(is_closed(answer) for answer in answers)
    assert len({answer.content for answer in answers}) == 1
    assert {answer["Referrer-Policy"] for answer in answers[:3]} == {"no-referrer"}


@pytest.mark.parametrize("end", ENDS)
def test_a_page_that_was_open_when_the_link_ended_makes_no_account(link: str, end: Callable[[str], None]) -> None:
    theirs = opened(link)
    end(link)

    answer = theirs.post(ACCEPT, CHOSEN | {"username": "second"})

    assert is_closed(answer)
    assert not User.objects.filter(username="second").exists()


def test_two_at_once_get_one_account(link: str) -> None:
    invitation, late = Invitation.objects.get(), Invitation.objects.get()
    invitation_accept(invitation=invitation, user=make_user(username="first"))

    with pytest.raises(InvitationGone):
        invitation_accept(invitation=late, user=make_user(username="second"))

    assert not User.objects.get(username="second").memberships.exists()


def test_seven_days_are_seven_days(link: str, time_machine: Any) -> None:
    made = Invitation.objects.get().created_at

    time_machine.move_to(made + dt.timedelta(days=7, seconds=-2), tick=False)
    assert Client().get(link).status_code == 302

    time_machine.move_to(made + dt.timedelta(days=7, seconds=2), tick=False)
    assert is_closed(Client().get(link))


def test_who_has_an_account_signs_in_and_accepts_with_it(link: str, acme: Customer, bellweather: Customer) -> None:
    nora = make_user("viewer", bellweather, username="nora", email="Nora@Example.com")
    theirs = opened(link)
    page = theirs.get(ACCEPT).content.decode()
    assert "There is an account with your address already." in page
    assert theirs.post(ACCEPT, CHOSEN | {"username": "nora2"}).status_code == 422

    answer = theirs.post(f"/accounts/login/?next={ACCEPT}", {"login": "nora", "password": PASSWORD})
    assert answer["Location"] == ACCEPT
    assert "Accept as nora" in theirs.get(ACCEPT).content.decode()
    theirs.post(ACCEPT)

    assert User.objects.count() == 2
    assert set(nora.memberships.values_list("customer_id", "role")) == {
        (acme.pk, "helpdesk"),
        (bellweather.pk, "viewer"),
    }
    assert Event.objects.get(action="invitation.accepted").actor_id == nora.pk
    assert is_closed(theirs.get(ACCEPT))


def test_an_invitation_gives_what_its_sender_may_give_when_it_is_accepted(
    client: Client, manager: User, acme: Customer, link: str
) -> None:
    """Somebody else may take over: sending it again puts it under their right."""
    other = make_user("manager", acme, username="max")
    disable_the_inviter(link)
    Invitation.objects.update(renewed_at=timezone.now() - dt.timedelta(hours=1))
    client.force_login(other)

    client.post(f"/people/invitations/{Invitation.objects.get().pk}/send/")

    assert Client().get(mailed_link())["Location"] == ACCEPT


def test_a_site_admin_invites_for_all_customers(client: Client, offer: dict[str, Any]) -> None:
    client.force_login(make_user(is_superuser=True))

    client.post("/people/invite/", offer | {"customer": "all", "role": "auditor"})
    opened(mailed_link()).post(ACCEPT, CHOSEN)

    assert User.objects.get(username="nora").memberships.filter(customer=None, role="auditor").exists()
    assert Event.objects.get(action="invitation.accepted").chain == "installation"


def test_forms_need_a_token(link: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.get(link)

    assert strict.post(ACCEPT, CHOSEN).status_code == 403
    assert not User.objects.filter(username="nora").exists()


def test_granting_by_invitation_leaves_other_roles_alone(link: str, acme: Customer) -> None:
    ada = make_user("viewer", acme, username="ada")
    membership_grant(user=ada, role=Role.AUDITOR, customer=None)

    invitation_accept(invitation=Invitation.objects.get(), user=ada)

    assert set(ada.memberships.values_list("role", flat=True)) == {"viewer", "auditor", "helpdesk"}


@pytest.mark.parametrize(
    ("had", "offered", "kept"),
    [(None, 30, None), (60, 30, 60), (30, 30, 30), (30, 60, 60), (-1, 30, 30), (30, None, None), (None, None, None)],
)
def test_it_takes_nothing_away_from_who_has_the_role_longer(
    link: str, acme: Customer, had: int | None, offered: int | None, kept: int | None
) -> None:
    day = {days: timezone.localdate() + dt.timedelta(days=days) for days in (-1, 30, 60)} | {None: None}
    Invitation.objects.update(ends_on=day[offered])
    nora = make_user("helpdesk", acme, username="nora", email="nora@example.com", ends_on=day[had])
    theirs = opened(link)
    theirs.force_login(nora)

    theirs.post(ACCEPT)

    assert Invitation.objects.get().accepted_by == nora
    assert [found.ends_on for found in nora.memberships.filter(role="helpdesk", customer=acme)] == [day[kept]]


def test_it_is_worth_nothing_once_it_outlives_the_role_of_whoever_sent_it(
    client: Client, manager: User, link: str
) -> None:
    membership_set_end(membership=manager.memberships.get(), ends_on=timezone.localdate() + dt.timedelta(days=30))

    assert Client().get(link).status_code == 404


def test_nobody_sends_one_again_that_outlives_their_own_role(client: Client, manager: User, link: str) -> None:
    invitation = Invitation.objects.get()
    Invitation.objects.update(renewed_at=timezone.now() - dt.timedelta(hours=1))
    other = make_user("manager", invitation.customer, username="tim")
    membership_set_end(membership=other.memberships.get(), ends_on=timezone.localdate())
    client.force_login(User.objects.get(pk=other.pk))

    client.post(f"/people/invitations/{invitation.pk}/send/")

    assert len(mail.outbox) == 1
    assert "for longer than you have yours" in client.get("/people/invitations/").content.decode()
