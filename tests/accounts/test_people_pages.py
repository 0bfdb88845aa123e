"""The pages of people: who sees whom, who may change what, and what is recorded of it."""

import datetime as dt
import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from pbxadmin.access.models import Customer, Membership, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_grant
from pbxadmin.accounts.services import person_disable, site_admin_take
from pbxadmin.audit.models import Event
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
SENT = "/accounts/login/?next="


@pytest.fixture
def mara(acme: Customer) -> User:
    return make_user("helpdesk", acme, username="mara", first_name="Mara", last_name="Lindqvist")


@pytest.fixture
def manager(client: Client, acme: Customer) -> User:
    user = make_user("manager", acme, username="sue")
    client.force_login(user)
    return user


@pytest.fixture
def admin(client: Client) -> User:
    user = make_user(username="admin", is_superuser=True)
    client.force_login(user)
    return user


def posts_on(person: User) -> list[str]:
    """Every address under a person's page that takes a form."""
    membership = person.memberships.first()
    paths = ["edit", "roles", "disable", "enable", "reset-second-factor", "make-admin", "take-admin"]
    paths += [f"roles/{membership.pk}/end", f"roles/{membership.pk}/last-day"] if membership else []
    return [f"/people/{person.pk}/{path}/" for path in paths]


def facts(person: User) -> tuple[Any, ...]:
    """What must not change: the account and its roles."""
    account = User.objects.values_list(
        "username", "first_name", "email", "is_active", "is_superuser", "is_staff", "password"
    ).get(pk=person.pk)
    return (account, list(person.memberships.order_by("pk").values_list("customer_id", "role", "ends_on")))


# Who sees whom


@pytest.mark.parametrize("url", ["/people/", "/people/1/"])
def test_nobody_sees_people_without_signing_in(client: Client, url: str) -> None:
    assert client.get(url)["Location"] == f"{SENT}{url}"


@pytest.mark.parametrize("role", ["viewer", "helpdesk"])
def test_the_list_is_for_those_who_manage_people_or_review(
    client: Client, acme: Customer, mara: User, role: str
) -> None:
    client.force_login(make_user(role, acme))

    assert client.get("/people/").status_code == 403
    assert client.get(f"/people/{mara.pk}/").status_code == 404
    assert "/people/" not in client.get(f"/customers/{acme.pk}/").content.decode()
    assert Event.objects.filter(action="access.denied").count() == 1


def test_an_auditor_sees_people_of_their_customers_and_changes_nothing(
    client: Client, acme: Customer, bellweather: Customer, mara: User
) -> None:
    auditor = make_user("auditor", acme, username="ada")
    bea = make_user("helpdesk", bellweather, username="bea")
    membership_grant(user=mara, role=Role.MANAGER, customer=bellweather)
    former = make_user("helpdesk", acme, username="former", ends_on=timezone.now().date() - dt.timedelta(days=1))
    client.force_login(auditor)

    listed, page = (client.get(path).content.decode() for path in ("/people/", f"/people/{mara.pk}/"))
    own = client.get(f"/people/{auditor.pk}/").content.decode()
    gone = client.get(f"/people/{former.pk}/").content.decode()

    assert "Mara Lindqvist" in listed
    assert not re.search(r"\bbea\b", listed)
    assert "Bellweather" not in listed + page
    assert "/people/invite/" not in listed
    assert "api-keys" not in page
    for pk, text in ((mara.pk, page), (auditor.pk, own), (former.pk, gone)):
        assert f'action="/people/{pk}' not in text
    assert client.get(f"/people/{bea.pk}/").status_code == 404
    assert client.get("/people/invitations/").status_code == 403
    assert f"/people/{bea.pk}/" not in client.get("/search/?q=bea").content.decode()
    assert client.post(f"/people/{former.pk}/edit/", {"name": "Other"}).status_code == 403


