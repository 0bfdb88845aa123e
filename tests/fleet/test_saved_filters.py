"""Saved filters: one's own, or shared with everybody who sees a customer; they lead to our own lists only."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from ivr.selectors import IvrFilter
from pbxadmin.access.models import Customer, User
from pbxadmin.audit.models import Event
from pbxadmin.fleet.forms import PbxFilter
from pbxadmin.fleet.models import SavedFilter
from pbxadmin.fleet.saved_filters import MOST_SAVED, query_to_save
from pbxadmin.web.filters import filter_of
from tests.factories import make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Customer:
    acme = make_customer("Acme Logistics")
    make_pbx(acme)
    return acme


@pytest.fixture
def mara(client: Client, acme: Customer) -> User:
    mara = make_user("helpdesk", acme, username="mara")
    client.force_login(mara)
    return mara


def save(client: Client, **values: Any) -> Any:
    return client.post("/filters/", {"list": "ivrs", "name": "Short", "query": "response_under=4"} | values)


def chips(client: Client, url: str = "/ivrs/") -> list[str]:
    page = client.get(url).content.decode()
    return re.findall(r'class="chip saved" href="([^"]*)"', page)


def test_what_may_be_saved_is_what_the_lists_understand() -> None:
    ivrs = ("q", "customer", "pbx", "tag", "dial_outbound", "dial_extension", "response_under", "value", "sort")

    assert filter_of("ivrs").parameters() == IvrFilter.parameters() == ivrs
    assert filter_of("pbxs").parameters() == PbxFilter.parameters() == ("q", "customer", "state", "read", "tag", "sort")
    assert set(PbxFilter.parameters()) == set(PbxFilter.base_fields)


@pytest.mark.parametrize("list_", SavedFilter.List)
def test_every_list_that_saves_filters_is_known(list_: SavedFilter.List) -> None:
    assert filter_of(list_).parameters()


@pytest.mark.parametrize("url", ["/ivrs/?response_under=4", "/pbxs/?tag=vip"])
def test_a_filter_in_view_can_be_saved_as_it_stands_in_the_page(client: Client, mara: User, url: str) -> None:
    page = client.get(url).content.decode()
    form = dict(re.findall(r'type="hidden" name="(list|query)" value="([^"]*)"', page))

    answer = client.post("/filters/", form | {"name": "Mine"})

    assert answer["Location"] == url
    assert chips(client, url.partition("?")[0]) == [url]
    detail = {"list": form["list"], "name": "Mine", "filter": form["query"]}
    assert Event.objects.get(action="filter.saved").data["detail"] == detail


def test_it_is_its_owner_s_alone(client: Client, mara: User, acme: Customer) -> None:
    save(client)
    assert len(chips(client)) == 1

    client.force_login(make_user("manager", acme))
    assert chips(client) == []
    assert client.post(f"/filters/{SavedFilter.objects.get().pk}/delete/").status_code == 404
    client.force_login(make_user(is_superuser=True))
    assert chips(client) == []


def test_a_shared_one_is_seen_by_those_who_see_the_customer_and_nobody_else(
    client: Client, mara: User, acme: Customer
) -> None:
    save(client, customer=acme.pk)

    for role in ("viewer", "auditor", "helpdesk", "manager"):
        client.force_login(make_user(role, acme))
        assert len(chips(client)) == 1
    client.force_login(make_user("manager", make_customer("Bellweather Clinics")))
    assert chips(client) == []
    assert "Short" not in client.get("/ivrs/").content.decode()
    assert client.post(f"/filters/{SavedFilter.objects.get().pk}/delete/").status_code == 404
    assert Event.objects.get(action="filter.saved").customer_id == acme.pk


def test_it_is_gone_for_its_owner_too_when_they_lose_the_customer(client: Client, mara: User, acme: Customer) -> None:
    save(client, customer=acme.pk)

    mara.memberships.all().delete()

    assert chips(client) == []


def test_sharing_is_offered_for_the_customer_in_view_or_the_only_one(
    client: Client, mara: User, acme: Customer
) -> None:
    assert "Share with everybody who sees <bdi>Acme Logistics</bdi>" in client.get("/ivrs/?q=x").content.decode()

    bellweather = make_customer("Bellweather Clinics")
    mara.memberships.create(customer=bellweather, role="helpdesk")
    assert "Share with" not in client.get("/ivrs/?q=x").content.decode()
    page = client.get(f"/pbxs/?customer={bellweather.pk}").content.decode()
    assert "Share with everybody who sees <bdi>Bellweather Clinics</bdi>" in page


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_who_only_looks_shares_nothing(client: Client, acme: Customer, role: str) -> None:
    client.force_login(make_user(role, acme))

    assert "Share with" not in client.get("/ivrs/?q=x").content.decode()
    assert save(client, customer=acme.pk).status_code == 403
    assert save(client).status_code == 302
    assert SavedFilter.objects.get().customer is None


@pytest.mark.parametrize("customer", ["theirs", "4711", "x"])
def test_sharing_with_another_s_customer_answers_like_one_that_does_not_exist(
    client: Client, mara: User, customer: str
) -> None:
    theirs = make_customer("Bellweather Clinics")

    answer = save(client, customer=theirs.pk if customer == "theirs" else customer)

    assert answer["Location"] == "/ivrs/"
    page = client.get("/ivrs/").content.decode()
    assert "Nothing was saved." in page
    assert "Bellweather" not in page
    assert not SavedFilter.objects.exists()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("q=a&next=https://evil.example&cursor=abc&format=csv", "q=a"),
        ("sort=-name&q=a+b", "q=a+b&sort=-name"),
        ("q=a&q=b", "q=b"),
        ("q=a%00b", "q=ab"),
        ("javascript:alert(1)", ""),
        ("//evil.example/?q=a", ""),
        ("q=" + "x" * 500, "q=" + "x" * 200),
        ("q=%22%3E%3Cscript%3E", "q=%22%3E%3Cscript%3E"),
    ],
)
def test_only_our_own_parameters_are_kept(given: str, kept: str) -> None:
    assert query_to_save("ivrs", given) == kept


@pytest.mark.parametrize("query", ["", "next=/x/", "cursor=abc"])
def test_nothing_filtered_is_nothing_to_save(client: Client, mara: User, query: str) -> None:
    assert save(client, query=query)["Location"] == "/ivrs/"
    assert "Nothing is filtered" in client.get("/ivrs/").content.decode()
    assert not SavedFilter.objects.exists()


@pytest.mark.parametrize("values", [{"name": ""}, {"name": "a\u202eb"}, {"name": "x" * 41}, {"list": "people"}])
def test_odd_values_save_nothing_and_say_so(client: Client, mara: User, values: dict[str, str]) -> None:
    save(client, **values)

    assert "Nothing was saved." in client.get("/ivrs/").content.decode()
    assert not SavedFilter.objects.exists()


def test_a_name_is_used_once(client: Client, mara: User, acme: Customer) -> None:
    save(client)
    save(client, customer=acme.pk)  # shared, so beside it
    save(client, name="SHORT")

    assert "There is a saved filter with this name already." in client.get("/ivrs/").content.decode()
    assert SavedFilter.objects.count() == 2


def test_there_are_never_more_than_fit_in_the_bar(client: Client, mara: User) -> None:
    for number in range(MOST_SAVED + 1):
        save(client, name=f"F{number}")

    assert SavedFilter.objects.count() == MOST_SAVED


def test_a_name_is_text_wherever_it_stands(client: Client, mara: User) -> None:
    save(client, name="<script>alert(1)</script>")

    assert "<script>alert" not in client.get("/ivrs/?q=x").content.decode()


def test_its_owner_deletes_it_and_the_log_says_so(client: Client, mara: User, acme: Customer) -> None:
    save(client, customer=acme.pk)

    answer = client.post(f"/filters/{SavedFilter.objects.get().pk}/delete/")

    assert answer["Location"] == "/ivrs/"
    assert not SavedFilter.objects.exists()
    assert Event.objects.get(action="filter.deleted").data["detail"]["name"] == "Short"


@pytest.mark.parametrize(("role", "status", "left"), [("manager", 302, 0), ("helpdesk", 403, 1), ("viewer", 403, 1)])
def test_of_a_shared_one_managers_are_rid_too(
    client: Client, mara: User, acme: Customer, role: str, status: int, left: int
) -> None:
    save(client, customer=acme.pk)
    client.force_login(make_user(role, acme))
    pk = SavedFilter.objects.get().pk

    assert ("Delete Short" in client.get("/ivrs/").content.decode()) == (role == "manager")
    assert client.post(f"/filters/{pk}/delete/").status_code == status
    assert SavedFilter.objects.count() == left


def test_a_filter_of_a_customer_shows_others_nothing_of_it(client: Client, mara: User, acme: Customer) -> None:
    theirs = make_pbx(make_customer("Bellweather Clinics"), name="BELL-HQ")
    query = urlencode({"customer": theirs.customer_id, "pbx": theirs.pk})

    save(client, query=query)

    assert "BELL" not in client.get(f"/ivrs/?{query}").content.decode()


@pytest.mark.parametrize("url", ["/filters/", "/filters/1/delete/"])
def test_saving_needs_a_post_and_a_sign_in(client: Client, url: str) -> None:
    assert client.post(url).status_code == 302
    client.force_login(make_user())
    assert client.get(url).headers["Location"] == "/pbxs/"
