"""The calls of the API: what is asked, how often, and what is made of the answer."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.drivers import driver_of
from pbxadmin.yeastar.errors import (
    PbxBadAnswer,
    PbxBusy,
    PbxError,
    PbxHeldBack,
    PbxLocked,
    PbxLoginRefused,
    PbxNotFound,
    PbxNotSent,
    PbxOutcomeUnknown,
    PbxRefused,
    PbxTokenRefused,
    PbxUnreachable,
)
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.readings import DeviceInfo, IvrSettings
from pbxadmin.yeastar.s_series.driver import password_digest
from pbxadmin.yeastar.secret import Secret
from pbxadmin.yeastar.transport import Endpoint, Transport, Trust, TrustMode

V1_0, V1_1, V2_0 = ApiVersion
PASSWORD = "Api-Pässw0rd"
DIGEST = hashlib.md5(PASSWORD.encode()).hexdigest()  # noqa: S324  (what the API wants)
OLD, NEW, NEWER = "0" * 32, "1" * 32, "2" * 32
ENTRY = {"ivrnumber": "6500", "ivrname": "Main_Menu", "responsetimeout": "3"}
LIVE = IvrSettings("6500", "Main_Menu", response_timeout="3")
OK = {"status": "Success"}
SIGNED_IN = OK | {"token": NEW}
LISTED = OK | {"ivr": [ENTRY]}


def refused(code: Any) -> dict[str, Any]:
    return {"status": "Failed", "errno": code}


class Edge:
    """A PBX that answers from a script and notes what it was asked: (call, token, body)."""

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.requests: list[requests.PreparedRequest] = []

    def will_answer(self, *answers: Any) -> None:
        self.script.extend(answers)

    def calls(self) -> list[str]:
        return [call for call, _, _ in self.asked]

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        url = urlsplit(request.url or "")
        token = parse_qs(url.query).get("token", [""])[0]
        self.asked.append((url.path.split("/", 3)[3], token, json.loads(request.body) if request.body else None))
        self.requests.append(request)
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return 200, {}, json.dumps(answer)


@pytest.fixture
def edge() -> Iterator[Edge]:
    edge = Edge()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for version in ApiVersion:
            for call in ("login", "logout", "apply", "deviceinfo/query", "ivr/query", "ivr/update"):
                url = f"https://pbx.invalid:8088/api/{version}/{call}"
                mock.add_callback(responses.POST, url, callback=edge.answer)
        yield edge
    assert edge.script == [], "the PBX was asked less often than expected"


@pytest.fixture
def make_client() -> Iterator[Callable[..., PbxClient]]:
    made: list[PbxClient] = []

    def make(version: ApiVersion = V1_0, **more: Any) -> PbxClient:
        transport = Transport(Endpoint("https", "pbx.invalid", 8088), Trust(TrustMode.PIN, "0" * 64), networks=None)
        made.append(PbxClient(transport, driver_of(version), "api", Secret(password_digest(PASSWORD)), **more))
        return made[-1]

    yield make
    for client in made:
        client.transport.close()


MakeClient = Callable[..., PbxClient]

# Login


@pytest.mark.parametrize(("version", "more"), [(V1_0, {}), (V1_1, {}), (V2_0, {"version": "2.0.0"})])
def test_the_login_holds_the_digest_and_a_port_that_nobody_listens_on(
    edge: Edge, make_client: MakeClient, version: ApiVersion, more: dict[str, str]
) -> None:
    edge.will_answer(SIGNED_IN)
    client = make_client(version)

    client.login()

    assert edge.asked == [("login", "", {"username": "api", "password": DIGEST, "port": "9"} | more)]
    assert client.token is not None
    assert client.token.reveal() == NEW


def test_the_digest_is_of_the_utf8_bytes_in_lower_case_hex() -> None:
    assert password_digest(PASSWORD) == DIGEST
    assert password_digest("password") == "5f4dcc3b5aa765d61d8327deb882cf99"


def test_every_call_is_a_post_of_json_that_asks_for_no_compression(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(SIGNED_IN, LISTED, OK)
    client = make_client()

    client.query_ivrs(["6500"])
    client.logout()

    for request in edge.requests:
        assert request.method == "POST"
        assert request.headers["Accept-Encoding"] == "identity"
        assert "Cookie" not in request.headers
        assert "Authorization" not in request.headers
    connection = [request.headers["Connection"] for request in edge.requests]
    assert connection == ["keep-alive", "keep-alive", "close"]
    assert edge.requests[0].headers["Content-Type"] == "application/json"
    assert edge.requests[2].headers["Content-Length"] == "0"


@pytest.mark.parametrize("token", ["4f2c-9a_b", "a.b.c", "q+/w==", "x" * 300])
def test_a_token_of_another_shape_than_in_the_guides_comes_back_as_it_was(
    edge: Edge, make_client: MakeClient, token: str
) -> None:
    edge.will_answer(OK | {"token": token}, LISTED)

    make_client().query_ivrs()

    assert [sent for _, sent, _ in edge.asked] == ["", token]


@pytest.mark.parametrize("token", [None, "", 5, [], "a b", "a&b", "a#b", "a%20b", "x" * 513, "ü" * 32, "abc\n"])
def test_a_login_without_a_usable_token_is_a_bad_answer(edge: Edge, make_client: MakeClient, token: Any) -> None:
    edge.will_answer(OK | {"token": token})
    client = make_client()

    with pytest.raises(PbxBadAnswer, match="gave no token"):
        client.login()
    assert client.token is None


def test_one_wrong_password_sends_one_login_and_never_another(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(refused("20003"))
    client = make_client()

    with pytest.raises(PbxLoginRefused) as caught:
        client.query_ivrs()
    for again in (client.login, client.query_ivrs, client.device_info, client.apply):
        with pytest.raises(PbxHeldBack, match="refused the login"):
            again()

    assert type(caught.value) is PbxLoginRefused
    assert edge.calls() == ["login"]
    assert [type(call.error) for call in client.calls] == [PbxLoginRefused]


def test_a_locked_address_sends_one_login_and_never_another(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(refused("20002"))
    client = make_client()

    with pytest.raises(PbxLocked):
        client.query_ivrs()
    with pytest.raises(PbxNotSent):
        client.query_ivrs()

    assert edge.calls() == ["login"]


def test_a_wrong_password_after_an_expired_token_sends_no_second_login_either(
    edge: Edge, make_client: MakeClient
) -> None:
    edge.will_answer(refused("20006"), refused("20003"))
    client = make_client(token=Secret(OLD))

    with pytest.raises(PbxNotSent, match="20003"):
        client.update_ivr(LIVE, {"response_timeout": "5"})
    with pytest.raises(PbxHeldBack):
        client.query_ivr("6500")  # reading back

    assert edge.calls() == ["ivr/update", "login"]
    assert type(client.calls[-1].error) is PbxLoginRefused


@pytest.mark.parametrize("code", ["20004", "20005", "20006", 20006])
def test_a_refused_token_gets_one_new_login_and_the_same_request_once_more(
    edge: Edge, make_client: MakeClient, code: Any
) -> None:
    edge.will_answer(refused(code), SIGNED_IN, LISTED)
    client = make_client(token=Secret(OLD))

    client.query_ivrs(["6500"])

    body = {"ivrid": "6500"}
    assert [(call, token) for call, token, _ in edge.asked] == [("ivr/query", OLD), ("login", ""), ("ivr/query", NEW)]
    assert edge.asked[0][2] == edge.asked[2][2] == body
    assert client.token is not None
    assert client.token.reveal() == NEW


def test_a_new_token_that_is_refused_is_not_answered_by_another_login(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(refused("20004"), SIGNED_IN, refused("20004"))
    client = make_client(token=Secret(OLD))

    with pytest.raises(PbxTokenRefused):
        client.query_ivrs()

    assert edge.calls() == ["ivr/query", "login", "ivr/query"]


def test_a_kept_token_saves_the_login(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(LISTED)

    make_client(token=Secret(OLD)).query_ivrs()

    assert [(call, token) for call, token, _ in edge.asked] == [("ivr/query", OLD)]


# Who answers


def test_after_a_login_the_device_is_asked_who_it_is(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(SIGNED_IN, OK | {"deviceinfo": {"sn": "1234"}}, LISTED)
    client = make_client(known_serial="1234")

    client.query_ivrs()

    assert edge.calls() == ["login", "deviceinfo/query", "ivr/query"]
    assert (client.is_unexpected_device, client.device) == (False, DeviceInfo(serial="1234"))


def test_another_device_is_read_and_never_written_to(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(refused("20004"), SIGNED_IN, OK | {"deviceinfo": {"sn": "9999"}}, LISTED)
    client = make_client(known_serial="1234", token=Secret(OLD))

    with pytest.raises(PbxHeldBack, match="Another device"):
        client.update_ivr(LIVE, {"response_timeout": "5"})
    client.query_ivrs()

    assert edge.calls() == ["ivr/update", "login", "deviceinfo/query", "ivr/query"]
    assert [call.name for call in client.calls] == edge.calls()


@pytest.mark.parametrize("answer", [refused("30001"), OK, requests.ConnectionError("broken")])
def test_a_device_that_does_not_say_is_taken_for_who_it_was(edge: Edge, make_client: MakeClient, answer: Any) -> None:
    edge.will_answer(SIGNED_IN, answer, LISTED)
    client = make_client(known_serial="1234")

    assert client.query_ivrs()
    assert not client.is_unexpected_device


# Reading


@pytest.mark.parametrize("version", [V1_0, V1_1])
def test_asking_for_all_ivrs_sends_no_ivrid_at_all(edge: Edge, make_client: MakeClient, version: ApiVersion) -> None:
    edge.will_answer(LISTED)

    make_client(version, token=Secret(OLD)).query_ivrs()

    assert edge.asked == [("ivr/query", OLD, None)]


def test_the_second_version_asks_for_all_by_that_word(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(OK | {"ivr": [{"number": "6500"}]})

    assert make_client(V2_0, token=Secret(OLD)).query_ivrs() == (IvrSettings("6500"),)
    assert edge.asked == [("ivr/query", OLD, {"number": "all"})]


def test_one_and_several_ivrs_are_asked_for_by_number(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(LISTED, OK | {"ivr": [ENTRY, ENTRY | {"ivrnumber": "6501"}]})
    client = make_client(token=Secret(OLD))

    assert client.query_ivr("6500") == LIVE
    assert [ivr.number for ivr in client.query_ivrs(["6500", "6501"])] == ["6500", "6501"]
    assert [body for _, _, body in edge.asked] == [{"ivrid": "6500"}, {"ivrid": "6500,6501"}]


@pytest.mark.parametrize("answer", [refused("10012"), refused(10012), OK | {"ivr": []}, OK])
def test_an_ivr_that_is_not_there_is_not_found(edge: Edge, make_client: MakeClient, answer: Any) -> None:
    edge.will_answer(answer)

    with pytest.raises(PbxNotFound) as caught:
        make_client(token=Secret(OLD)).query_ivr("6500")
    assert caught.value.code == "10012"


def test_another_ivr_than_the_one_asked_for_is_a_bad_answer(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(OK | {"ivr": [ENTRY | {"ivrnumber": "6501"}]})

    with pytest.raises(PbxBadAnswer, match="answered with another"):
        make_client(token=Secret(OLD)).query_ivr("6500")


def test_one_ivr_is_picked_out_of_a_list_that_holds_more(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(OK | {"ivr": [ENTRY | {"ivrnumber": "6501"}, ENTRY]})

    assert make_client(token=Secret(OLD)).query_ivr("6500") == LIVE


@pytest.mark.parametrize(
    ("code", "error"),
    [("10018", PbxRefused), ("30001", PbxBusy), ("20010", PbxBusy), ("31337", PbxRefused), (None, PbxRefused)],
)
def test_any_other_no_is_a_refusal_and_is_not_repeated(
    edge: Edge, make_client: MakeClient, code: str | None, error: type[PbxRefused]
) -> None:
    edge.will_answer(refused(code))
    client = make_client(token=Secret(OLD))

    with pytest.raises(PbxRefused) as caught:
        client.query_ivrs()

    assert type(caught.value) is error
    assert caught.value.code == (code or "")
    assert edge.calls() == ["ivr/query"]
    assert client.token is not None, "the token is as good as before"


def test_the_device_is_read(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(OK | {"deviceinfo": {"sn": "1234", "firmwarever": "30.5.0.19"}})

    found = make_client(token=Secret(OLD)).device_info()

    assert found == DeviceInfo(serial="1234", firmware="30.5.0.19")
    assert edge.asked == [("deviceinfo/query", OLD, None)]


# Writing


def test_an_update_is_sent_once_with_what_the_version_wants(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(OK, OK, OK)

    for version in ApiVersion:
        make_client(version, token=Secret(OLD)).update_ivr(LIVE, {"response_timeout": "5"})

    assert edge.asked == [
        (
            "ivr/update",
            OLD,
            {"ivrid": "6500", "ivrnumber": "6500", "ivrname": "Main_Menu", "responsetimeout": "5"},
        ),
        ("ivr/update", OLD, {"ivrid": "6500", "responsetimeout": "5"}),
        ("ivr/update", OLD, {"number": "6500", "responsetimeout": "5"}),
    ]


@pytest.mark.parametrize("code", ["20004", "20005", "20006"])
def test_an_update_is_sent_again_when_its_own_token_was_refused(edge: Edge, make_client: MakeClient, code: str) -> None:
    edge.will_answer(refused(code), SIGNED_IN, OK)

    make_client(token=Secret(OLD)).update_ivr(LIVE, {"response_timeout": "5"})

    assert [(call, token) for call, token, _ in edge.asked] == [
        ("ivr/update", OLD),
        ("login", ""),
        ("ivr/update", NEW),
    ]
    assert edge.asked[0][2] == edge.asked[2][2]


@pytest.mark.parametrize(
    "answer",
    [
        refused("10018"),
        refused("10012"),
        refused("30001"),
        refused("20010"),
        refused("20002"),
        refused("20003"),
        refused("20013"),
        refused("31337"),
        refused(None),
        {"status": "Failure"},
        {"status": None},
        [],
        requests.ConnectionError("broken"),
        requests.ReadTimeout("late"),
        requests.ConnectTimeout("no answer"),
        requests.exceptions.ChunkedEncodingError("cut"),
        requests.exceptions.SSLError("broken"),
        OSError("reset"),
        TimeoutError("late"),
    ],
    ids=repr,
)
def test_an_update_is_not_sent_again_for_any_other_reason(edge: Edge, make_client: MakeClient, answer: Any) -> None:
    edge.will_answer(answer)

    with pytest.raises(PbxError):
        make_client(token=Secret(OLD)).update_ivr(LIVE, {"response_timeout": "5"})

    assert edge.calls() == ["ivr/update"]


def test_an_update_is_sent_at_most_twice(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(refused("20004"), SIGNED_IN, refused("20004"))

    with pytest.raises(PbxTokenRefused):
        make_client(token=Secret(OLD)).update_ivr(LIVE, {"response_timeout": "5"})

    assert edge.calls() == ["ivr/update", "login", "ivr/update"]


def test_an_update_is_not_sent_when_the_new_login_fails(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(refused("20004"), requests.ConnectTimeout("no answer"))

    with pytest.raises(PbxUnreachable):
        make_client(token=Secret(OLD)).update_ivr(LIVE, {"response_timeout": "5"})

    assert edge.calls() == ["ivr/update", "login"]


def test_apply_and_logout_are_bare_requests(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(OK, OK)
    client = make_client(token=Secret(OLD))

    client.apply()
    client.logout()

    assert edge.asked == [("apply", OLD, None), ("logout", OLD, None)]
    assert client.token is None


def test_logging_out_without_a_token_sends_nothing(edge: Edge, make_client: MakeClient) -> None:
    make_client().logout()

    assert edge.calls() == []


# What is known afterwards


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (requests.ConnectTimeout("x"), PbxUnreachable),
        (requests.exceptions.InvalidURL("x"), PbxHeldBack),
        (requests.exceptions.InvalidSchema("x"), PbxHeldBack),
        (UnicodeError("x"), PbxHeldBack),
        (RuntimeError("can't start new thread"), PbxHeldBack),
        (requests.ReadTimeout("x"), PbxOutcomeUnknown),
        (requests.ConnectionError("x"), PbxOutcomeUnknown),
        (requests.exceptions.ChunkedEncodingError("x"), PbxOutcomeUnknown),
        (requests.exceptions.SSLError("x"), PbxOutcomeUnknown),
        (ConnectionResetError("x"), PbxOutcomeUnknown),
    ],
    ids=repr,
)
def test_a_failed_exchange_says_what_is_known_and_nothing_of_the_library(
    edge: Edge, make_client: MakeClient, fault: Exception, error: type[PbxError]
) -> None:
    edge.will_answer(fault)
    client = make_client(token=Secret(OLD))

    with pytest.raises(PbxError) as caught:
        client.query_ivrs()

    assert type(caught.value) is error
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    assert OLD not in str(caught.value)


def test_each_exchange_is_noted_with_its_end(edge: Edge, make_client: MakeClient) -> None:
    edge.will_answer(SIGNED_IN, refused("10012"))
    client = make_client()

    with pytest.raises(PbxNotFound):
        client.query_ivr("6500")

    assert [(call.name, type(call.error)) for call in client.calls] == [
        ("login", type(None)),
        ("ivr/query", PbxNotFound),
    ]
    assert all(0 <= call.seconds < 5 for call in client.calls)


def test_nothing_is_sent_when_the_time_is_used_up(edge: Edge, make_client: MakeClient) -> None:
    client = make_client(token=Secret(OLD), until=time.monotonic() - 0.01)

    with pytest.raises(PbxHeldBack, match="used up"):
        client.query_ivrs()

    assert edge.calls() == []
    assert client.calls == [], "it says nothing about the PBX"


def test_neither_the_client_nor_what_it_holds_shows_a_secret(make_client: MakeClient) -> None:
    client = make_client(token=Secret(OLD))

    shown = repr(client) + str(vars(client)) + f"{client.token}{client.digest:>40}"

    assert OLD not in shown
    assert DIGEST not in shown
