"""One POST at the real edge: which addresses, which certificates, how long, how much."""

import socket
import time
from typing import Any

import pytest

from pbxadmin.webhooks import posting
from pbxadmin.webhooks.posting import ANSWER_LIMIT, FORBIDDEN_ADDRESS, PostResult, post_checked, throw_away
from pbxadmin.yeastar import transport
from pbxadmin.yeastar.guard import Networks, allowed
from tests.simulated import LOOPBACK
from tests.yeastar.servers import RawServer, Signer, http, read_request

SHORT_S = 2.0


def post(address: str, seconds: float = 30.0, networks: Networks | None = LOOPBACK) -> PostResult:
    return post_checked(address, b"{}", {"webhook-id": "msg_1"}, networks=networks, seconds=seconds)


def at(receiver: RawServer, path: str = "/") -> str:
    return f"https://127.0.0.1:{receiver.port}{path}"


def test_the_name_is_checked_and_sent_while_the_connection_goes_to_the_checked_address(authority, names):
    from .receiver import Receiver

    names["hooks.example.com"] = ["127.0.0.1"]
    with Receiver(authority.context(names=["hooks.example.com"])) as receiver:
        result = post(f"https://hooks.example.com:{receiver.port}/in?a=b")
        wrong = post(at(receiver))

    assert (result.is_taken, receiver.server_names[0]) == (True, "hooks.example.com")
    assert receiver.received[0].headers["host"] == f"hooks.example.com:{receiver.port}"
    assert "certificate could not be verified" in wrong.words
    assert len(receiver.received) == 1


def test_a_certificate_that_the_system_does_not_trust_gets_nothing(receiver):
    with RawServer(http(), tls=Signer().context()) as stranger:
        result = post(at(stranger))

    assert (result.status, stranger.requests) == (0, [])
    assert "certificate could not be verified" in result.words


@pytest.mark.parametrize("networks", [None, allowed(["10.0.0.0/8"])])
def test_an_address_outside_the_networks_is_not_connected_to(receiver, names, networks):
    names["inside.example.com"] = ["127.0.0.1"]

    for host in ("127.0.0.1", "inside.example.com", "[::1]", "169.254.169.254"):
        result = post(f"https://{host}:{receiver.port}/", networks=networks)
        assert (result.status, result.words) == (0, FORBIDDEN_ADDRESS)
    assert receiver.connections == 0


def test_a_redirect_is_not_followed(receiver, make_receiver):
    other = make_receiver()
    receiver.answer = lambda message: 307

    result = post(at(receiver))

    assert (result.is_taken, result.status, other.connections) == (False, 307, 0)
    assert "a redirect" in result.words


def test_a_receiver_that_says_nothing_is_left_at_the_limit(receiver):
    receiver.is_silent = True

    result = post(at(receiver), seconds=SHORT_S)
    receiver.is_silent = False

    assert result == PostResult(0, "It did not answer within 2 s.")


class Drips(RawServer):
    """Answers a byte at a time, without an end."""

    def talk(self, link: socket.socket) -> None:
        with link:
            self.requests.append(read_request(link))
            link.sendall(self.answers[0])
            while True:
                link.sendall(b"x")
                time.sleep(0.05)


def test_a_receiver_that_drips_is_left_at_the_limit_too(authority, monkeypatch):
    with Drips(b"HTTP/1.1 200 OK\r\nX: ", tls=authority.context()) as slow_head:
        head = post(at(slow_head), seconds=SHORT_S)

    def throw_away_soon(answer: Any) -> None:
        transport._current.exchange.until = time.monotonic() + 0.5  # the head is there, and the limit comes
        throw_away(answer)

    monkeypatch.setattr(posting, "throw_away", throw_away_soon)
    with Drips(b"HTTP/1.1 200 OK\r\n\r\n", tls=authority.context()) as slow_body:
        body = post(at(slow_body))

    assert head.status == 0
    assert body.is_taken  # the status has said so


class Endless(RawServer):
    sent = 0

    def talk(self, link: socket.socket) -> None:
        with link:
            read_request(link)
            link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                link.sendall(b"x" * ANSWER_LIMIT)
                self.sent += ANSWER_LIMIT


def test_of_an_endless_answer_little_is_read(authority):
    with Endless(tls=authority.context()) as endless:
        result = post(at(endless))

    assert result.is_taken
    assert endless.sent < 200 * ANSWER_LIMIT  # what the sockets of both sides hold


def test_nothing_that_an_endpoint_answers_or_is_called_is_in_the_words(authority):
    with RawServer(http(b"internal", status="500 Oops internal"), tls=authority.context()) as broken:
        said = post(at(broken, "/services/T0KEN?sig=S3CRET")).words
    with RawServer(b"rubbish\r\n\r\n", tls=authority.context()) as rubbish:
        said += post(at(rubbish, "/services/T0KEN")).words
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    said += post(f"https://127.0.0.1:{port}/services/T0KEN").words

    assert said == (
        "It answered 500.The connection broke before an answer came (BadStatusLine)."
        f"Port {port} refused the connection."
    )
