"""What a user of the demo sees beside the product: cards on Home, and the page that breaks PBXs."""

from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import resolve

from ivr.models import Ivr
from pbxadmin.access.roles import Role
from pbxadmin.ops.demo.cards import CARDS, MOST_CARDS, cards_for
from pbxadmin.ops.demo.views import SWITCH_WORDS
from pbxadmin.yeastar.readings import IvrSettings
from pbxadmin.yeastar.simulator import Fleet
from pbxadmin.yeastar.simulator.controls import SWITCHES
from tests.factories import make_customer, make_pbx, make_snapshots, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def fleet(settings, tmp_path):
    settings.DEMO_CONTROLS = tmp_path / "fleet.sock"
    with Fleet(3, controls=settings.DEMO_CONTROLS) as fleet:
        yield fleet


@pytest.fixture
def mara(client: Client, acme):
    user = make_user(Role.HELPDESK, acme)
    client.force_login(user)
    return user


def test_without_a_demo_there_is_neither_page_nor_card(client, mara, acme):
    make_pbx(acme, name="ACME-HQ")

    assert client.get("/demo/").status_code == client.post("/demo/").status_code == 404
    assert 'class="tries"' not in client.get("/").content.decode()


def test_every_switch_of_the_simulator_has_its_words():
    assert list(SWITCH_WORDS) == list(SWITCHES)


@pytest.mark.tls
def test_a_pbx_is_switched_and_edited_as_the_page_says(client, mara, acme, fleet):
    pbx = make_pbx(acme, name="ACME-HQ")
    make_snapshots(pbx, IvrSettings(number="6500", name="Main", response_timeout="10"))

    client.post("/demo/", {"pbx": pbx.pk, "switch": "lies"})
    said = client.post("/demo/", {"pbx": pbx.pk, "edit": "on"}, follow=True).content.decode()

    assert fleet.pbxs[0].switch == "lies"
    assert fleet.pbxs[0].ivrs["6500"]["responsetimeout"] == "1"
    assert "to 1 s" in said
    assert 'data-switch="lies"' in said
    assert Ivr.objects.get().response_timeout == "10", "nobody has read it yet"


@pytest.mark.tls
def test_nobody_switches_a_pbx_that_they_do_not_see(client, mara, fleet):
    other = make_pbx(make_customer(name="Bellweather"), name="BELL-HQ")

    assert client.post("/demo/", {"pbx": other.pk, "switch": "off"}).status_code == 404
    assert client.post("/demo/", {"pbx": "x", "switch": "off"}).status_code == 404
    assert "BELL-HQ" not in client.get("/demo/").content.decode()
    assert fleet.pbxs[2].switch == "well"


@pytest.mark.parametrize("role", Role.values)
def test_everybody_gets_cards_that_their_role_can_follow(acme, role, client, settings):
    settings.DEMO_CONTROLS = "somewhere"
    for card in CARDS:
        for name in card.pbxs[:1]:
            make_pbx(acme, name=name)
    user = make_user(role, acme)
    client.force_login(user)

    cards = cards_for(user)

    assert 2 <= len(cards) <= MOST_CARDS
    assert cards[-1].title == "Break a PBX"
    assert all(card.title in client.get("/").content.decode() for card in cards)
    assert all(resolve(urlsplit(card.address).path) for card in cards)


def test_cards_about_pbxs_of_others_are_not_shown(acme, mara):
    make_pbx(make_customer(name="Delmar"), name="DELM-Leeds")

    assert not [card for card in cards_for(mara) if "DELM" in card.text]
