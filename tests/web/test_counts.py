"""Lists say how many of how many they found, and each filter in use is a chip that takes it away."""

import re

import pytest

from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import Actor
from pbxadmin.batches.models import Batch, BatchState
from pbxadmin.batches.services import Chosen, Pace, batch_plan
from pbxadmin.review.desk import desk_read, items_review
from pbxadmin.review.models import DeskItem
from pbxadmin.web.pages import COUNTED_AT_MOST, FoundOf
from pbxadmin.web.templatetags.pbxadmin import counted_of
from tests.factories import make_customer, make_outside, make_pbx, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client):
    """Everybody's rights, and two customers: one with two outside changes and a batch, one with one of each."""
    acme, bell = make_customer(), make_customer("Bellweather")
    for customer, numbers in ((acme, ("6500", "6501")), (bell, ("6500",))):
        pbx = make_pbx(customer, name=f"{customer.name}-HQ")
        for number in numbers:
            make_outside(pbx, number)
        chosen = Chosen(customer.pk, customer.name, pbx.pk, pbx.name, "6500", "Main", {"response_timeout": "6"}, {})
        batch_plan(
            chosen=[chosen], wanted=dict(chosen.asked), pace=Pace(), actor=Actor(1, "Mara"), reason="", ticket=""
        )
    user = make_user(is_superuser=True, username="admin")
    make_user(Role.HELPDESK, acme, username="mara")
    client.force_login(user)
    return client


def said(client, address):
    """Return what the list says of how many it found, and its chips: words by the address without them."""
    page = client.get(address).content.decode()
    count = re.search(r"<p data-say>\s*(.*?)\s*</p>", page, re.DOTALL)
    chips = re.findall(r'<a class="chip" href="(\?[^"]*)"><span class="vh">Remove</span> (.*?)<svg', page, re.DOTALL)
    return count and count[1], {re.sub("</?bdi>", "", words).strip(): rest for rest, words in chips}


def customer_of(name):
    return f"customer={Customer.objects.get(name=name).pk}"


@pytest.mark.parametrize(
    ("address", "everything", "few"),
    [
        ("/outside/", "3 outside changes", "1 of 3 outside changes"),
        ("/batches/", "2 batches", "1 of 2 batches"),
        ("/audit/desk/", "4 open exceptions", "1 of 4 open exceptions"),
    ],
)
def test_a_list_says_how_many_of_how_many(admin, address, everything, few):
    assert said(admin, address) == (everything, {})
    assert said(admin, f"{address}?{customer_of('Bellweather')}") == (few, {"Bellweather": "?"})


def test_people_are_counted_as_accounts(admin):
    assert said(admin, "/people/") == ("2 accounts", {})
    found, chips = said(admin, "/people/?q=mar&role=helpdesk")
    assert (found, chips) == ("1 of 2 accounts", {"“mar”": "?role=helpdesk", "Helpdesk": "?q=mar"})


def test_each_filter_of_outside_changes_is_a_chip(admin):
    _, chips = said(admin, "/outside/?state=open&kind=changed&field=prompt_repeat&ivr=6501&from=2026-01-01&visit=on")

    assert set(chips) == {
        *(
            "Open",
            "Changed outside PBX Admin",
            "Field Prompt played",
            "IVR 6501",
            "From 2026-01-01",
            "Since your last visit",
        )
    }


def test_the_desk_counts_within_the_chosen_state(admin):
    desk_read()
    items_review(DeskItem.objects.filter(pk=DeskItem.objects.latest("pk").pk), note="looked", by="Ada")

    assert said(admin, "/audit/desk/?state=reviewed") == ("1 reviewed exception", {"Reviewed": "?"})
    assert said(admin, "/audit/desk/?state=all")[0] == "4 exceptions"


def test_batches_are_found_by_their_state(admin):
    Batch.objects.filter(pk=Batch.objects.latest("pk").pk).update(state=BatchState.HALTED)

    assert said(admin, "/batches/?state=halted") == ("1 of 2 batches", {"Halted": "?"})
    assert "No batch matches" in admin.get("/batches/?state=finished").content.decode()


def test_what_is_more_than_is_counted_is_said_so():
    assert counted_of(FoundOf(3, COUNTED_AT_MOST + 1), "batch") == "3 of more than 10,000 batches"
