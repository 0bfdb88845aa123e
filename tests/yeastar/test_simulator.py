"""The simulated fleet keeps the promises that other tests and the demo rely on. It is talked to without our client."""

import asyncio
import hashlib
import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pbxadmin.yeastar.simulator import ALWAYS, NOTHING, V1_0, V1_1, V2_0, Fault, Fleet, SimulatedPbx, instead, only
from pbxadmin.yeastar.simulator.seed import seeded
from tests.waiting import LIMIT_S, until

from .servers import calls_in_threads

pytestmark = pytest.mark.tls

MakeFleet = Callable[..., Fleet]
WRONG = "0" * 32
ANYBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ANYBODY.check_hostname, ANYBODY.verify_mode = False, ssl.CERT_NONE


def ask(
    pbx: SimulatedPbx, call: str, body: Any = None, token: str = "", version: str = V1_0, method: str = "POST"
) -> dict[str, Any]:
    """What the PBX answers, over the network; {} for anything that is no JSON."""
    status, text = fetch(pbx, f"/api/{version}/{call}" + (f"?token={token}" if token else ""), body, method)
    assert status == 200, "errors come with HTTP 200"
    return json.loads(text)


def fetch(pbx: SimulatedPbx, path: str, body: Any = None, method: str = "POST") -> tuple[int, str]:
    link = http.client.HTTPSConnection("127.0.0.1", pbx.port, timeout=LIMIT_S, context=ANYBODY)
    try:
        link.request(method, path, body if isinstance(body, bytes) else json.dumps(body) if body is not None else None)
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


def login(pbx: SimulatedPbx, digest: str = "", version: str = V1_0, **more: Any) -> dict[str, Any]:
    digest = digest or hashlib.md5(pbx.password.encode()).hexdigest()  # noqa: S324  (what the API wants)
    return ask(pbx, "login", {"username": "api", "password": digest, "port": "8260"} | more, version=version)


def signed_in(pbx: SimulatedPbx) -> str:
    return login(pbx)["token"]


def refused(code: str) -> dict[str, str]:
    return {"status": "Failed", "errno": code}


# Login, tokens, lockout


def test_the_right_digest_gets_a_token_of_32_hex_digits(simulated_pbx: SimulatedPbx) -> None:
    answer = login(simulated_pbx)

    assert answer["status"] == "Success"
    assert len(answer["token"]) == 32
    assert int(answer["token"], 16) >= 0
    assert "transport" not in answer


def test_the_second_version_says_its_transport_and_needs_no_port(make_fleet: MakeFleet) -> None:
    pbx = make_fleet().pbxs[0]
    pbx.versions.add(V2_0)

    assert login(pbx, version=V2_0, port=None)["transport"] == "TCP"
    assert login(pbx, port=None) == refused("20008")


@pytest.mark.parametrize(("port", "code"), [("0", "20008"), ("65536", "20008"), ("x", "20008"), ("65535", "")])
def test_the_port_of_a_login_is_checked(simulated_pbx: SimulatedPbx, port: str, code: str) -> None:
    assert login(simulated_pbx, port=port).get("errno", "") == code


@pytest.mark.parametrize("more", [{"password": WRONG}, {"username": "admin"}, {"password": "Simulated1000"}])
def test_a_wrong_user_password_or_form_of_it_is_20003(simulated_pbx: SimulatedPbx, more: dict[str, str]) -> None:
    assert login(simulated_pbx, **more) == refused("20003")


def test_five_wrong_passwords_in_a_row_lock_even_the_right_one_out(simulated_pbx: SimulatedPbx) -> None:
    answers = [login(simulated_pbx, WRONG) for _ in range(5)]

    assert answers == [refused("20003")] * 5
    assert login(simulated_pbx) == refused("20002")
    assert login(simulated_pbx, WRONG) == refused("20002")


def test_a_right_password_starts_the_count_anew(simulated_pbx: SimulatedPbx) -> None:
    for _ in range(2):
        for _ in range(4):
            login(simulated_pbx, WRONG)
        assert login(simulated_pbx)["status"] == "Success"