def test_a_manager_who_reviews_another_customer_changes_nobody_there(
    client: Client, manager: User, bellweather: Customer
) -> None:
    membership_grant(user=manager, role=Role.AUDITOR, customer=bellweather)
    bea = make_user("helpdesk", bellweather, username="bea")
    before = facts(bea)

    assert "Give a role" not in client.get(f"/people/{bea.pk}/").content.decode()
    assert {client.post(url, {"role": "viewer"}).status_code for url in posts_on(bea)} == {403}
    assert facts(bea) == before


def test_a_manager_sees_people_of_their_customers_and_nobody_else(
    client: Client, manager: User, mara: User, bellweather: Customer
) -> None:
    make_user("helpdesk", bellweather, username="bea")
    make_user("auditor", username="ada")
    make_user(username="nobody")
    make_user(username="root", is_superuser=True)

    page = client.get("/people/").content.decode()

    assert 'href="/people/"' in page
    assert page.count("data-person=") == 2  # mara, and the manager
    assert "Mara Lindqvist" in page
    assert not [name for name in ("bea", "ada", "nobody", "root") if f">{name}<" in page]


def test_a_manager_sees_only_the_roles_for_their_customers(
    client: Client, manager: User, mara: User, bellweather: Customer
) -> None:
    membership_grant(user=mara, role=Role.MANAGER, customer=bellweather)

    for url in ("/people/", f"/people/{mara.pk}/", "/people/?role=helpdesk"):
        page = client.get(url).content.decode()
        assert "Mara Lindqvist" in page
        assert "Bellweather" not in page


@pytest.mark.parametrize("query", ["role=manager", "customer={bellweather}", "role=boss", "customer=x", "q=%00"])
def test_filters_tell_a_manager_nothing_of_roles_elsewhere(
    client: Client, manager: User, mara: User, bellweather: Customer, query: str
) -> None:
    membership_grant(user=mara, role=Role.MANAGER, customer=bellweather)

    page = client.get(f"/people/?{query.format(bellweather=bellweather.pk)}").content.decode()

    assert "Mara" not in page
    assert "Bellweather" not in page


def test_a_site_admin_sees_everybody(client: Client, admin: User, mara: User, bellweather: Customer) -> None:
    make_user("helpdesk", bellweather, username="bea")
    make_user(username="nobody")

    page = client.get("/people/").content.decode()

    assert page.count("data-person=") == 4
    assert "Helpdesk of <bdi>Bellweather Clinics</bdi>" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=MARA", True),
        ("q=lindqvist+mar", True),
        ("q=mara%40example.com", True),
        ("q=mara+osei", False),
        ("q=%25", False),
        ("role=helpdesk", True),
        ("role=viewer", False),
        ("customer={acme}", True),
        ("customer={acme}&role=helpdesk&q=mara", True),
        ("customer={bellweather}", False),
        ("customer=4711", False),
    ],
)
def test_the_list_is_narrowed_by_words_customer_and_role(
    client: Client, admin: User, acme: Customer, bellweather: Customer, mara: User, query: str, found: bool
) -> None:
    mara.email = "mara@example.com"
    mara.save()

    page = client.get(f"/people/?{query.format(acme=acme.pk, bellweather=bellweather.pk)}").content.decode()

    assert ("Mara Lindqvist" in page) is found
    assert found or "Nobody matches" in page


def test_htmx_gets_the_table_alone(client: Client, admin: User, mara: User) -> None:
    answer = client.get("/people/", headers={"HX-Request": "true", "HX-Target": "person-table"})

    assert answer.content.decode().lstrip().startswith('<div id="person-table"')


def test_the_list_takes_few_queries_however_long_it_is(
    client: Client, admin: User, acme: Customer, django_assert_max_num_queries: Any
) -> None:
    for n in range(60):
        make_user("viewer", acme, username=f"user{n:03}")

    with django_assert_max_num_queries(7):
        page = client.get("/people/").content.decode()

    assert page.count("data-person=") == 50
    assert 'rel="next"' in page


