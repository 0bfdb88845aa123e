"""The driver seam: a PBX of a made-up vendor goes from its record to a verified change through the real pages."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client

from ivr.models import Change, Ivr
from pbxadmin.access.models import Customer
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar import drivers
from pbxadmin.yeastar.driver import Driver
from tests.drills.edits import filled, planned
from tests.factories import make_user

from .toy import TOY, ToyDriver, ToyPbx, toy_pbx

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.tls]
STEPS_OF_A_PASSED_TEST = ["address", "tcp", "tls", "login", "device", "ivrs"]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyPbx]:
    driver: Driver = ToyDriver()
    monkeypatch.setitem(drivers.DRIVERS, TOY, driver)
    with toy_pbx() as served:
        yield served


@pytest.fixture
def manager(client: Client, acme: Customer) -> Client:
    client.force_login(make_user("manager", acme))
    return client


@pytest.fixture
def pbx(manager: Client, acme: Customer, toy: ToyPbx) -> Pbx:
    typed = {"customer": acme.pk, "name": "Toy-1", "scheme": "http", "host": "127.0.0.1", "port": toy.port}
    manager.post("/pbxs/add/", typed | {"api_version": TOY, "username": "api", "password": "open sesame"})
    return Pbx.objects.get(name="Toy-1")


def test_a_pbx_of_another_vendor_passes_the_connection_test(manager: Client, pbx: Pbx, toy: ToyPbx) -> None:
    page = manager.post(f"/pbxs/{pbx.pk}/test/").content.decode()

    assert re.findall(r'data-step="(\w+)" data-tone="ok"', page) == STEPS_OF_A_PASSED_TEST
    pbx.refresh_from_db()
    assert (pbx.state, pbx.serial, pbx.model) == ("reachable", "TOY-0815", "Toy")
    assert toy.received == [
        ("POST", "/session", None),
        ("GET", "/me", "toy-key"),
        ("GET", "/menus", "toy-key"),
    ]


def test_its_ivr_is_shown_with_the_field_that_only_it_has(manager: Client, pbx: Pbx) -> None:
    manager.post(f"/pbxs/{pbx.pk}/refresh/")

    page = manager.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()

    assert re.search(r'data-field="language"\s+data-value="Welsh"', page)
    assert Ivr.objects.get(pbx=pbx).response_timeout == "3"


def test_its_ivr_cannot_be_renumbered(manager: Client, pbx: Pbx) -> None:
    form = filled(manager.get(f"/pbxs/{pbx.pk}/ivrs/6500/edit/").content.decode())

    answer = manager.post(f"/pbxs/{pbx.pk}/ivrs/6500/edit/", form | {"number": "6600", "response_timeout": "5"})

    assert {"name", "response_timeout"} <= form.keys()
    assert "number" not in form
    assert answer.status_code == 403


def test_a_change_of_it_is_sent_once_and_verified_by_reading_back(manager: Client, pbx: Pbx, toy: ToyPbx) -> None:
    change = planned(manager, pbx, response_timeout="5")
    toy.received.clear()

    manager.post(f"{change.get_absolute_url()}apply/")

    change = Change.objects.get(pk=change.pk)
    assert (change.status, change.found and change.found["response_timeout"]) == ("verified", "5")
    assert toy.menus["6500"]["wait"] == 5
    assert [(method, path) for method, path, _ in toy.received] == [
        ("GET", "/menus?only=6500"),
        ("PATCH", "/menus/6500"),
        ("GET", "/menus?only=6500"),
    ]
    assert Event.objects.get(action="change.outcome").outcome == "verified"
    receipt = manager.get(f"{change.get_absolute_url()}receipt.txt").content.decode()
    assert "Response timeout 3 s → 5 s" in receipt