def test_the_lockout_ends(simulated_pbx: SimulatedPbx) -> None:
    for _ in range(5):
        login(simulated_pbx, WRONG)
    locked = login(simulated_pbx)
    simulated_pbx.locked_until -= simulated_pbx.lockout_s  # as if that time had passed

    assert locked == refused("20002")
    assert login(simulated_pbx)["status"] == "Success"


def test_a_lockout_leaves_the_tokens_that_are_out(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)
    for _ in range(5):
        login(simulated_pbx, WRONG)

    assert ask(simulated_pbx, "ivr/query", token=token)["status"] == "Success"


def test_each_way_of_a_bad_token_has_its_code(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)
    simulated_pbx.tokens[token] -= simulated_pbx.token_life_s  # as if that time had passed

    assert ask(simulated_pbx, "ivr/query", token="f" * 32) == refused("20004")
    assert ask(simulated_pbx, "ivr/query") == refused("20005")
    assert ask(simulated_pbx, "ivr/query", token=token) == refused("20006")


def test_tokens_expire_at_a_word_and_several_live_side_by_side(simulated_pbx: SimulatedPbx) -> None:
    tokens = [signed_in(simulated_pbx) for _ in range(2)]
    before = [ask(simulated_pbx, "apply", token=token)["status"] for token in tokens]
    simulated_pbx.expire_tokens()

    assert before == ["Success"] * 2
    assert [ask(simulated_pbx, "apply", token=token) for token in tokens] == [refused("20006")] * 2


@pytest.mark.parametrize(
    "body",
    [
        {"ipaddr": "127.0.0.1"},
        {"ipaddr": "192.168.6.24", "port": 8260, "version": "2.0.0"},
        {"port": "8260", "url": "1112121212"},
    ],
)
def test_a_heartbeat_as_each_guide_shows_it_prolongs_a_token(simulated_pbx: SimulatedPbx, body: dict[str, Any]) -> None:
    token = signed_in(simulated_pbx)
    before = simulated_pbx.tokens[token]

    assert ask(simulated_pbx, "heartbeat", body, token)["status"] == "Success"
    assert simulated_pbx.tokens[token] > before


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "20011"), ({"url": "x"}, "20011"), ({"port": "0"}, "20008"), ({"ipaddr": "127.0.0.1", "port": ""}, "20008")],
)
def test_a_heartbeat_without_where_to_or_with_a_wrong_port_is_refused(
    simulated_pbx: SimulatedPbx, body: dict[str, str], code: str
) -> None:
    assert ask(simulated_pbx, "heartbeat", body, signed_in(simulated_pbx)) == refused(code)


def test_logging_out_ends_a_token(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)

    assert ask(simulated_pbx, "logout", token=token)["status"] == "Success"
    assert ask(simulated_pbx, "ivr/query", token=token) == refused("20004")


# Reading


def test_all_one_and_several_ivrs_are_answered(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)

    every = ask(simulated_pbx, "ivr/query", token=token)["ivr"]
    two = ask(simulated_pbx, "ivr/query", {"ivrid": "6501,6500"}, token)["ivr"]

    assert [ivr["ivrnumber"] for ivr in every] == sorted(simulated_pbx.ivrs)
    assert [ivr["ivrnumber"] for ivr in two] == ["6501", "6500"]
    assert all(isinstance(value, str) for ivr in every for value in ivr.values())


@pytest.mark.parametrize("ivrid", ["6999", "6500,6999", "all", "6500, 6501"])
def test_a_list_with_a_number_that_is_not_there_is_10012(simulated_pbx: SimulatedPbx, ivrid: str) -> None:
    assert ask(simulated_pbx, "ivr/query", {"ivrid": ivrid}, signed_in(simulated_pbx)) == refused("10012")


