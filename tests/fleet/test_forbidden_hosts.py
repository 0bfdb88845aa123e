"""A host or port that the guard refuses, as a manager meets it: at save, at the connection test, at any other call."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from pbxadmin.access.models import Customer
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import open_pbx_session
from pbxadmin.yeastar.errors import FORBIDDEN, FORBIDDEN_PORT, PbxForbidden
from pbxadmin.yeastar.simulator import SimulatedPbx
from tests.factories import make_pbx, make_user

from .test_pbx_form import typed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def manager(client: Client, acme: Customer) -> Client:
    client.force_login(make_user("manager", acme))
    return client


def error_of(page: str, field: str = "host") -> str:
    found = re.search(rf'data-error-for="{field}"[^>]*>(.*?)</p>', page, re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", "", found[1])).strip() if found else ""


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254", "::ffff:169.254.169.254", "localhost"])
def test_it_is_not_saved(manager: Client, acme: Customer, settings: Any, host: str) -> None:
    settings.PBX_NETWORKS = []

    answer = manager.post("/pbxs/add/", typed(acme, host=host))

    assert answer.status_code == 422
    assert error_of(answer.content.decode()) == FORBIDDEN
    assert not Pbx.objects.exists()
    assert not Event.objects.filter(action="pbx.added").exists()


def test_a_saved_pbx_is_not_moved_there(manager: Client, acme: Customer, settings: Any) -> None:
    settings.PBX_NETWORKS = []
    pbx = make_pbx(acme)

    answer = manager.post(f"/pbxs/{pbx.pk}/edit/", typed(acme, host="169.254.169.254"))

    assert (answer.status_code, error_of(answer.content.decode())) == (422, FORBIDDEN)
    assert Pbx.objects.get().host == "pbx.invalid"


@pytest.mark.parametrize("host", ["192.168.1.10", "10.0.0.1", "172.16.5.5", "fd00::1", "8.8.8.8", "pbx.example.com"])
def test_lans_the_public_network_and_unknown_names_are_saved(
    manager: Client, acme: Customer, settings: Any, host: str
) -> None:
    settings.PBX_NETWORKS = []

    answer = manager.post("/pbxs/add/", typed(acme, host=host))

    assert (answer.status_code, answer.headers["Location"]) == (302, f"/pbxs/{Pbx.objects.get().pk}/")
    assert Pbx.objects.get().host == host


def test_a_site_names_its_networks(manager: Client, acme: Customer, settings: Any) -> None:
    settings.PBX_NETWORKS = ["10.20.0.0/16"]

    assert manager.post("/pbxs/add/", typed(acme, host="10.21.0.1")).status_code == 422
    assert manager.post("/pbxs/add/", typed(acme, host="10.20.0.1")).status_code == 302


@pytest.mark.tls
@pytest.mark.parametrize("host", ["127.0.0.1", "pbx.test"])
def test_the_connection_test_stops_at_the_address_and_nothing_reaches_it(
    manager: Client,
    acme: Customer,
    settings: Any,
    simulated_pbx: SimulatedPbx,
    names: dict[str, list[str]],
    host: str,
) -> None:
    names["pbx.test"] = ["127.0.0.1"]
    pbx = make_pbx(acme, host=host, port=simulated_pbx.port, fingerprint=simulated_pbx.fingerprint)
    settings.PBX_NETWORKS = []

    page = manager.post(f"/pbxs/{pbx.pk}/test/").content.decode()

    tones = dict(re.findall(r'data-step="(\w+)" data-tone="(\w+)"', page))
    assert tones.pop("address") == "bad"
    assert set(tones.values()) == {"calm"}
    assert FORBIDDEN in html.unescape(page)
    assert simulated_pbx.connections == 0
    found = Pbx.objects.get()
    assert (found.state, found.state_reason) == ("unreachable", FORBIDDEN)
    assert Event.objects.get(action="pbx.tested").data["detail"] == {"step": "address", "why": FORBIDDEN}


@pytest.mark.tls
def test_any_other_call_is_refused_with_the_same_sentence(
    acme: Customer, settings: Any, simulated_pbx: SimulatedPbx
) -> None:
    pbx = make_pbx(acme, host="127.0.0.1", port=simulated_pbx.port, fingerprint=simulated_pbx.fingerprint)
    settings.PBX_NETWORKS = ["10.0.0.0/8"]

    with pytest.raises(PbxForbidden, match=re.escape(FORBIDDEN)), open_pbx_session(pbx, "a test") as held:
        held.client.query_ivrs()

    assert simulated_pbx.connections == 0
    found = Pbx.objects.get()
    assert (found.state, found.state_reason) == ("unreachable", FORBIDDEN)


def test_a_site_names_its_ports(manager: Client, acme: Customer, settings: Any) -> None:
    settings.PBX_PORTS = [range(443, 444), range(8000, 9000)]

    answer = manager.post("/pbxs/add/", typed(acme, port="6379"))

    assert (answer.status_code, error_of(answer.content.decode(), "port")) == (422, FORBIDDEN_PORT)
    assert manager.post("/pbxs/add/", typed(acme, port="8088")).status_code == 302


@pytest.mark.tls
def test_a_port_that_is_none_of_them_any_more_is_not_connected_to(
    manager: Client, acme: Customer, settings: Any, simulated_pbx: SimulatedPbx
) -> None:
    pbx = make_pbx(acme, host="127.0.0.1", port=simulated_pbx.port, fingerprint=simulated_pbx.fingerprint)
    settings.PBX_PORTS = [range(443, 444)]

    page = manager.post(f"/pbxs/{pbx.pk}/test/").content.decode()

    assert FORBIDDEN_PORT in html.unescape(page)
    with pytest.raises(PbxForbidden, match="PBX_PORTS"), open_pbx_session(pbx, "a test"):
        pytest.fail("there was a client")
    assert simulated_pbx.connections == 0