def test_somebody_not_visible_is_answered_like_nobody(client: Client, manager: User, bellweather: Customer) -> None:
    bea = make_user("helpdesk", bellweather, username="bea")
    before = facts(bea)

    theirs, none = client.get(f"/people/{bea.pk}/"), client.get("/people/4711/")

    assert (theirs.status_code, theirs.content) == (none.status_code, none.content) == (404, none.content)
    assert [client.post(url).status_code for url in posts_on(bea)] == [404] * len(posts_on(bea))
    assert facts(bea) == before


def test_a_role_under_another_persons_address_is_not_there(
    client: Client, admin: User, mara: User, bellweather: Customer
) -> None:
    bea = make_user("helpdesk", bellweather, username="bea")

    answer = client.post(f"/people/{bea.pk}/roles/{mara.memberships.get().pk}/end/")

    assert answer.status_code == 404
    assert mara.memberships.exists()


def test_names_are_escaped(client: Client, admin: User, mara: User) -> None:
    User.objects.filter(pk=mara.pk).update(first_name="<script>alert(1)</script>")

    for url in ("/people/", f"/people/{mara.pk}/"):
        assert "<script>alert" not in client.get(url).content.decode()


@pytest.mark.parametrize(("role", "status"), [("viewer", 404), ("helpdesk", 404), ("auditor", 403), (None, 404)])
def test_nothing_on_a_persons_page_is_for_those_who_manage_nobody(
    client: Client, acme: Customer, mara: User, role: str | None, status: int
) -> None:
    client.force_login(make_user(role, acme if role else None))
    before = facts(mara)

    assert {client.post(url, {"role": "viewer"}).status_code for url in posts_on(mara)} == {status}
    assert facts(mara) == before


def test_forms_need_a_token_and_a_post(client: Client, admin: User, mara: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin)
    before = facts(mara)

    for url in posts_on(mara):
        assert strict.post(url).status_code == 403
        assert client.get(url).headers["Location"] == f"/people/{mara.pk}/"
    assert facts(mara) == before


# Roles


@pytest.mark.parametrize("role", ["viewer", "manager"])
def test_a_manager_gives_a_role_for_a_customer_of_theirs(
    client: Client, manager: User, acme: Customer, mara: User, role: str
) -> None:
    day = timezone.localdate() + dt.timedelta(days=30)

    answer = client.post(f"/people/{mara.pk}/roles/", {"customer": acme.pk, "role": role, "ends_on": f"{day}"})

    assert answer["Location"] == f"/people/{mara.pk}/"
    assert mara.memberships.get(role=role).ends_on == day
    event = Event.objects.filter(action="membership.granted").latest("id")
    assert (event.chain, event.actor_id) == (f"customer:{acme.pk}", manager.pk)
    assert event.data["detail"] == {"user_id": mara.pk, "user": "mara", "role": role, "ends_on": f"{day}"}


@pytest.mark.parametrize(
    ("values", "bad"),
    [
        ({"customer": "{bellweather}", "role": "viewer"}, "customer"),
        ({"customer": "4711", "role": "viewer"}, "customer"),
        ({"customer": "all", "role": "manager"}, "customer"),
        ({"customer": "", "role": "manager"}, "customer"),
        ({"role": "viewer"}, "customer"),
        ({"customer": "{acme}", "role": "auditor"}, "role"),
        ({"customer": "{acme}", "role": "admin"}, "role"),
        ({"customer": "{acme}", "role": ""}, "role"),
        ({"customer": "{acme}", "role": "viewer", "ends_on": "2020-01-01"}, "ends_on"),
        ({"customer": "{acme}", "role": "viewer", "ends_on": "tomorrow"}, "ends_on"),
    ],
)
def test_a_manager_cannot_give_what_is_not_theirs(
    client: Client,
    manager: User,
    acme: Customer,
    bellweather: Customer,
    mara: User,
    values: dict[str, str],
    bad: str,
) -> None:
    before, events = facts(mara), Event.objects.count()
    sent = {name: value.format(acme=acme.pk, bellweather=bellweather.pk) for name, value in values.items()}

    answer = client.post(f"/people/{mara.pk}/roles/", sent)

    assert answer.status_code == 422
    assert f'data-error-for="{bad}"' in answer.content.decode()
    assert "Bellweather" not in answer.content.decode()
    assert (facts(mara), Event.objects.count()) == (before, events)


