"""Answers framed as the server of the device frames them: only the end of the connection says that one is whole."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.drivers import driver_of
from pbxadmin.yeastar.errors import PbxBadAnswer, PbxError, PbxNotSent, PbxOutcomeUnknown, PbxRefused
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.readings import IvrSettings
from pbxadmin.yeastar.secret import Secret
from pbxadmin.yeastar.simulator import ALWAYS, V2_0, Fault, Framing, SimulatedPbx
from pbxadmin.yeastar.transport import Endpoint, Transport, Trust, TrustMode
from tests.simulated import LOOPBACK, client_for
from tests.waiting import LIMIT_S

from .servers import SUCCESS, RawServer

pytestmark = pytest.mark.tls

LIVE = IvrSettings("6500", "Main_Menu")
REFUSAL = b'{"status":"Failed","errno":"10018"}'
FRAMINGS = {
    "by closing": Framing(),
    "with a length": Framing(tells_length=True),
    "line feeds only": Framing(line_end="\n"),
    "HTTP/1.0": Framing(protocol="HTTP/1.0"),
    "HTTP/1.0, line feeds only": Framing("HTTP/1.0", "\n"),
}
each_framing = pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)


def asked_raw(pbx: SimulatedPbx, request: bytes) -> bytes:
    """What the PBX sends over plain HTTP until it closes."""
    pbx.scheme = "http"
    with socket.create_connection(("127.0.0.1", pbx.port), timeout=LIMIT_S) as link:
        link.sendall(request)
        return b"".join(iter(lambda: link.recv(65536), b""))


def posted(path: str, headers: str = "", body: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: pbx\r\n{headers}\r\n{body}".encode()


# The simulated server


def test_by_default_an_answer_has_no_length_and_ends_with_the_connection(simulated_pbx: SimulatedPbx) -> None:
    head, _, body = asked_raw(simulated_pbx, posted("/api/v1.0.0/apply", "Content-Length: 0\r\n")).partition(
        b"\r\n\r\n"
    )

    assert head.startswith(b"HTTP/1.1 200 OK\r\nServer: Boa/0.94.14rc21\r\n")
    assert b"Connection: close" in head
    assert b"length" not in head.lower()
    assert body == b'{"status":"Failed","errno":"20005"}'


@pytest.mark.parametrize(
    ("framing", "start", "length"),
    [
        (Framing(tells_length=True), b"HTTP/1.1 200 OK\r\n", True),
        (Framing(line_end="\n"), b"HTTP/1.1 200 OK\nServer", False),
        (Framing(protocol="HTTP/1.0"), b"HTTP/1.0 200 OK\r\n", False),
    ],
)
def test_other_framings_are_options(simulated_pbx: SimulatedPbx, framing: Framing, start: bytes, length: bool) -> None:
    simulated_pbx.framing = framing

    answer = asked_raw(simulated_pbx, posted("/api/v1.0.0/apply", "Content-Length: 0\r\n"))

    assert answer.startswith(start)
    assert (b"Content-Length: 35" in answer) is length
    assert b"\r" not in answer or framing.line_end == "\r\n"


@pytest.mark.parametrize("headers", ["", "Transfer-Encoding: chunked\r\n"])
def test_a_post_without_a_length_or_chunked_is_400(simulated_pbx: SimulatedPbx, headers: str) -> None:
    answer = asked_raw(simulated_pbx, posted("/api/v1.0.0/apply", headers, "0\r\n\r\n" if headers else ""))

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"text/html" in answer
    assert simulated_pbx.calls() == []


def test_a_get_needs_no_length(simulated_pbx: SimulatedPbx) -> None:
    assert b"20001" in asked_raw(simulated_pbx, b"GET /api/v1.0.0/apply HTTP/1.1\r\nHost: pbx\r\n\r\n")


def test_a_version_that_is_not_there_is_a_404_page_when_asked_to(simulated_pbx: SimulatedPbx) -> None:
    request = posted("/api/v2.0.0/login", "Content-Length: 2\r\n", "{}")

    said = asked_raw(simulated_pbx, request)
    simulated_pbx.unknown_is_404 = True
    shown = asked_raw(simulated_pbx, request)

    assert b'"errno":"10003"' in said
    assert shown.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"<!doctype html>" in shown
    simulated_pbx.versions.add(V2_0)
    assert b"20003" in asked_raw(simulated_pbx, request)


# What the client makes of them


@each_framing
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_whole_edit_works_however_answers_are_framed(
    simulated_pbx: SimulatedPbx, framing: Framing, scheme: str
) -> None:
    simulated_pbx.framing, simulated_pbx.scheme = framing, scheme
    client = client_for(simulated_pbx)

    client.update_ivr(client.query_ivr("6500"), {"response_timeout": "7"})

    assert client.query_ivr("6500").response_timeout == "7"
    assert client.device_info().serial == simulated_pbx.serial
    client.transport.close()


@each_framing
@pytest.mark.parametrize("fault", [Fault.CUT, Fault.CUT_HEADERS, Fault.SHORT, Fault.TRAILING])
def test_a_cut_or_longer_answer_to_an_update_leaves_it_unknown(
    simulated_pbx: SimulatedPbx, framing: Framing, fault: Fault
) -> None:
    client = client_for(simulated_pbx)
    client.login()
    simulated_pbx.framing = framing
    simulated_pbx.misbehave(fault, times=ALWAYS)

    error = failed(lambda: client.update_ivr(LIVE, {"response_timeout": "7"}))

    assert isinstance(error, PbxOutcomeUnknown)
    assert simulated_pbx.count("ivr/update") == 1
    assert simulated_pbx.ivrs["6500"]["responsetimeout"] == "7"
    client.transport.close()


def failed(work: Callable[[], Any]) -> PbxError:
    with pytest.raises(PbxError) as caught:
        work()
    return caught.value


def client_of(port: int) -> PbxClient:
    transport = Transport(Endpoint("http", "127.0.0.1", port), Trust(TrustMode.NONE), networks=LOOPBACK)
    until = time.monotonic() + 300
    return PbxClient(transport, driver_of(ApiVersion.V1_0), "api", Secret("x"), token=Secret("y"), until=until)


@each_framing
@pytest.mark.parametrize("body", [SUCCESS, REFUSAL])
def test_an_answer_to_an_update_that_is_cut_at_any_byte_is_unknown_and_never_refused_or_not_sent(
    framing: Framing, body: bytes
) -> None:
    whole = framing.http(body)
    cuts = [whole[:place] for place in range(len(whole))]

    with RawServer(*cuts, whole) as server:
        client = client_of(server.port)
        errors = [failed(lambda: client.update_ivr(LIVE, {"response_timeout": "7"})) for _ in cuts]
        last = outcome_of(client)

    assert [error for error in errors if not isinstance(error, PbxOutcomeUnknown)] == []
    assert isinstance(last, PbxRefused) is (body == REFUSAL)


def outcome_of(client: PbxClient) -> PbxError | None:
    try:
        client.update_ivr(LIVE, {"response_timeout": "7"})
    except PbxError as error:
        return error
    return None


@each_framing
def test_a_connection_that_is_reset_in_an_answer_leaves_the_update_unknown(framing: Framing) -> None:
    for cut in (1, 40, len(framing.http(REFUSAL)) - 1):
        with RawServer(framing.http(REFUSAL)[:cut], reset=True) as server:
            error = failed(lambda: client_of(server.port).update_ivr(LIVE, {"response_timeout": "7"}))

        assert isinstance(error, PbxOutcomeUnknown)
        assert not isinstance(error, PbxNotSent)


@pytest.mark.parametrize("after", [b"\n", b"\r\n\r\n", b"  \t"])
def test_blanks_after_the_json_are_no_fault(after: bytes) -> None:
    with RawServer(Framing().http(SUCCESS + after)) as server:
        assert outcome_of(client_of(server.port)) is None


@pytest.mark.parametrize("after", [b"{}", b"<html></html>", SUCCESS, b"HTTP/1.1 200 OK\r\n\r\n"])
def test_anything_else_after_the_json_is_no_answer_of_this_api(after: bytes) -> None:
    with RawServer(Framing().http(SUCCESS + after)) as server:
        assert type(outcome_of(client_of(server.port))) is PbxBadAnswer


def test_every_request_of_the_client_has_a_length_since_the_server_refuses_others(
    simulated_pbx: SimulatedPbx,
) -> None:
    client = client_for(simulated_pbx)

    client.query_ivrs()
    client.apply()
    client.logout()

    assert simulated_pbx.calls() == ["login", "ivr/query", "apply", "logout"]
    client.transport.close()


def test_a_400_or_404_page_to_an_update_leaves_it_unknown() -> None:
    for status in ("400 Bad Request", "404 Not Found"):
        with RawServer(Framing().page(status, status=status)) as server:
            assert type(outcome_of(client_of(server.port))) is PbxBadAnswer