def test_the_second_version_has_other_words(simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.versions.add(V2_0)
    token = signed_in(simulated_pbx)

    every = ask(simulated_pbx, "ivr/query", {"number": "all"}, token, V2_0)["ivr"]

    assert [ivr["number"] for ivr in every] == sorted(simulated_pbx.ivrs)
    assert not any("ivrnumber" in ivr or "selectedrouters" in ivr for ivr in every)
    assert ask(simulated_pbx, "ivr/query", {}, token, V2_0) == refused("10004")


def test_a_version_or_call_that_it_does_not_know_is_10003(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)

    assert ask(simulated_pbx, "ivr/query", {"number": "all"}, token, V2_0) == refused("10003")
    assert ask(simulated_pbx, "ivr/delete", {"ivrid": "6500"}, token) == refused("10003")


def test_a_get_is_20001_and_a_body_that_is_no_json_is_20000(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)

    assert ask(simulated_pbx, "ivr/query", token=token, method="GET") == refused("20001")
    assert ask(simulated_pbx, "ivr/query", b"{ivrid:6500}", token) == refused("20000")


def test_any_other_address_is_a_page(simulated_pbx: SimulatedPbx) -> None:
    status, text = fetch(simulated_pbx, "/", method="GET")

    assert (status, text[:9]) == (200, "<!doctype")
    assert simulated_pbx.calls() == []


def test_fields_can_be_left_out(simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.leaves_out = {"dialext", "promptrepeat"}

    (ivr,) = ask(simulated_pbx, "ivr/query", {"ivrid": "6500"}, signed_in(simulated_pbx))["ivr"]

    assert {"dialext", "promptrepeat"} & ivr.keys() == set()
    assert "digittimeout" in ivr


def test_the_device_says_who_it_is(simulated_pbx: SimulatedPbx) -> None:
    info = ask(simulated_pbx, "deviceinfo/query", token=signed_in(simulated_pbx))["deviceinfo"]

    assert (info["sn"], info["devicename"]) == (simulated_pbx.serial, simulated_pbx.model)


# Writing


def test_an_update_is_kept_and_the_rest_stays(simulated_pbx: SimulatedPbx) -> None:
    before = dict(simulated_pbx.ivrs["6500"])

    answer = ask(simulated_pbx, "ivr/update", {"ivrid": "6500", "digittimeout": "9"}, signed_in(simulated_pbx))

    assert answer == {"status": "Success"}
    assert simulated_pbx.ivrs["6500"] == before | {"digittimeout": "9"}


@pytest.mark.parametrize(
    "fields",
    [
        {"responsetimeout": "0"},
        {"responsetimeout": "11"},
        {"digittimeout": "3.5"},
        {"promptrepeat": "6"},
        {"promptrepeat": ""},
        {"dialext": "yes"},
        {"ivrname": "two words"},
        {"ivrname": "a;b"},
        {"ivrname": "x" * 32},
        {"ivrnumber": "12345678"},
        {"ivrnumber": "*98"},
        {"ivrnumber": "6501"},
        {"ivrnumber": "1000"},
        {"responsetimeout": "5", "promptrepeat": "9"},
    ],
)
def test_what_breaks_a_rule_or_clashes_is_10018_and_changes_nothing(
    simulated_pbx: SimulatedPbx, fields: dict[str, str]
) -> None:
    before = {number: dict(ivr) for number, ivr in simulated_pbx.ivrs.items()}

    answer = ask(simulated_pbx, "ivr/update", {"ivrid": "6500"} | fields, signed_in(simulated_pbx))

    assert answer == refused("10018")
    assert simulated_pbx.ivrs == before


def test_a_renumbered_ivr_answers_to_its_new_number_only(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)
    body = {"ivrid": "6500", "ivrnumber": "6600"}

    assert ask(simulated_pbx, "ivr/update", body, token) == {"status": "Success"}
    assert ask(simulated_pbx, "ivr/query", {"ivrid": "6600"}, token)["status"] == "Success"
    assert ask(simulated_pbx, "ivr/query", {"ivrid": "6500"}, token) == refused("10012")
    assert ask(simulated_pbx, "ivr/update", body, token) == refused("10012")


@pytest.mark.parametrize(
    ("version", "body"),
    [
        (V1_0, {"ivrid": "6500", "dialoutboundroutes": "on", "prompt": "x"}),
        (V1_1, {"ivrid": "6500", "dialoutboundroutes": "on"}),
        (V2_0, {"number": "6500", "ivrnumber": "6600", "prompt": "x"}),
    ],
)
def test_what_a_version_does_not_write_is_ignored(
    simulated_pbx: SimulatedPbx, version: str, body: dict[str, str]
) -> None:
    simulated_pbx.versions.add(V2_0)
    simulated_pbx.ivrs["6500"]["dialoutboundroutes"] = "off"
    before = dict(simulated_pbx.ivrs["6500"])

    assert ask(simulated_pbx, "ivr/update", body, signed_in(simulated_pbx), version) == {"status": "Success"}
    assert simulated_pbx.ivrs["6500"] == before


def test_the_second_version_writes_outbound_dialling(simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.versions.add(V2_0)
    body = {"number": "6500", "dialoutboundroutes": "ON"}

    ask(simulated_pbx, "ivr/update", body, signed_in(simulated_pbx), V2_0)

    assert simulated_pbx.ivrs["6500"]["dialoutboundroutes"] == "on"


@pytest.mark.parametrize(("body", "code"), [({}, "10004"), ({"ivrid": ""}, "10004"), ({"ivrid": "6999"}, "10012")])
def test_an_update_of_nothing_is_refused(simulated_pbx: SimulatedPbx, body: dict[str, str], code: str) -> None:
    assert ask(simulated_pbx, "ivr/update", body, signed_in(simulated_pbx)) == refused(code)


# How it lies


@pytest.mark.parametrize(
    ("stores", "kept"),
    [
        (NOTHING, {}),
        (only("ivrname"), {"ivrname": "Neu"}),
        (instead(digittimeout="10"), {"ivrname": "Neu", "digittimeout": "10"}),
    ],
)
def test_it_can_say_success_and_keep_something_else(
    simulated_pbx: SimulatedPbx, stores: Any, kept: dict[str, str]
) -> None:
    before = dict(simulated_pbx.ivrs["6500"])
    simulated_pbx.misbehave(call="ivr/update", stores=stores)
    body = {"ivrid": "6500", "ivrname": "Neu", "digittimeout": "4"}

    answer = ask(simulated_pbx, "ivr/update", body, signed_in(simulated_pbx))

    assert answer == {"status": "Success"}
    assert simulated_pbx.ivrs["6500"] == before | kept


def test_it_can_say_no_and_keep_it_all_the_same(simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.misbehave(Fault.ERRNO, call="ivr/update", errno="10018")

    answer = ask(simulated_pbx, "ivr/update", {"ivrid": "6500", "ivrname": "Neu"}, signed_in(simulated_pbx))

    assert answer == refused("10018")
    assert simulated_pbx.ivrs["6500"]["ivrname"] == "Neu"


def test_somebody_can_edit_just_before_and_just_after_an_update(simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.misbehave(
        call="ivr/update",
        before=lambda: simulated_pbx.edit("6500", promptrepeat="1", ivrname="Theirs"),
        then=lambda: simulated_pbx.edit("6500", digittimeout="1"),
    )

    ask(simulated_pbx, "ivr/update", {"ivrid": "6500", "ivrname": "Ours"}, signed_in(simulated_pbx))

    ivr = simulated_pbx.ivrs["6500"]
    assert (ivr["promptrepeat"], ivr["ivrname"], ivr["digittimeout"]) == ("1", "Ours", "1")


def test_an_order_holds_for_so_many_calls_after_so_many_good_ones(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)
    simulated_pbx.misbehave(Fault.ERRNO, call="apply", errno="1", times=2, after=1)
    simulated_pbx.misbehave(Fault.ERRNO, call="ivr/query", errno="2", times=ALWAYS)

    applied = [ask(simulated_pbx, "apply", token=token).get("errno") for _ in range(4)]
    read = [ask(simulated_pbx, "ivr/query", token=token).get("errno") for _ in range(2)]
    simulated_pbx.behave()

    assert (applied, read) == ([None, "1", "1", None], ["2", "2"])
    assert ask(simulated_pbx, "ivr/query", token=token)["status"] == "Success"


# One at a time, latency, counting


def each_call_lasts_until(pbx: SimulatedPbx, is_over: Callable[[], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    async def think() -> None:
        while not is_over():
            await asyncio.sleep(0.01)

    monkeypatch.setattr(pbx, "think", think)


def test_a_second_request_at_a_time_is_turned_away_when_asked_to(
    simulated_pbx: SimulatedPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = signed_in(simulated_pbx)
    simulated_pbx.one_at_a_time = True
    each_call_lasts_until(simulated_pbx, lambda: simulated_pbx.max_in_flight == 2, monkeypatch)

    answers = calls_in_threads(*[lambda: ask(simulated_pbx, "apply", token=token)] * 2)

    assert sorted(answer.get("errno", "") for answer in answers) == ["", "20010"]
    assert simulated_pbx.max_in_flight == 2
    assert ask(simulated_pbx, "apply", token=token)["status"] == "Success"


def test_it_is_the_second_of_two_requests_that_is_turned_away_and_at_once(
    simulated_pbx: SimulatedPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = signed_in(simulated_pbx)
    simulated_pbx.one_at_a_time = True
    is_turned_away = threading.Event()
    each_call_lasts_until(simulated_pbx, is_turned_away.is_set, monkeypatch)

    def second() -> dict[str, Any]:
        until(lambda: simulated_pbx.in_flight)
        try:
            return ask(simulated_pbx, "ivr/query", token=token)
        finally:
            is_turned_away.set()

    first, told = calls_in_threads(lambda: ask(simulated_pbx, "apply", token=token), second)

    assert told == refused("20010")
    assert first == {"status": "Success"}


def test_the_most_calls_at_one_time_are_counted(simulated_pbx: SimulatedPbx, monkeypatch: pytest.MonkeyPatch) -> None:
    token = signed_in(simulated_pbx)
    each_call_lasts_until(simulated_pbx, lambda: simulated_pbx.max_in_flight == 3, monkeypatch)

    calls_in_threads(*[lambda: ask(simulated_pbx, "apply", token=token)] * 3)

    assert (simulated_pbx.max_in_flight, simulated_pbx.in_flight) == (3, 0)
    assert simulated_pbx.count("apply") == 3


def test_each_call_takes_its_latency(simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.latency_s = 0.2
    began = time.monotonic()

    signed_in(simulated_pbx)

    assert 0.2 <= time.monotonic() - began < 4


def test_what_was_received_is_kept_in_order_with_its_body(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)
    ask(simulated_pbx, "ivr/update", {"ivrid": "6500", "ivrname": "Neu"}, token)
    ask(simulated_pbx, "apply", token=token)

    assert simulated_pbx.calls() == ["login", "ivr/update", "apply"]
    assert simulated_pbx.received[1].body == {"ivrid": "6500", "ivrname": "Neu"}
    assert simulated_pbx.received[2].body == {}
    assert simulated_pbx.connections == 3
    assert simulated_pbx.bytes_received > 300


# The fleet


def test_a_pbx_that_is_switched_off_refuses_and_comes_back_on_its_port(fleet: Fleet) -> None:
    pbx, other, _ = fleet.pbxs
    port = pbx.port
    fleet.switch_off(pbx)

    with pytest.raises(ConnectionRefusedError):
        login(pbx)
    assert login(other)["status"] == "Success"
    fleet.switch_on(pbx)
    assert pbx.port == port
    assert login(pbx)["status"] == "Success"


def test_what_a_fleet_holds_outlives_it_in_a_private_file(tmp_path: Path) -> None:
    state = tmp_path / "fleet.json"
    with Fleet(2, state_file=state) as fleet:
        first, port, pin = fleet.pbxs[0], fleet.pbxs[0].port, fleet.fingerprint
        ask(first, "ivr/update", {"ivrid": "6500", "ivrname": "Neu"}, signed_in(first))

    with Fleet(2, state_file=state) as again:
        assert again.pbxs[0].ivrs["6500"]["ivrname"] == "Neu"
        assert (again.pbxs[0].port, again.fingerprint) == (port, pin)
    assert state.stat().st_mode & 0o777 == 0o600


def test_a_change_is_saved_before_it_is_answered(tmp_path: Path) -> None:
    state = tmp_path / "fleet.json"
    with Fleet(1, state_file=state) as fleet:
        pbx = fleet.pbxs[0]
        pbx.misbehave(Fault.CLOSE, call="ivr/update")
        token = signed_in(pbx)
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(pbx, "ivr/update", {"ivrid": "6500", "ivrname": "Neu"}, token)

        assert json.loads(state.read_text())["pbxs"][0]["ivrs"]["6500"]["ivrname"] == "Neu"


def test_the_seed_is_the_same_in_every_run_and_keeps_its_own_rules_but_for_one_name() -> None:
    assert [vars(seeded(place))["ivrs"] for place in range(8)] == [vars(seeded(place))["ivrs"] for place in range(8)]
    names = {seeded(place).name for place in range(200)}
    serials = {seeded(place).serial for place in range(200)}

    assert len(names) == len(serials) == 200
    assert any(" " in ivr["ivrname"] for ivr in seeded(0).ivrs.values()), "one that somebody made on the PBX"


def test_a_fleet_stops_at_once_whatever_it_is_doing(make_fleet: MakeFleet) -> None:
    fleet = Fleet(1).__enter__()
    pbx = fleet.pbxs[0]
    pbx.misbehave(Fault.SILENT)
    waiting: list[Any] = []

    def wait() -> None:
        try:
            login(pbx)
        except (http.client.HTTPException, OSError) as error:
            waiting.append(error)

    def stop() -> float:
        until(lambda: pbx.received)
        began = time.monotonic()
        fleet.__exit__()
        return time.monotonic() - began

    _, took = calls_in_threads(wait, stop)

    assert took < 5
    assert len(waiting) == 1


def test_it_lists_what_leads_to_ivrs_as_each_version_does(simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.versions.add(V2_0)
    token = signed_in(simulated_pbx)

    assert ask(simulated_pbx, "inroute/query", {"name": "all"}, token) == refused("10003")
    by_name = ask(simulated_pbx, "inroute/query", {"name": "Main"}, token, V1_1)["inroutes"]
    by_id = ask(simulated_pbx, "inroute/query", {"id": "all"}, token, V2_0)["inroutes"]
    assert (by_name, by_id[0]["dest"]) == (by_id[:1], "6500")
    assert [queue["queuenumber"] for queue in ask(simulated_pbx, "queue/query", None, token)["queues"]] == [
        "6701",
        "6702",
    ]
    assert ask(simulated_pbx, "queue/query", {"queueid": "6799"}, token) == refused("10013")
    assert len(ask(simulated_pbx, "queue/query", {"number": "all"}, token, V2_0)["queues"]) == 2
    assert ask(simulated_pbx, "extensionlist/query", None, token)["extlist"][0]["extnumber"] == "1000"
    assert ask(simulated_pbx, "extension/list", None, token, V1_1) == refused("10003")


def test_it_rings_an_extension_that_it_has(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)

    def ring(**body: str) -> dict[str, Any]:
        return ask(simulated_pbx, "ivr/dial_extension", body, token)

    assert "callid" in ring(ivrid="6500", extid="1002", autoanswer="no")
    assert [ring(ivrid="6500"), ring(ivrid="1", extid="1002"), ring(ivrid="6500", extid="99")] == [
        refused("10004"),
        refused("10012"),
        refused("10006"),
    ]
    assert simulated_pbx.rung == [("1002", "6500")]


def test_a_queue_takes_a_number(simulated_pbx: SimulatedPbx) -> None:
    token = signed_in(simulated_pbx)

    assert ask(simulated_pbx, "ivr/update", {"ivrid": "6500", "ivrnumber": "6701"}, token) == refused("10018")
