"""A connection that a PBX keeps carries the readings of one lease, and nothing else."""

import socket
import time
from collections.abc import Callable, Iterator
from threading import Event as Flag
from typing import Any

import pytest

from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.driver import READS, CallKind, PbxRequest
from pbxadmin.yeastar.errors import PbxOutcomeUnknown, PbxUntrusted
from pbxadmin.yeastar.readings import IvrSettings
from pbxadmin.yeastar.simulator import Fault, Framing, SimulatedPbx
from pbxadmin.yeastar.transport import Endpoint, Transport, Trust, TrustMode
from tests.simulated import LOOPBACK, client_for

from .servers import SUCCESS, RawServer, http, read_request

pytestmark = pytest.mark.tls

KEEPS = Framing(tells_length=True, keeps=True)
LONG_S = 60.0


def reading(kind: CallKind = CallKind.READ) -> PbxRequest:
    return PbxRequest(kind, "ivr/query", "/api/v1.0.0/ivr/query")


@pytest.fixture
def transport() -> Iterator[Callable[[RawServer], Transport]]:
    made: list[Transport] = []

    def make(server: RawServer) -> Transport:
        trust = Trust(TrustMode.NONE)
        made.append(Transport(Endpoint("http", "127.0.0.1", server.port), trust, networks=LOOPBACK, exchange_s=LONG_S))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def client(simulated_pbx: SimulatedPbx) -> Iterator[PbxClient]:
    made = client_for(simulated_pbx, exchange_s=LONG_S, known_serial=simulated_pbx.serial)
    yield made
    made.transport.close()


def ask(transport: Transport, kind: CallKind = CallKind.READ) -> bytes:
    return transport.exchange(reading(kind), time.monotonic() + LONG_S)


def test_a_reading_with_its_login_is_one_connection(client: PbxClient, simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.framing = KEEPS

    assert client.query_ivrs()
    assert client.query_list(CallKind.QUEUES)

    assert simulated_pbx.calls() == ["login", "deviceinfo/query", "ivr/query", "queue/query"]
    assert simulated_pbx.connections == 1


def test_where_the_pbx_closes_each_call_is_a_connection(client: PbxClient, simulated_pbx: SimulatedPbx) -> None:
    client.query_ivrs()

    assert simulated_pbx.connections == len(simulated_pbx.calls()) == 3


def test_an_update_has_a_connection_of_its_own(client: PbxClient, simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.framing = KEEPS
    live = client.query_ivr("6500")

    client.update_ivr(live, {"response_timeout": "9"})
    assert simulated_pbx.connections == 2

    assert client.query_ivr("6500").values()["response_timeout"] == "9"
    assert simulated_pbx.connections == 3


@pytest.mark.parametrize("kind", [kind for kind in CallKind if kind not in READS])
def test_what_does_not_only_read_uses_no_connection_of_before(transport: Any, kind: CallKind) -> None:
    with RawServer(http(), keeps=True) as server:
        link = transport(server)
        ask(link)

        ask(link, kind)

        assert server.connections == 2
        assert len(server.requests) == 2
        link.close()


def test_a_kept_connection_that_the_pbx_closed_is_replaced_once(transport: Any) -> None:
    with RawServer(http(), keeps=True) as server:  # it closes when it is asked again
        link = transport(server)

        assert [ask(link), ask(link)] == [SUCCESS, SUCCESS]

        assert server.connections == 2
        link.close()


def test_a_new_connection_that_breaks_is_not_tried_again(client: PbxClient, simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.framing = KEEPS
    client.query_ivrs()
    simulated_pbx.misbehave(Fault.CLOSE, call="ivr/query", times=2)

    with pytest.raises(PbxOutcomeUnknown):
        client.query_ivrs()

    assert simulated_pbx.count("ivr/query") == 3
    assert client.query_ivrs()


def test_want_of_time_is_no_reason_to_try_again(client: PbxClient, simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.framing = KEEPS
    client.query_ivrs()
    simulated_pbx.misbehave(Fault.SILENT, call="ivr/query")
    client.transport.exchange_s = 2.0

    with pytest.raises(PbxOutcomeUnknown):
        client.query_ivrs()

    assert simulated_pbx.count("ivr/query") == 2


class Forging(RawServer):
    """A server that says more after its answer when it is told to."""

    def __init__(self) -> None:
        super().__init__(http())
        self.forge, self.has_forged = Flag(), Flag()

    def talk(self, link: socket.socket) -> None:
        with link:
            self.requests.append(read_request(link))
            link.sendall(http())
            if self.forge.wait(LONG_S) and not self.has_forged.is_set():
                link.sendall(http(b'{"status":"Forged"}'))
                self.has_forged.set()
                link.recv(1)


def test_bytes_that_nobody_asked_for_are_no_answer_to_the_next(transport: Any) -> None:
    server = Forging()
    with server:
        link = transport(server)
        ask(link)
        server.forge.set()
        assert server.has_forged.wait(LONG_S)

        assert ask(link) == SUCCESS
        link.close()


def test_a_first_connection_that_breaks_is_not_tried_again(client: PbxClient, simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.misbehave(Fault.CLOSE, call="login")

    with pytest.raises(PbxOutcomeUnknown):
        client.query_ivrs()

    simulated_pbx.misbehave(Fault.CLOSE, call="ivr/query")
    with pytest.raises(PbxOutcomeUnknown):
        client.query_ivrs()
    assert simulated_pbx.calls() == ["login", "login", "deviceinfo/query", "ivr/query"]


def test_the_certificate_is_compared_for_each_connection(client: PbxClient, simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.framing = KEEPS
    live: IvrSettings = client.query_ivr("6500")
    simulated_pbx.misbehave(Fault.OTHER_CERTIFICATE)

    with pytest.raises(PbxUntrusted):
        client.update_ivr(live, {"response_timeout": "9"})

    assert simulated_pbx.count("ivr/update") == 0
