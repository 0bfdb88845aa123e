"""Inbound routes, queues and extensions: what each version is asked, and what is made of any answer."""

import json
from typing import Any

import pytest
import responses

from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.driver import SIDE_LISTS, CallKind
from pbxadmin.yeastar.drivers import driver_of
from pbxadmin.yeastar.errors import PbxBadAnswer, PbxHeldBack, PbxNotSent, PbxRefused, PbxTokenRefused
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.readings import LeadIn, SideEntry, SideList
from pbxadmin.yeastar.s_series.side_lists import read_list
from pbxadmin.yeastar.secret import Secret
from pbxadmin.yeastar.transport import Endpoint, Transport, Trust, TrustMode

ROUTES, QUEUES, EXTENSIONS = SIDE_LISTS
PBX = "https://pbx.invalid:8088/api"
ROUTE = {
    "id": "4",
    "name": "Main",
    "did": "",
    "caller_id": "",
    "trunks": "siptrunk",
    "desttype": "ivr",
    "dest": "6500",
}
QUEUE = {
    "queuenumber": "6701",
    "queuename": "6701",
    "password": "queue-secret",
    "ringstrategy": "Ring All",
    "failoveraction": "Hang up",
    "agents": "1001,1002,",
    "breakoutkey": "None",
}
EXTENSION = {"extnumber": "1000", "status": "Registered", "type": "SIP", "username": "Jayson", "agentid": ""}


def routes(*entries: Any) -> SideList:
    return read_list(ROUTES, {"status": "Success", "inroutes": list(entries)})


def queues(*entries: Any) -> SideList:
    return read_list(QUEUES, {"status": "Success", "queues": list(entries)})


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        (ROUTES, [None, ("v1.1.0/inroute/query", {"name": "all"}), ("v2.0.0/inroute/query", {"id": "all"})]),
        (
            QUEUES,
            [
                ("v1.0.0/queue/query", None),
                ("v1.1.0/queue/query", None),
                ("v2.0.0/queue/query", {"number": "all"}),
            ],
        ),
        (
            EXTENSIONS,
            [
                ("v1.0.0/extensionlist/query", None),
                ("v1.1.0/extensionlist/query", None),
                ("v2.0.0/extension/list", None),
            ],
        ),
    ],
)
def test_each_version_is_asked_as_its_guide_says(kind: CallKind, asked: list[Any]) -> None:
    requests = [driver_of(version).side_list(kind) for version in ApiVersion]

    assert [each and (each.path.removeprefix("/api/"), each.body) for each in requests] == asked


def test_the_samples_of_the_guides_are_read() -> None:
    assert routes(ROUTE) == SideList((SideEntry(name="Main", leads=(LeadIn("6500"),)),))
    assert queues(QUEUE) == SideList((SideEntry("6701", "6701"),))
    assert read_list(EXTENSIONS, {"extlist": [EXTENSION]}) == SideList((SideEntry("1000"),))


def test_a_queue_leads_to_ivrs_by_time_and_by_key() -> None:
    leading = QUEUE | {
        "failoveraction": "IVR",
        "failoverdest": 6500,
        "breakoutkey": 0,
        "breakoutaction": "IVR",
        "breakoutdest": "6501",
    }

    (entry,) = queues(leading).entries

    assert entry.leads == (LeadIn("6500", "when nobody answers"), LeadIn("6501", "on key 0"))


@pytest.mark.parametrize("kind", ["hangup", "extension", "extrange", "voicemail", "ringgroup", "queue", "outroute"])
def test_a_route_to_anything_else_leads_to_no_ivr(kind: str) -> None:
    assert routes(ROUTE | {"desttype": kind}).entries[0].leads == ()


def test_a_destination_that_is_not_reported_is_no_number() -> None:
    without = {key: value for key, value in ROUTE.items() if key != "dest"}

    assert routes(without).entries[0].leads == (LeadIn(""),)
    assert queues(QUEUE | {"failoveraction": "ivr"}).entries[0].leads == (LeadIn("", "when nobody answers"),)


@pytest.mark.parametrize("entry", [None, 7, "6500", [], {}, {"name": "x"}, ROUTE | {"desttype": ["ivr"]}])
def test_an_entry_of_another_shape_spoils_only_itself(entry: Any) -> None:
    found = routes(entry, ROUTE)

    assert ([each.name for each in found.entries], found.unclear) == (["Main"], 1)


