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

from .toy import PASSWORD, TOY, ToyDriver, ToyPbx, toy_pbx

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


def typed_record(acme: Customer, toy: ToyPbx, **values: str) -> dict[str, object]:
    """Return the form of the record of the toy as a manager fills it in."""
    where = {"customer": acme.pk, "name": "Toy-1", "scheme": "http", "host": "127.0.0.1", "port": toy.port}
    return where | {"api_version": TOY, "username": "api", "password": PASSWORD} | values


@pytest.fixture
def pbx(manager: Client, acme: Customer, toy: ToyPbx) -> Pbx:
    manager.post("/pbxs/add/", typed_record(acme, toy))
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


def test_its_newest_api_version_is_looked_for_among_its_own(manager: Client, pbx: Pbx, toy: ToyPbx) -> None:
    page = manager.post(f"/pbxs/{pbx.pk}/test/", {"detect": "on"}).content.decode()

    assert f"{TOY} answers. {TOY} is in use." in page
    assert [path for _, path, _ in toy.received].count("/session") == 1


def test_a_password_that_it_refuses_is_sent_once(manager: Client, acme: Customer, toy: ToyPbx) -> None:
    manager.post("/pbxs/add/", typed_record(acme, toy, password="open barley"))
    pbx = Pbx.objects.get(name="Toy-1")

    manager.post(f"/pbxs/{pbx.pk}/test/")
    manager.post(f"/pbxs/{pbx.pk}/refresh/")

    pbx.refresh_from_db()
    assert pbx.state == "credentials-rejected"
    assert toy.received == [("POST", "/session", None)]


@pytest.mark.parametrize("versions", [(TOY, "v1.0.0"), ("v1.0.0", TOY)], ids=["to S-Series", "to the toy"])
def test_a_password_kept_for_one_vendor_is_not_sent_to_another(
    manager: Client, acme: Customer, toy: ToyPbx, versions: tuple[str, str]
) -> None:
    before, after = versions
    manager.post("/pbxs/add/", typed_record(acme, toy, api_version=before))
    pbx = Pbx.objects.get(name="Toy-1")

    without = manager.post(f"/pbxs/{pbx.pk}/edit/", typed_record(acme, toy, api_version=after, password=""))
    again = manager.post(f"/pbxs/{pbx.pk}/edit/", typed_record(acme, toy, api_version=after))

    assert (without.status_code, again.status_code) == (422, 302)
    assert f"Enter it again: {after} needs it in another form." in without.content.decode()
    assert Pbx.objects.get().api_version == after


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
    assert answer.status_code == 422


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


def test_a_change_whose_token_it_refuses_is_sent_once_more_after_one_login(
    manager: Client, pbx: Pbx, toy: ToyPbx
) -> None:
    change = planned(manager, pbx, response_timeout="5")
    toy.received.clear()
    toy.ends_key_before = "PATCH"

    manager.post(f"{change.get_absolute_url()}apply/")

    assert Change.objects.get(pk=change.pk).status == "verified"
    assert toy.received == [
        ("GET", "/menus?only=6500", "toy-key"),
        ("PATCH", "/menus/6500", "toy-key"),
        ("POST", "/session", None),
        ("GET", "/me", "second-key"),
        ("PATCH", "/menus/6500", "second-key"),
        ("GET", "/menus?only=6500", "second-key"),
    ]


def test_nothing_is_written_to_an_unexpected_device(manager: Client, pbx: Pbx, toy: ToyPbx) -> None:
    change = planned(manager, pbx, response_timeout="5")
    toy.serial, toy.ends_key_before = "TOY-4711", "PATCH"

    manager.post(f"{change.get_absolute_url()}apply/")

    assert Change.objects.get(pk=change.pk).status == "not-sent"
    assert toy.menus["6500"]["wait"] == 3
    assert Event.objects.get(action="pbx.stranger").data["detail"]["found"] == "TOY-4711"
