"""Effective access of a person: what their roles add up to, shown to those who see people."""

import re
from datetime import date, timedelta

import pytest
from django.utils import timezone

from ivr.models import Ivr
from pbxadmin.access.roles import IN_WORDS, Action, Role
from pbxadmin.access.services import customer_archive, membership_grant
from tests.factories import make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return fill(make_customer("Acme Logistics"), pbxs=2)


@pytest.fixture
def bellweather():
    return fill(make_customer("Bellweather Clinics"), pbxs=1)


@pytest.fixture
def admin(client):
    user = make_user(is_superuser=True)
    client.force_login(user)
    return user


def fill(customer, *, pbxs):
    """With three IVRs on each PBX."""
    for n in range(pbxs):
        pbx = make_pbx(customer, name=f"PBX-{n}")
        Ivr.objects.bulk_create(Ivr(pbx=pbx, number=f"650{i}", read_at=timezone.now()) for i in range(3))
    return customer


def rows_of(client, person):
    """Cells of each customer: name, roles, what they may, PBXs, IVRs."""
    answer = client.get(f"/people/{person.pk}/effective-access/")
    assert answer.status_code == 200
    rows = re.findall(r"<tr data-customer.*?</tr>", answer.content.decode(), re.S)
    return [[re.sub("<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row, re.S)] for row in rows]


def test_each_customer_is_shown_with_roles_rights_and_counts(client, admin, acme, bellweather):
    mara = make_user("helpdesk", acme)
    membership_grant(user=mara, role=Role.AUDITOR, customer=bellweather, ends_on=date(2999, 6, 30))

    assert rows_of(client, mara) == [
        ["Acme Logistics", "Helpdesk", "see PBXs, IVRs and changes, edit IVRs", "2", "6"],
        [
            "Bellweather Clinics",
            "Auditor until 2999-06-30",
            "see PBXs, IVRs and changes, see people and their roles, review the log",
            "1",
            "3",
        ],
    ]


def test_roles_for_one_customer_and_for_all_add_up(client, admin, acme, bellweather):
    ada = make_user("auditor")
    membership_grant(user=ada, role=Role.HELPDESK, customer=acme)

    found = rows_of(client, ada)

    assert [row[1] for row in found] in (["Auditor, Helpdesk", "Auditor"], ["Helpdesk, Auditor", "Auditor"])
    assert "edit IVRs" in found[0][2]
    assert "edit IVRs" not in found[1][2]
    assert "Auditor of all customers" in client.get(f"/people/{ada.pk}/effective-access/").content.decode()


def test_a_manager_is_told_nothing_of_customers_whose_people_they_do_not_manage(client, acme, bellweather):
    mara = make_user("helpdesk", acme)
    membership_grant(user=mara, role=Role.MANAGER, customer=bellweather)
    sue = make_user("manager", acme)
    membership_grant(user=sue, role=Role.VIEWER, customer=bellweather)
    client.force_login(sue)

    assert [row[0] for row in rows_of(client, mara)] == ["Acme Logistics"]
    assert "Bellweather" not in client.get(f"/people/{mara.pk}/effective-access/").content.decode()


def test_somebody_not_visible_is_answered_like_nobody(client, acme, bellweather):
    client.force_login(make_user("manager", acme))
    bea = make_user("helpdesk", bellweather)

    theirs, none = client.get(f"/people/{bea.pk}/effective-access/"), client.get("/people/4711/effective-access/")

    assert theirs.status_code == none.status_code == 404
    assert theirs.content == none.content


@pytest.mark.parametrize("role", ["viewer", "helpdesk"])
def test_who_sees_no_people_asks_about_nobody(client, acme, role):
    user = make_user(role, acme)
    client.force_login(user)

    assert client.get(f"/people/{user.pk}/effective-access/").status_code == 404


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"is_active": False}, "Disabled:"), ({"is_superuser": True}, "A site admin:"), ({}, "Nothing")],
)
def test_what_stands_above_all_roles_is_said(client, admin, acme, fields, words):
    person = make_user(**fields)

    page = client.get(f"/people/{person.pk}/effective-access/").content.decode()

    assert words in page
    assert len(rows_of(client, person)) == (1 if "is_superuser" in fields else 0)


def test_a_disabled_person_sees_nothing_of_their_roles(client, admin, acme):
    assert rows_of(client, make_user("manager", acme, is_active=False)) == []


def test_a_role_that_is_over_counts_no_more(client, admin, acme):
    assert rows_of(client, make_user("viewer", acme, ends_on=timezone.localdate() - timedelta(days=1))) == []


def test_of_an_archived_customer_only_what_reads_is_left(client, admin, acme):
    mara = make_user("manager", acme)
    customer_archive(customer=acme)

    ((name, _, may, *_),) = rows_of(client, mara)

    assert name.startswith("Acme Logistics")
    assert may == "see PBXs, IVRs and changes, see people and their roles, give and take roles"


def test_every_right_has_its_words():
    assert set(IN_WORDS) == set(Action)


def test_the_page_takes_few_queries_however_many_customers_there_are(client, admin, django_assert_max_num_queries):
    for n in range(60):
        make_customer(f"Customer {n:02}")
    max_ = make_user("manager")

    with django_assert_max_num_queries(9):
        found = rows_of(client, max_)

    assert len(found) == 50