def test_a_manager_who_also_audits_gives_the_auditors_role_where_they_audit(
    client: Client, manager: User, acme: Customer, bellweather: Customer, mara: User
) -> None:
    membership_grant(user=manager, role=Role.AUDITOR, customer=acme)
    membership_grant(user=manager, role=Role.MANAGER, customer=bellweather)

    there = client.post(f"/people/{mara.pk}/roles/", {"customer": acme.pk, "role": "auditor"})
    elsewhere = client.post(f"/people/{mara.pk}/roles/", {"customer": bellweather.pk, "role": "auditor"})

    assert (there.status_code, elsewhere.status_code) == (302, 422)
    assert "You cannot make somebody auditor of Bellweather Clinics." in elsewhere.content.decode()
    assert list(mara.memberships.filter(role="auditor").values_list("customer_id", flat=True)) == [acme.pk]


def test_a_manager_of_all_customers_gives_roles_for_each_and_never_for_all(
    client: Client, acme: Customer, mara: User
) -> None:
    client.force_login(make_user("manager"))

    each = client.post(f"/people/{mara.pk}/roles/", {"customer": acme.pk, "role": "manager"})
    of_all = client.post(f"/people/{mara.pk}/roles/", {"customer": "all", "role": "manager"})

    assert (each.status_code, of_all.status_code) == (302, 422)
    assert not mara.memberships.filter(customer=None).exists()


def test_what_a_manager_gives_ends_no_later_than_their_own_role(client: Client, acme: Customer, mara: User) -> None:
    last = timezone.localdate() + dt.timedelta(days=10)
    client.force_login(make_user("manager", acme, ends_on=last))
    url, role = f"/people/{mara.pk}/roles/", {"customer": acme.pk, "role": "manager"}

    for ends_on in ("", f"{last + dt.timedelta(days=1)}"):
        assert f"Your own role there ends on {last}" in client.post(url, role | {"ends_on": ends_on}).content.decode()
        assert client.post(f"{url}{mara.memberships.get().pk}/last-day/", {"ends_on": ends_on}).status_code == 422
    assert facts(mara)[1] == [(acme.pk, "helpdesk", None)]
    assert client.post(url, role | {"ends_on": f"{last}"}).status_code == 302


def test_a_site_admin_gives_a_role_for_all_customers(client: Client, admin: User, mara: User) -> None:
    client.post(f"/people/{mara.pk}/roles/", {"customer": "all", "role": "auditor"})

    assert mara.memberships.filter(customer=None, role="auditor").exists()
    assert Event.objects.filter(action="membership.granted").latest("id").chain == "installation"


@pytest.mark.parametrize("field", ["is_superuser", "is_staff", "is_active", "password", "username", "user", "id"])
def test_further_fields_change_nothing(client: Client, admin: User, acme: Customer, mara: User, field: str) -> None:
    other = make_user(username="other")
    before = facts(mara)[0], facts(other)

    forged = {field: other.pk if field in ("user", "id") else "on"}
    client.post(f"/people/{mara.pk}/roles/", {"customer": acme.pk, "role": "viewer"} | forged)
    client.post(f"/people/{mara.pk}/edit/", {"name": "Mara Lindqvist", "email": ""} | forged)

    assert (facts(mara)[0], facts(other)) == before


