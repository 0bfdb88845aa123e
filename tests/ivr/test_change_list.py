"""The list of changes: what narrows and sorts it, and what is taken along."""

import csv
import re
from typing import Any

import pytest
from django.test import Client
from django.utils.html import strip_tags

from pbxadmin.access.models import Customer, User
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from tests.factories import make_change, make_pbx, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def hq(acme: Customer) -> Pbx:
    return make_pbx(acme, name="HQ")


@pytest.fixture
def depot(bellweather: Customer) -> Pbx:
    return make_pbx(bellweather, name="DEPOT")


@pytest.fixture
def viewer(client: Client, hq: Pbx, depot: Pbx) -> User:
    """Somebody who sees all, with one change at each of the two PBXs and then another at the first."""
    user = make_user("viewer")
    client.force_login(user)
    make_change(hq, ticket="T-1")
    make_change(depot, ticket="T-2")
    make_change(hq, number="6400", ticket="T-3")
    return user


def page(client: Client, query: str = "", **more: Any) -> str:
    return client.get(f"/changes/?{query}", **more).content.decode()


def tickets(shown: str) -> list[str]:
    return re.findall(r"<bdi>(T-\d)</bdi>", shown)


def said(shown: str) -> str:
    found = re.search(r"data-say>(.*?)</p>", shown)
    return strip_tags(found[1]) if found else ""


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["T-3", "T-2", "T-1"]),
        ("sort=-planned", ["T-1", "T-2", "T-3"]),
        ("sort=pbx", ["T-2", "T-3", "T-1"]),
        ("sort=-pbx", ["T-1", "T-3", "T-2"]),
        ("customer={acme}", ["T-3", "T-1"]),
        ("pbx={depot}", ["T-2"]),
        ("customer={acme}&pbx={hq}", ["T-3", "T-1"]),
        ("customer={acme}&pbx={depot}", ["T-3", "T-1"]),
        ("customer={acme}&pbx=4711", []),
    ],
)
def test_it_is_narrowed_by_customer_and_pbx_and_sorted(
    client: Client, viewer: User, hq: Pbx, depot: Pbx, query: str, found: list[str]
) -> None:
    """A PBX of another customer than the one chosen now is the choice of before, and is let go."""
    assert tickets(page(client, query.format(acme=hq.customer_id, hq=hq.pk, depot=depot.pk))) == found


def test_it_says_how_many_it_found(client: Client, viewer: User, hq: Pbx) -> None:
    assert said(page(client)) == "3 changes"
    assert said(page(client, f"pbx={hq.pk}")) == "2 changes found"
    assert said(page(client, "q=T-2")) == "1 change found"


def test_pbxs_to_choose_are_those_of_the_customer(client: Client, viewer: User, hq: Pbx, depot: Pbx) -> None:
    def offered(query: str, **more: Any) -> list[str]:
        choice = re.search(r'<select[^>]*name="pbx".*?</select>', page(client, query, **more), re.DOTALL)
        assert choice is not None
        return re.findall(r"<option[^>]*>(.*?)</option>", choice[0])

    assert offered("") == ["All PBXs", "DEPOT", "HQ"]
    assert offered(f"customer={hq.customer_id}") == ["All PBXs", "HQ"]
    assert offered(f"customer={hq.customer_id}", headers={"HX-Request": "true"}) == ["All PBXs", "HQ"]


def test_what_narrows_it_is_named_and_can_be_taken_away(client: Client, viewer: User, hq: Pbx) -> None:
    query = f"q=T&pbx={hq.pk}&customer={hq.customer_id}&outcome=verified&from=2026-01-01&to=2030-01-01"

    chips = re.findall(r'class="chip" href="[^"]*">(.*?)</a>', page(client, query))

    assert [strip_tags(words).removeprefix("Remove ") for words in chips] == [
        "“T”",
        "Acme Logistics",
        "HQ",
        "Verified",
        "From 2026-01-01",
        "To 2030-01-01",
    ]


def taken(client: Client, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"/changes/?format=csv&{query}")
    lines = b"".join(answer).decode("utf-8-sig").splitlines()
    return list(csv.DictReader(lines))


def test_all_that_is_found_is_taken_along_with_a_row_for_each_field(client: Client, viewer: User, hq: Pbx) -> None:
    two = make_change(hq, "unknown", ticket="=1+1")
    two.wanted |= {"digit_timeout": "4"}
    two.save()

    rows = taken(client, f"pbx={hq.pk}")

    assert [(row["pbx"], row["number"], row["field"], row["asked"], row["ticket"]) for row in rows] == [
        ("HQ", "6500", "response_timeout", "6", "'=1+1"),
        ("HQ", "6500", "digit_timeout", "4", "'=1+1"),
        ("HQ", "6400", "response_timeout", "6", "T-3"),
        ("HQ", "6500", "response_timeout", "6", "T-1"),
    ]
    assert {row["outcome"] for row in rows} == {"unknown", "verified"}


def test_taking_changes_along_is_an_event(client: Client, viewer: User, hq: Pbx) -> None:
    taken(client, f"customer={hq.customer_id}")

    event = Event.objects.get(action="changes.exported")
    assert event.customer_id == hq.customer_id
    assert event.data["detail"] == {"changes": 2, "filter": f"customer={hq.customer_id}", "zone": "UTC"}


def test_nobody_takes_along_what_they_do_not_see(client: Client, viewer: User, acme: Customer) -> None:
    client.force_login(make_user("viewer", acme))

    assert {row["customer"] for row in taken(client)} == {"Acme Logistics"}
    assert Event.objects.get(action="changes.exported").customer_id == acme.pk
