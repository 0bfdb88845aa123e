"""Orders for a running fleet: each switch breaks a PBX as it says, until it is switched back."""

import json
import socket

import pytest

from pbxadmin.yeastar.errors import PbxLocked, PbxLoginRefused, PbxNotSent, PbxOutcomeUnknown, PbxRefused, PbxUntrusted
from pbxadmin.yeastar.simulator import Fleet
from pbxadmin.yeastar.simulator.controls import OTHER_PASSWORD, SWITCHES
from tests.simulated import client_for

pytestmark = pytest.mark.tls


@pytest.fixture
def controls(tmp_path):
    return tmp_path / "fleet.sock"


@pytest.fixture
def pbx(make_fleet, controls):
    return make_fleet(2, controls=controls).pbxs[0]


@pytest.fixture
def order(controls, pbx):
    """Give an order for the PBX."""

    def give(**words):
        with socket.socket(socket.AF_UNIX) as link, link.makefile("rw") as talk:
            link.settimeout(30)
            link.connect(str(controls))
            talk.write(json.dumps({"pbx": pbx.name, **words}) + "\n")
            talk.flush()
            return json.loads(talk.readline())

    return give


def update(pbx, **more):
    client = client_for(pbx, password=pbx.password.removesuffix(OTHER_PASSWORD), **more)
    live = client.query_ivr("6500")
    client.update_ivr(live, {"response_timeout": "9"})
    return client.query_ivr("6500").response_timeout


@pytest.mark.parametrize(
    ("switch", "error"),
    [
        ("off", PbxNotSent),
        ("refuses", PbxRefused),
        ("loses", PbxOutcomeUnknown),
        ("certificate", PbxUntrusted),
        ("password", PbxLoginRefused),
        ("locked", PbxLocked),
    ],
)
def test_a_switch_breaks_a_pbx_until_it_is_well_again(pbx, order, switch, error):
    assert order(switch=switch)[pbx.name]["switch"] == switch

    with pytest.raises(error):
        update(pbx)

    assert order(switch="well")[pbx.name]["switch"] == "well"
    assert update(pbx) == "9"


def test_one_that_lies_says_that_it_did_and_did_not(pbx, order):
    before = pbx.ivrs["6500"]["responsetimeout"]
    order(switch="lies")

    assert update(pbx) == before


def test_a_slow_one_answers_all_the_same(pbx, order, monkeypatch):
    monkeypatch.setattr("pbxadmin.yeastar.simulator.controls.SLOW_ANSWER_S", 0.2)
    order(switch="slow")

    assert pbx.latency_s == 0.2
    assert update(pbx) == "9"


def test_every_switch_can_be_turned_one_after_the_other(pbx, order):
    for switch in SWITCHES:
        assert order(switch=switch)[pbx.name]["switch"] == switch


def test_somebody_edits_on_the_pbx(pbx, order):
    order(edit="6500", fields={"responsetimeout": "1"})

    assert client_for(pbx).query_ivr("6500").response_timeout == "1"


def test_a_fleet_that_starts_again_has_the_switches_that_it_had(tmp_path, make_fleet):
    state = {"state_file": tmp_path / "fleet.json"}
    first = Fleet(1, **state, controls=tmp_path / "one.sock")
    with first, socket.socket(socket.AF_UNIX) as link, link.makefile("rw") as talk:
        link.connect(str(first.controls))
        talk.write(json.dumps({"pbx": first.pbxs[0].name, "switch": "off"}) + "\n")
        talk.flush()
        talk.readline()

    again = make_fleet(1, **state).pbxs[0]

    with pytest.raises(PbxNotSent):
        update(again)