def test_the_last_day_of_a_role_can_be_moved_and_taken_away(client: Client, manager: User, mara: User) -> None:
    membership, day = mara.memberships.get(), timezone.localdate()
    url = f"/people/{mara.pk}/roles/{membership.pk}/last-day/"

    client.post(url, {"ends_on": f"{day}"})
    assert Membership.objects.get(pk=membership.pk).ends_on == day

    client.post(url, {"ends_on": ""})
    assert Membership.objects.get(pk=membership.pk).ends_on is None
    events = Event.objects.filter(action="membership.edited").order_by("id")
    assert [event.data["fields"]["last_day"] for event in events] == [
        {"before": "no end", "asked": f"{day}"},
        {"before": f"{day}", "asked": "no end"},
    ]


@pytest.mark.parametrize("day", ["2020-01-01", "31.12.2999", "never"])
def test_a_last_day_that_makes_no_sense_is_shown_beside_its_error(
    client: Client, manager: User, mara: User, day: str
) -> None:
    answer = client.post(f"/people/{mara.pk}/roles/{mara.memberships.get().pk}/last-day/", {"ends_on": day})

    assert answer.status_code == 422
    assert 'data-error-for="ends_on"' in answer.content.decode()
    assert mara.memberships.get().ends_on is None


def test_a_role_ends_at_the_next_request(client: Client, manager: User, acme: Customer, mara: User) -> None:
    theirs = Client()
    theirs.force_login(mara)
    assert theirs.get(f"/customers/{acme.pk}/").status_code == 200

    answer = client.post(f"/people/{mara.pk}/roles/{mara.memberships.get().pk}/end/")

    assert answer["Location"] == "/people/"  # there is nothing left for this manager to see of her
    assert theirs.get("/customers/")["Location"].startswith("/accounts/login/")
    theirs.force_login(mara)
    assert theirs.get(f"/customers/{acme.pk}/").status_code == 404
    event = Event.objects.get(action="membership.ended")
    assert (event.chain, event.data["detail"]["user"]) == (f"customer:{acme.pk}", "mara")


@pytest.mark.parametrize(("role", "customer"), [("auditor", "acme"), ("helpdesk", None)])
def test_a_manager_takes_no_role_that_they_could_not_give(
    client: Client, manager: User, acme: Customer, mara: User, role: str, customer: str | None
) -> None:
    membership_grant(user=mara, role=Role(role), customer=acme if customer else None)
    membership = mara.memberships.latest("id")
    before = facts(mara)

    page = client.get(f"/people/{mara.pk}/").content.decode()
    url = f"/people/{mara.pk}/roles/{membership.pk}"
    answers = [client.post(f"{url}/{what}/").status_code for what in ("end", "last-day")]

    assert url not in page
    assert answers == [403, 403]
    assert facts(mara) == before
    assert Event.objects.filter(action="access.denied").count() == 2


def test_nobody_gives_or_takes_their_own_roles(client: Client, manager: User, acme: Customer) -> None:
    before = facts(manager)

    page = client.get(f"/people/{manager.pk}/").content.decode()
    answers = [client.post(url, {"customer": acme.pk, "role": "viewer"}).status_code for url in posts_on(manager)]

    assert "This is you." in page
    assert "Give a role" not in page
    assert answers.count(403) == len(answers) - 1  # all but the own name, whose form was empty
    assert facts(manager) == before


def test_somebody_whose_last_role_is_over_keeps_the_session_and_sees_nothing(
    client: Client, acme: Customer, time_machine
) -> None:
    time_machine.move_to(dt.datetime(2026, 6, 30, 23, 59, tzinfo=dt.UTC))
    client.force_login(make_user("auditor", acme, ends_on=dt.date(2026, 6, 30)))
    assert client.get(f"/customers/{acme.pk}/").status_code == 200

    time_machine.move_to(dt.datetime(2026, 7, 1, 0, 0, tzinfo=dt.UTC))

    assert client.get("/customers/").status_code == 200
    assert client.get(f"/customers/{acme.pk}/").status_code == 404
    assert client.get("/audit/").status_code == 403