@pytest.mark.parametrize("found", ["text", 7, True, [1] * 5001])
@pytest.mark.parametrize("kind", SIDE_LISTS)
def test_what_is_no_list_is_a_bad_answer(kind: CallKind, found: Any) -> None:
    key = {ROUTES: "inroutes", QUEUES: "queues", EXTENSIONS: "extlist"}[kind]

    with pytest.raises(PbxBadAnswer):
        read_list(kind, {"status": "Success", key: found})
    with pytest.raises(PbxBadAnswer):
        read_list(kind, {"status": "Success", "something": []})
    assert read_list(kind, {key: None}) == SideList()


def test_hostile_texts_are_cut_and_never_numbers() -> None:
    long = "9" * 5000
    (route,) = routes(ROUTE | {"name": long, "did": {"a": 1}, "dest": long}).entries
    (queue,) = queues(QUEUE | {"queuename": "\u202e<b>", "breakoutkey": long, "breakoutaction": "IVR"}).entries

    assert (len(route.name), route.did, route.leads) == (200, "", (LeadIn(""),))
    assert (queue.name, queue.leads) == ("\u202e<b>", (LeadIn("", "on key 99999999"),))


def test_secrets_and_names_of_people_are_not_kept() -> None:
    kept = f"{queues(QUEUE)} {read_list(EXTENSIONS, {'extlist': [EXTENSION]})}"

    assert "queue-secret" not in kept
    assert "Jayson" not in kept


def client(version: ApiVersion = ApiVersion.V1_1, token: str = "1" * 32) -> PbxClient:
    transport = Transport(Endpoint("https", "pbx.invalid", 8088), Trust(TrustMode.SYSTEM), networks=None)
    return PbxClient(transport, driver_of(version), "api", Secret("0" * 32), Secret(token) if token else None)


@pytest.fixture
def pbx() -> Any:
    with responses.RequestsMock() as mock:
        yield mock


def says(pbx: Any, call: str, **answer: Any) -> None:
    pbx.post(f"{PBX}/v1.1.0/{call}", json={"status": "Success"} | answer)


def refuses(pbx: Any, call: str, code: str) -> None:
    says(pbx, call, status="Failed", errno=code)


def test_a_pbx_that_has_none_of_them_has_an_empty_list(pbx: Any) -> None:
    refuses(pbx, "queue/query", "10013")

    assert client().query_list(QUEUES) == SideList()


def test_a_version_without_a_list_is_asked_nothing(pbx: Any) -> None:
    assert client(ApiVersion.V1_0).query_list(ROUTES) is None


def test_an_ivr_that_was_not_found_stays_so_after_other_lists(pbx: Any) -> None:
    refuses(pbx, "ivr/query", "10012")
    says(pbx, "queue/query", queues=[QUEUE])
    asked = client()

    assert asked.query_ivrs() == ()
    asked.query_list(QUEUES)

    assert asked.found_none


def test_an_extension_is_rung_once(pbx: Any) -> None:
    says(pbx, "ivr/dial_extension", callid="1495700350.261")

    client().ring("6500", "1002")

    (call,) = pbx.calls
    assert json.loads(call.request.body) == {"ivrid": "6500", "extid": "1002"}


def test_a_refused_token_is_no_reason_to_ring_again(pbx: Any) -> None:
    refuses(pbx, "ivr/dial_extension", "20006")

    with pytest.raises(PbxTokenRefused):
        client().ring("6500", "1002")

    assert len(pbx.calls) == 1


def test_a_refused_login_rings_nothing(pbx: Any) -> None:
    refuses(pbx, "login", "20003")

    with pytest.raises(PbxNotSent):
        client(token="").ring("6500", "1002")


def test_no_phone_rings_at_another_device(pbx: Any) -> None:
    another = client()
    another.is_unexpected_device = True

    with pytest.raises(PbxHeldBack):
        another.ring("6500", "1002")


@pytest.mark.parametrize("extension", ["", "01726789012", "+49301", "10 00", "1002,1003", "all", "١٠٠٢", "*97"])
def test_only_a_short_number_is_rung(pbx: Any, extension: str) -> None:
    with pytest.raises(ValueError, match="not the numbers"):
        client().ring("6500", extension)


@pytest.mark.parametrize("code", ["10004", "10006", "10012", "30001"])
def test_a_refusal_to_ring_says_why(pbx: Any, code: str) -> None:
    refuses(pbx, "ivr/dial_extension", code)

    with pytest.raises(PbxRefused, match=code):
        client().ring("6500", "1002")
