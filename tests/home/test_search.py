"""The search over everything: what it finds for whom, what it opens, and what it costs."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pbxadmin.access.roles import Role
from pbxadmin.yeastar.readings import IvrSettings
from tests.factories import make_change, make_customer, make_pbx, make_snapshots, make_user

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def pbx():
    pbx = make_pbx(make_customer("Acme Logistics"), site="Leeds")
    make_snapshots(pbx, IvrSettings(number="6500", name="Main_Menu"), IvrSettings(number="6501", name="Night"))
    make_change(pbx, ticket="INC-4411")
    return pbx


@pytest.fixture
def manager(client, pbx):
    client.force_login(make_user(Role.MANAGER, pbx.customer, username="sue", first_name="Sue", last_name="Adler"))
    return client


def found(client, typed):
    """Return the addresses that a search found, while somebody types."""
    text = client.get("/search/", {"q": typed}, headers=HTMX).content.decode()
    assert "<html" not in text
    return re.findall(r'class="hit" href="([^"]+)"', text)


def test_each_part_is_found(manager, pbx):
    ivr = f"/pbxs/{pbx.pk}/ivrs/6500/"
    assert found(manager, "main leeds") == [ivr]
    assert found(manager, "6500") == [ivr]
    assert f"/pbxs/{pbx.pk}/" in found(manager, "acme-hq")
    assert f"/customers/{pbx.customer_id}/" in found(manager, "logistics")
    assert re.fullmatch(r"/changes/\d+/", found(manager, "inc-4411")[0])
    assert re.fullmatch(r"/people/\d+/", found(manager, "adler")[0])


@pytest.mark.parametrize("typed", ["6500", "acme", "INC-4411", "adler", "sue"])
def test_nobody_finds_what_belongs_to_others(client, manager, pbx, typed):
    client.force_login(make_user(Role.MANAGER, make_customer("Bellweather"), username="tom"))

    assert found(client, typed) == []


def test_helpdesk_finds_no_people(client, manager, pbx):
    client.force_login(make_user(Role.HELPDESK, pbx.customer, username="mara"))

    assert found(client, "adler") == []


@pytest.mark.parametrize(
    ("typed", "opened"),
    [
        ("night", "/pbxs/{pbx}/ivrs/6501/"),  # the only hit
        ("ACME-hq", "/pbxs/{pbx}/"),  # the only one of that name; its IVRs are found as well
        ("6501 Night", "/pbxs/{pbx}/ivrs/6501/"),
        ("logistics", None),  # the customer, its PBX and its IVRs
        ("nothing", None),
    ],
)
def test_the_one_that_was_meant_is_opened(manager, pbx, typed, opened):
    answer = manager.get("/search/", {"q": typed, "open": "1"})

    assert answer.status_code == (302 if opened else 200)
    if opened:
        assert answer["Location"] == opened.format(pbx=pbx.pk)
    assert manager.get("/search/", {"q": typed}).status_code == 200


def test_of_many_hits_that_are_not_all_shown_none_is_opened_unless_it_is_called_so(manager, pbx):
    make_snapshots(pbx, *(IvrSettings(number=f"66{n:02}", name=f"Menu {n}") for n in range(40)))

    assert manager.get("/search/", {"q": "menu", "open": "1"}).status_code == 200
    assert len(found(manager, "menu")) == 5
    assert manager.get("/search/", {"q": "menu 7", "open": "1"})["Location"] == f"/pbxs/{pbx.pk}/ivrs/6607/"


def test_a_single_letter_is_not_searched(manager):
    assert "Type two characters" in manager.get("/search/", {"q": "a"}).content.decode()


def test_a_search_takes_as_many_queries_however_much_there_is(manager, pbx):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as run:
            assert found(manager, "acme")
        return len(run)

    queries()
    before = queries()
    for n in range(4):
        other = make_pbx(pbx.customer, name=f"ACME-{n}")
        make_snapshots(other, *(IvrSettings(number=f"66{n:02}", name=f"Menu {n}") for n in range(9)))
        make_change(other, ticket=f"ACME-{n}")

    assert queries() == before