def test_a_role_that_is_over_is_shown_as_such(client: Client, manager: User, acme: Customer) -> None:
    ada = make_user("viewer", acme, username="ada", ends_on=timezone.localdate() - dt.timedelta(days=1))

    assert "(over)" in client.get("/people/").content.decode()
    assert "Over</span>" in client.get(f"/people/{ada.pk}/").content.decode()


# Name and address


def test_a_manager_corrects_the_name_of_somebody_who_is_theirs_alone(
    client: Client, manager: User, acme: Customer, mara: User
) -> None:
    client.post(f"/people/{mara.pk}/edit/", {"name": "  Mara   Osei ", "email": "sue@example.com"})

    mara.refresh_from_db()
    assert (mara.display_name, mara.email) == ("Mara Osei", "")
    event = Event.objects.get(action="person.edited")
    assert (event.chain, event.actor_name) == (f"customer:{acme.pk}", "sue")
    assert event.data["fields"] == {"name": {"before": "Mara Lindqvist", "asked": "Mara Osei"}}


@pytest.mark.parametrize("name", ["", "   ", "x" * 151, "Mara\nBcc: x@example.com", "Ma\u202era"])
def test_a_name_that_is_none_is_refused(client: Client, manager: User, mara: User, name: str) -> None:
    answer = client.post(f"/people/{mara.pk}/edit/", {"name": name})

    assert answer.status_code == 422
    assert 'data-error-for="name"' in answer.content.decode()
    assert User.objects.get(pk=mara.pk).display_name == "Mara Lindqvist"


def test_a_site_admin_corrects_an_address_which_stays_of_one_account(client: Client, admin: User, mara: User) -> None:
    make_user(username="bea", email="bea@example.com")
    url = f"/people/{mara.pk}/edit/"

    assert client.post(url, {"name": "Mara", "email": "BEA@example.com"}).status_code == 422
    client.post(url, {"name": "Mara", "email": "Mara@Example.com"})

    mara.refresh_from_db()
    assert (mara.display_name, mara.email) == ("Mara", "mara@example.com")
    assert Event.objects.get(action="person.edited").data["fields"]["email"]["asked"] == "mara@example.com"


# Sign-in and site admins


def test_disabling_somebody_ends_every_session(client: Client, manager: User, acme: Customer, mara: User) -> None:
    phone, desk = Client(), Client()
    for theirs in (phone, desk):
        theirs.force_login(mara)

    client.post(f"/people/{mara.pk}/disable/")
    assert phone.get("/customers/")["Location"].startswith("/accounts/login/")
    client.post(f"/people/{mara.pk}/enable/")

    assert desk.get("/customers/")["Location"].startswith("/accounts/login/")
    assert client.get("/people/").status_code == 200  # the manager's own session lives on
    events = Event.objects.filter(action__startswith="person.").order_by("id")
    assert [(event.action, event.chain) for event in events] == [
        ("person.disabled", f"customer:{acme.pk}"),
        ("person.enabled", f"customer:{acme.pk}"),
    ]


def test_somebody_disabled_cannot_sign_in_and_their_history_keeps_the_name(
    client: Client, admin: User, mara: User
) -> None:
    client.post(f"/people/{mara.pk}/disable/")

    theirs = Client()
    theirs.post("/accounts/login/", {"login": "mara", "password": PASSWORD})

    assert "_auth_user_id" not in theirs.session
    assert "Mara Lindqvist" in client.get("/people/").content.decode()
    assert User.objects.get(pk=mara.pk).memberships.exists()


@pytest.mark.parametrize(
    ("role", "customer", "fields"),
    [
        ("viewer", "bellweather", {}),
        ("viewer", None, {}),
        ("auditor", "acme", {}),
        ("viewer", "acme", {"is_superuser": True}),
    ],
)
def test_a_manager_cannot_rename_or_disable_somebody_who_is_more_than_theirs(
    client: Client,
    manager: User,
    acme: Customer,
    bellweather: Customer,
    mara: User,
    role: str,
    customer: str | None,
    fields: dict[str, bool],
) -> None:
    where = {"acme": acme, "bellweather": bellweather, None: None}[customer]
    membership_grant(user=mara, role=Role(role), customer=where)
    User.objects.filter(pk=mara.pk).update(**fields)
    before = facts(mara)

    page = client.get(f"/people/{mara.pk}/").content.decode()
    answers = [client.post(f"/people/{mara.pk}/{what}/", {"name": "X"}).status_code for what in ("edit", "disable")]

    assert "only a site admin can rename or disable Mara Lindqvist" in page
    assert answers == [403, 403]
    assert facts(mara) == before
    membership = mara.memberships.get(role="helpdesk")
    assert client.post(f"/people/{mara.pk}/roles/{membership.pk}/end/").status_code == 302


def test_a_role_elsewhere_that_is_over_does_not_protect_from_a_manager(
    client: Client, manager: User, bellweather: Customer, mara: User
) -> None:
    membership_grant(user=mara, role=Role.VIEWER, customer=bellweather, ends_on=dt.date(2020, 1, 1))

    client.post(f"/people/{mara.pk}/disable/")

    assert not User.objects.get(pk=mara.pk).is_active


def with_second_factor(person: User) -> User:
    for kind in (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES):
        Authenticator.objects.create(user=person, type=kind, data={})
    return person


def test_a_manager_resets_the_second_factor_of_somebody_who_is_theirs(
    client: Client, manager: User, mara: User
) -> None:
    theirs = Client()
    theirs.force_login(with_second_factor(mara))
    assert "Reset second factor of Mara Lindqvist" in client.get(f"/people/{mara.pk}/").content.decode()

    client.post(f"/people/{mara.pk}/reset-second-factor/")

    assert not Authenticator.objects.filter(user=mara).exists()
    assert theirs.get("/customers/")["Location"].startswith("/accounts/login/")
    assert "reset-second-factor" not in client.get(f"/people/{mara.pk}/").content.decode()
    event = Event.objects.get(action="second-factor.reset")
    assert (event.actor_id, event.data["detail"]["user"]) == (manager.pk, "mara")


def test_nobody_resets_their_own_second_factor_or_that_of_somebody_beyond_their_rights(
    client: Client, manager: User, mara: User
) -> None:
    membership_grant(user=mara, role=Role.VIEWER, customer=None)
    for person in (mara, manager):
        with_second_factor(person)

        page = client.get(f"/people/{person.pk}/").content.decode()

        assert "reset-second-factor" not in page
        assert client.post(f"/people/{person.pk}/reset-second-factor/").status_code == 403
    assert Authenticator.objects.count() == 4


def test_only_a_site_admin_makes_one(client: Client, acme: Customer, mara: User) -> None:
    client.force_login(make_user("manager"))
    before = facts(mara)

    page = client.get(f"/people/{mara.pk}/").content.decode()
    answers = [client.post(f"/people/{mara.pk}/{what}-admin/").status_code for what in ("make", "take")]

    assert "make-admin" not in page
    assert answers == [403, 403]
    assert facts(mara) == before


def test_a_site_admin_makes_another_and_takes_it_back(client: Client, admin: User, mara: User) -> None:
    client.post(f"/people/{mara.pk}/make-admin/")
    assert User.objects.get(pk=mara.pk).is_superuser

    client.post(f"/people/{mara.pk}/take-admin/")

    assert not User.objects.get(pk=mara.pk).is_superuser
    events = Event.objects.filter(action__startswith="person.admin", chain="installation").order_by("id")
    assert [event.action for event in events] == ["person.admin-given", "person.admin-taken"]


def test_nobody_locks_themselves_out(client: Client, admin: User) -> None:
    make_user(username="second", is_superuser=True)

    answers = [client.post(f"/people/{admin.pk}/{what}/").status_code for what in ("disable", "take-admin")]

    assert answers == [403, 403]
    assert facts(admin)[0][3:5] == (True, True)


def test_the_last_site_admin_stays(admin: User) -> None:
    make_user(username="gone", is_superuser=True, is_active=False)

    for use_case in (person_disable, site_admin_take):
        with pytest.raises(ValidationError, match="last site admin"):
            use_case(user=admin)
    assert facts(admin)[0][3:5] == (True, True)


def test_disabling_twice_is_one_event(client: Client, admin: User, mara: User) -> None:
    client.post(f"/people/{mara.pk}/disable/")
    client.post(f"/people/{mara.pk}/disable/")

    assert Event.objects.filter(action="person.disabled").count() == 1


def test_somebody_with_roles_in_two_places_is_disabled_in_both_logs(
    client: Client, admin: User, acme: Customer, bellweather: Customer, mara: User
) -> None:
    membership_grant(user=mara, role=Role.VIEWER, customer=bellweather)

    client.post(f"/people/{mara.pk}/disable/")

    chains = Event.objects.filter(action="person.disabled").values_list("chain", flat=True)
    assert set(chains) == {f"customer:{acme.pk}", f"customer:{bellweather.pk}"}


def test_a_new_password_ends_the_sessions_of_the_old_one(client: Client, mara: User) -> None:
    client.force_login(mara)
    assert client.get("/customers/").status_code == 200

    mara.set_password("another horse battery")
    mara.save(update_fields=["password"])

    assert client.get("/customers/")["Location"].startswith("/accounts/login/")


def test_roles_for_an_archived_customer_can_still_be_given_and_ended(
    client: Client, manager: User, acme: Customer, mara: User
) -> None:
    acme.archived_at = timezone.now()
    acme.save(update_fields=["archived_at"])

    given = client.post(f"/people/{mara.pk}/roles/", {"customer": acme.pk, "role": "viewer"})
    ended = client.post(f"/people/{mara.pk}/roles/{mara.memberships.get(role='helpdesk').pk}/end/")

    assert (given.status_code, ended.status_code) == (302, 302)
    assert list(mara.memberships.values_list("role", flat=True)) == ["viewer"]


def test_a_manager_signs_somebody_out_everywhere_who_may_sign_in_again(
    client: Client, manager: User, mara: User
) -> None:
    phone, desk = Client(), Client()
    for theirs in (phone, desk):
        theirs.force_login(mara)
    assert "Sign out Mara Lindqvist" in client.get(f"/people/{mara.pk}/").content.decode()

    answer = client.post(f"/people/{mara.pk}/sign-out/", follow=True)

    assert "Mara Lindqvist is signed out of 2 browsers." in answer.content.decode()
    assert [theirs.get("/customers/").status_code for theirs in (phone, desk)] == [302, 302]
    phone.force_login(mara)
    assert phone.get("/customers/").status_code == 200
    event = Event.objects.get(action="session.ended")
    assert (event.actor_id, event.data["detail"]["user"]) == (manager.pk, "mara")


def test_nobody_signs_out_themselves_here_or_somebody_beyond_their_rights(
    client: Client, manager: User, mara: User
) -> None:
    membership_grant(user=mara, role=Role.VIEWER, customer=None)
    theirs = Client()
    theirs.force_login(mara)

    for person in (mara, manager):
        assert f"/people/{person.pk}/sign-out/" not in client.get(f"/people/{person.pk}/").content.decode()
        assert client.post(f"/people/{person.pk}/sign-out/").status_code in (403, 404)

    assert theirs.get("/customers/").status_code == 200
    assert client.get("/customers/").status_code == 200
