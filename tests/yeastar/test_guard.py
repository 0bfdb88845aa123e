"""The address guard: what it refuses and accepts, in every spelling, and that nothing reaches what it refuses."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from pbxadmin.fleet.inputs import HOST_HELP, HOST_LOOK_UP_S, clean_allowed_host
from pbxadmin.yeastar import transport as transport_module
from pbxadmin.yeastar.errors import (
    FORBIDDEN,
    PbxError,
    PbxForbidden,
    PbxHeldBack,
    PbxNotSent,
    PbxUnreachable,
    PbxUntrusted,
)
from pbxadmin.yeastar.guard import Networks, allowed, check_address
from pbxadmin.yeastar.simulator import Fleet
from pbxadmin.yeastar.transport import DeadlineSocket, Endpoint, Transport, Trust, TrustMode, connect, prepared, resolve
from tests.simulated import LOOPBACK, client_for
from tests.waiting import LIMIT_S

from .s_series import s_series_request

# A host that is well written and leads where we do not go: refused by the form and by the connection.
FORBIDDEN_HOSTS = [
    # loopback and "this host"
    "127.0.0.1",
    "127.0.0.2",
    "127.1.2.3",
    "127.255.255.255",
    "0.0.0.0",  # noqa: S104
    "0.0.0.1",
    "0.255.255.255",
    "::1",
    "::",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "0000:0000:0000:0000:0000:0000:0000:0001",
    # link-local and the metadata services of clouds
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.255.255",
    "168.63.129.16",
    "192.0.0.192",
    "100.100.100.200",
    "fd00:ec2::254",
    "FD00:0EC2:0::0254",
    "fd20:ce::254",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "feff::1",
    # IPv4 inside of IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "[::ffff:127.0.0.1]",
    "::FFFF:127.0.0.1",
    "0:0:0:0:0:ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
    "::ffff:168.63.129.16",
    "::127.0.0.1",
    "::7f00:1",
    "::a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:5601:5601",
    "2001::1",
    # multicast, reserved, broadcast, discard and what is between carriers
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "100.64.0.1",
    "100.127.255.254",
    "198.18.0.1",
    "192.88.99.1",
    "4000::1",
]

# What is neither a name nor a canonical address: the form does not take it, whatever it leads to.
UNREADABLE_HOSTS = [
    "2130706433",
    "2852039166",
    "0x7f000001",
    "0xa9fea9fe",
    "0X7F.0.0.1",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "0251.0376.0251.0376",
    "0000177.0.0.1",
    "127.1",
    "127.0.1",
    "169.254.43518",
    "0",
    "00",
    "127.0.0.01",
    "127.0.0.1.",
    "1.2.3.4.5",
    "256.1.1.1",
    "127.0.0.0x1",
    "①②⑦.⓪.⓪.①",
    "１２７.0.0.1",
    "127。0。0。1",
    "127．0．0．1",
    "loc\u00adalhost",
    "\u212aelvin.example",
    "ｌocalhost",
    "fe80::1%eth0",
    "fe80::1%25eth0",
    "[fe80::1%1]",
    "::1%lo",
    "[127.0.0.1]",
    "[::1",
    "::1]",
    "[[::1]]",
    "[::1]:8088",
    "127.0.0.1:8088",
    "user:pw@127.0.0.1",
    "user@pbx.example.com",
    "@127.0.0.1",
    "127.0.0.1#@169.254.169.254",
    "pbx.example.com#",
    "pbx.example.com/",
    "127.0.0.1/api",
    "//127.0.0.1",
    "pbx.example.com?x",
    "pbx\\.example.com",
    "127.0.0.1\\@pbx.example.com",
    "%31%32%37.0.0.1",
    "127.0.0.1%00.example.com",
    "127.0.0.1\x00.example.com",
    "127.0.0.1 pbx.example.com",
    "pbx\texample.com",
    "pbx.example.com\r\nX-Token: 1",
    "https://127.0.0.1",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock",
    "unix:/var/run/docker.sock",
    "/var/run/docker.sock",
    "./docker.sock",
    "file:///etc/passwd",
    "pbx_1.example",
    "-pbx.example",
    "pbx..example",
    "*.example.com",
    "{pbx}.example.com",
    "pbx,example",
    ".".join(["a" * 50] * 6),
    "a" * 64 + ".example",
    ".",
]

# Spellings that a record could hold only if it were written past the form: the system reads each as 127.0.0.1.
PAST_THE_FORM = ["2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.1", "0", "00", "127.0.0.01"]

ACCEPTED = [
    ("10.0.0.1", "10.0.0.1"),
    ("10.255.255.254", "10.255.255.254"),
    ("172.16.0.1", "172.16.0.1"),
    ("172.31.255.254", "172.31.255.254"),
    ("192.168.0.10", "192.168.0.10"),
    ("192.168.255.254", "192.168.255.254"),
    (" 192.168.5.150 ", "192.168.5.150"),
    ("8.8.8.8", "8.8.8.8"),
    ("1.1.1.1", "1.1.1.1"),
    ("203.0.113.8", "203.0.113.8"),
    ("172.32.0.1", "172.32.0.1"),
    ("172.15.255.255", "172.15.255.255"),
    ("11.0.0.1", "11.0.0.1"),
    ("126.255.255.255", "126.255.255.255"),
    ("128.0.0.1", "128.0.0.1"),
    ("169.253.255.255", "169.253.255.255"),
    ("169.255.0.1", "169.255.0.1"),
    ("168.63.129.17", "168.63.129.17"),
    ("100.63.255.255", "100.63.255.255"),
    ("100.128.0.1", "100.128.0.1"),
    ("192.0.1.1", "192.0.1.1"),
    ("223.255.255.254", "223.255.255.254"),
    ("fd00::1", "fd00::1"),
    ("[fd12:3456:789a::1]", "fd12:3456:789a::1"),
    ("fc00::1", "fc00::1"),
    ("fdff:ffff::1", "fdff:ffff::1"),
    ("fd00:ec2::253", "fd00:ec2::253"),
    ("2a00:1450:4001:80b::200e", "2a00:1450:4001:80b::200e"),
    ("2001:4860:4860::8888", "2001:4860:4860::8888"),
    ("2001:DB8::0010", "2001:db8::10"),
    ("2003::1", "2003::1"),
    ("::ffff:192.168.1.10", "::ffff:c0a8:10a"),
    ("::ffff:8.8.8.8", "::ffff:808:808"),
]


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address that a connection was tried to. One beyond loopback fails the test and sends nothing."""
    tried: list[str] = []
    system = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        tried.append(address[0])
        assert address[0].startswith("127."), f"would have connected to {address[0]}"
        system(self, address)

    monkeypatch.setattr(DeadlineSocket, "connect", connect, raising=False)
    return tried


class Trap:
    """A service on loopback that nobody should reach. It counts the connections and closes them at once."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.count = 0
        self.thread = threading.Thread(target=self.close_each)
        self.thread.start()

    def close_each(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            link.close()

    def caught(self) -> int:
        """Return how many connections there were since last asked. One of its own comes after all of them."""
        with socket.socket() as link:  # no name is asked for: tests count that
            link.connect(("127.0.0.1", self.port))
            link.recv(1)
        count, self.count = self.count - 1, 0
        return count

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def trap() -> Iterator[Trap]:
    trap = Trap()
    yield trap
    trap.close()


@pytest.fixture
def default_networks(settings: Any) -> None:
    settings.PBX_NETWORKS = []


def post(host: str, port: int, networks: Networks | None = None, scheme: str = "https") -> PbxError:
    """The error that a call to this host ends in."""
    transport = Transport(Endpoint(scheme, host, port), Trust(TrustMode.NONE), networks=networks)
    with pytest.raises(PbxError) as caught:
        transport.exchange(s_series_request("login", {"password": "x"}), time.monotonic() + 60)
    transport.close()
    return caught.value


def bare(host: str) -> str:
    return host.strip().removeprefix("[").removesuffix("]")


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
@pytest.mark.usefixtures("default_networks")
def test_a_forbidden_address_is_refused_at_save_and_at_connect_with_the_same_sentence(
    host: str, trap: Trap, tried: list[str]
) -> None:
    with pytest.raises(ValidationError) as at_save:
        clean_allowed_host(host)

    for scheme in ("https", "http"):
        at_connect = post(bare(host), trap.port, scheme=scheme)
        assert type(at_connect) is PbxForbidden
        assert at_save.value.messages == [str(at_connect)] == [FORBIDDEN]
    assert (trap.caught(), tried) == (0, [])


@pytest.mark.parametrize("host", UNREADABLE_HOSTS)
@pytest.mark.usefixtures("default_networks")
def test_a_host_that_is_neither_a_name_nor_an_address_is_not_taken(host: str, tried: list[str]) -> None:
    with pytest.raises(ValidationError, match=HOST_HELP):
        clean_allowed_host(host)

    assert tried == []


@pytest.mark.parametrize("host", [*PAST_THE_FORM, "localhost", "::1", "::ffff:127.0.0.1"])
def test_a_spelling_that_was_written_past_the_form_is_refused_at_connect(
    host: str, trap: Trap, tried: list[str]
) -> None:
    assert type(post(host, trap.port)) is PbxForbidden
    assert (trap.caught(), tried) == (0, [])


def test_the_trap_catches_what_is_let_through(trap: Trap, tried: list[str]) -> None:
    post("127.0.0.1", trap.port, LOOPBACK)

    assert (trap.caught(), tried) == (1, ["127.0.0.1"])


@pytest.mark.parametrize(("typed", "kept"), ACCEPTED)
@pytest.mark.usefixtures("default_networks")
def test_lans_and_the_public_network_are_accepted(typed: str, kept: str, tried: list[str]) -> None:
    assert clean_allowed_host(typed) == kept
    check_address(kept, None)
    assert resolve(kept, 8088, None) == [kept]
    assert tried == []


@pytest.mark.parametrize("text", ["", "pbx", "127.0.0.1 ", "10.0.0.1/8", "10.0.0.010", "fe80::1%2", "fd00::1%eth0"])
def test_text_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(PbxForbidden):
        check_address(text, None)


@pytest.mark.parametrize(
    ("networks", "address", "passes"),
    [
        # what is named replaces the default
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "192.168.1.1", False),
        ("10.0.0.0/8", "8.8.8.8", False),
        ("10.0.0.0/8", "fd00::1", False),
        ("10.1.2.3/32", "10.1.2.4", False),
        ("fd12::/16", "fd12::1", True),
        ("fd12::/16", "10.0.0.1", False),
        ("10.0.0.0/8,192.168.0.0/16", "192.168.1.1", True),
        # what is closed opens to its name, or to the name of a part of it
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.0/8", "::ffff:127.0.0.1", True),
        ("127.0.0.1/32", "127.0.0.1", True),
        ("127.0.0.1/32", "127.0.0.2", False),
        ("127.0.0.0/8", "::1", False),
        ("127.0.0.0/8", "64:ff9b::127.0.0.1", False),
        ("127.0.0.0/8", "2002:7f00:1::", False),
        ("127.0.0.0/8", "0.0.0.0", False),  # noqa: S104
        ("::1/128", "::1", True),
        ("100.64.0.0/10", "100.64.0.1", True),
        ("169.254.0.0/16", "169.254.0.1", True),
        # and to nothing wider
        ("0.0.0.0/0", "10.0.0.1", True),
        ("0.0.0.0/0", "8.8.8.8", True),
        ("0.0.0.0/0", "127.0.0.1", False),
        ("0.0.0.0/0", "169.254.169.254", False),
        ("126.0.0.0/7", "127.0.0.1", False),
        ("126.0.0.0/7", "126.0.0.1", True),
        ("0.0.0.0/0,127.0.0.0/8", "127.0.0.1", True),
        ("0.0.0.0/0,127.0.0.0/8", "169.254.0.1", False),
        ("::/0", "fd00::1", True),
        ("::/0", "::1", False),
        ("::/0", "::127.0.0.1", False),
        ("::/0", "fe80::1", False),
        ("::/0", "64:ff9b::8.8.8.8", False),
        ("::/0", "fec0::1", False),
        ("::/0", "ff02::1", False),
        ("::/0", "100::1", False),
        ("::/0", "fd20:ce::254", False),
        ("::/0,0.0.0.0/0", "::ffff:127.0.0.1", False),
        ("fd00::/8", "fd00:ec2::254", False),
        ("fd00:ec2::254/128", "fd00:ec2::254", True),
        # metadata does not open with what is around it
        ("169.254.0.0/16", "169.254.169.254", False),
        ("169.254.169.254/32", "169.254.169.254", True),
        ("100.64.0.0/10", "100.100.100.200", False),
        ("192.0.0.0/24", "192.0.0.192", False),
        # a tunnel opens only if what is inside is allowed too
        ("64:ff9b::/96", "64:ff9b::10.0.0.1", False),
        ("64:ff9b::/96,10.0.0.0/8", "64:ff9b::10.0.0.1", True),
        ("64:ff9b::/96,0.0.0.0/0", "64:ff9b::169.254.169.254", False),
        ("2002::/16,0.0.0.0/0", "2002:7f00:1::", False),
        ("2002::/16,0.0.0.0/0", "2002:808:808::", True),
        ("2001::/32,0.0.0.0/0", "2001:0:808:808::80ff:fffe", False),  # 127.0.0.1 behind Teredo
        ("2001::/32,0.0.0.0/0", "2001:0:7f00:1::f7f7:f7f7", False),  # its server on 127.0.0.1
        ("2001::/32,0.0.0.0/0", "2001:0:808:808::f7f7:f7f7", True),
    ],
)
def test_pbx_networks_replaces_the_default(networks: str, address: str, passes: bool) -> None:
    named = allowed(networks.split(","))
    if passes:
        check_address(address, named)
    else:
        with pytest.raises(PbxForbidden):
            check_address(address, named)


def test_nothing_named_is_the_default_and_an_empty_list_is_nothing() -> None:
    assert allowed([]) is None
    with pytest.raises(PbxForbidden):
        check_address("10.0.0.1", ())


def test_a_refusal_is_a_rule_of_ours_and_no_fault_of_the_network() -> None:
    error = PbxForbidden()

    assert isinstance(error, PbxHeldBack)
    assert isinstance(error, PbxNotSent)
    assert not isinstance(error, OSError)
    assert str(error) == FORBIDDEN


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refusal_carries_no_trace_of_the_address_behind_a_name(
    names: dict[str, list[str]], trap: Trap, scheme: str
) -> None:
    names["pbx.test"] = ["127.0.0.1"]

    error = post("pbx.test", trap.port, scheme=scheme)

    assert (str(error), error.__context__, error.__cause__) == (FORBIDDEN, None, None)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1", "169.254.169.254"],
        ["169.254.169.254", "127.0.0.1"],
        ["127.0.0.1", "127.0.0.2", "10.0.0.1"],
        ["127.0.0.1", "::1"],
        ["127.0.0.1", "::ffff:10.0.0.1"],
    ],
)
def test_one_bad_address_of_several_refuses_them_all(
    names: dict[str, list[str]], addresses: list[str], trap: Trap, tried: list[str]
) -> None:
    names["pbx.test"] = addresses

    assert type(post("pbx.test", trap.port, LOOPBACK)) is PbxForbidden
    assert (trap.caught(), tried) == (0, [])


def test_a_name_is_resolved_once_and_the_first_checked_address_that_answers_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, trap: Trap, tried: list[str]
) -> None:
    asked = answering(monkeypatch, [["127.0.0.2", "127.0.0.1", "127.0.0.3"], ["10.0.0.1"]])

    post("pbx.test", trap.port, LOOPBACK)

    assert (len(asked), tried, trap.caught()) == (1, ["127.0.0.2", "127.0.0.1"], 1)


def test_of_many_addresses_three_are_tried(monkeypatch: pytest.MonkeyPatch, trap: Trap, tried: list[str]) -> None:
    answering(monkeypatch, [["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1"]])

    error = post("pbx.test", trap.port, LOOPBACK)

    assert type(error) is PbxUnreachable
    assert (tried, trap.caught()) == (["127.0.0.2", "127.0.0.3", "127.0.0.4"], 0)


def answering(monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]) -> list[str]:
    """A name server that says something else each time; the names it was asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *args: Any, **more: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in answers[len(asked) - 1]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("second", ["169.254.169.254", "10.0.0.1", "0.0.0.0"])  # noqa: S104
def test_a_name_that_leads_elsewhere_at_the_next_call_is_refused_then(
    monkeypatch: pytest.MonkeyPatch, trap: Trap, tried: list[str], second: str
) -> None:
    asked = answering(monkeypatch, [["127.0.0.1"], [second]])
    transport = Transport(Endpoint("http", "pbx.test", trap.port), Trust(TrustMode.NONE), networks=LOOPBACK)

    errors = []
    for _ in range(2):
        with pytest.raises(PbxError) as caught:
            transport.exchange(s_series_request("login", None), time.monotonic() + 60)
        errors.append(type(caught.value))

    assert [error is PbxForbidden for error in errors] == [False, True]
    assert (asked, tried, trap.caught()) == (["pbx.test", "pbx.test"], ["127.0.0.1"], 1)
    transport.close()


def test_a_name_that_was_allowed_at_save_is_refused_at_connect_when_it_leads_elsewhere(
    monkeypatch: pytest.MonkeyPatch, trap: Trap, tried: list[str]
) -> None:
    answering(monkeypatch, [["127.0.0.1"], ["169.254.169.254"]])

    assert clean_allowed_host("pbx.test") == "pbx.test"
    assert type(post("pbx.test", trap.port, LOOPBACK)) is PbxForbidden
    assert (trap.caught(), tried) == (0, [])


def test_the_address_that_was_reached_is_checked_again(monkeypatch: pytest.MonkeyPatch, trap: Trap) -> None:
    reached: list[socket.socket] = []

    def getpeername(self: socket.socket) -> Any:
        reached.append(self)
        return ("169.254.169.254", 80)

    monkeypatch.setattr(DeadlineSocket, "getpeername", getpeername, raising=False)

    with pytest.raises(PbxForbidden):
        connect("127.0.0.1", trap.port, LOOPBACK)
    assert reached[0].fileno() == -1


def test_an_address_is_checked_by_whoever_connects_to_it(trap: Trap, tried: list[str]) -> None:
    with pytest.raises(PbxForbidden):
        connect("127.0.0.1", trap.port, None)
    assert (trap.caught(), tried) == (0, [])


def test_each_transport_has_its_own_networks(names: dict[str, list[str]], trap: Trap) -> None:
    names["pbx.test"] = ["127.0.0.1"]

    assert type(post("pbx.test", trap.port, LOOPBACK)) is not PbxForbidden
    assert trap.caught() == 1
    assert type(post("pbx.test", trap.port, None)) is PbxForbidden
    assert type(post("pbx.test", trap.port, allowed(["10.0.0.0/8"]))) is PbxForbidden
    assert trap.caught() == 0


def test_no_transport_is_made_without_saying_where_it_may_go() -> None:
    with pytest.raises(TypeError, match="networks"):
        Transport(Endpoint("https", "10.0.0.1", 8088), Trust(TrustMode.NONE))  # type: ignore[call-arg]


# At save


@pytest.mark.usefixtures("default_networks")
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "rebind.test", "inner.test", "mixed.test"])
def test_a_name_that_leads_to_a_forbidden_address_is_refused_at_save(
    names: dict[str, list[str]], host: str, tried: list[str]
) -> None:
    names |= {
        "rebind.test": ["127.0.0.1"],
        "inner.test": ["::ffff:169.254.169.254"],
        "mixed.test": ["10.0.0.1", "169.254.169.254"],
    }

    with pytest.raises(ValidationError, match="outside the networks"):
        clean_allowed_host(host)
    assert tried == []


@pytest.mark.usefixtures("default_networks")
def test_a_name_without_an_address_may_be_saved(names: dict[str, list[str]]) -> None:
    names["none.test"] = []
    names["lan.test"] = ["192.168.1.10", "fd00::10"]

    for host in ("pbx.example.com", "none.test", "lan.test"):
        assert clean_allowed_host(host) == host


def test_saving_does_not_wait_for_a_slow_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: done.wait(LIMIT_S) and [])
    began = time.monotonic()

    try:
        assert clean_allowed_host("slow.test") == "slow.test"
    finally:
        done.set()

    assert time.monotonic() - began < HOST_LOOK_UP_S + 10


def test_a_slow_name_server_does_not_let_a_forbidden_address_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: pytest.fail("an address is not looked up"))

    with pytest.raises(ValidationError, match="outside the networks"):
        clean_allowed_host("169.254.169.254")


# What stays the host's own although an address is connected to


def test_the_host_header_stays_the_name(names: dict[str, list[str]]) -> None:
    names["pbx.test"] = ["127.0.0.1"]
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            link, _ = server.accept()
            with link:
                heads.append(link.recv(65536))

        thread = threading.Thread(target=serve)
        thread.start()
        post("pbx.test", port, LOOPBACK, scheme="http")
        thread.join()

    assert f"\r\nHost: pbx.test:{port}\r\n".encode() in heads[0]


@pytest.mark.tls
def test_the_name_in_the_certificate_is_compared_with_the_host(
    names: dict[str, list[str]], make_fleet: Callable[..., Fleet]
) -> None:
    pbx = make_fleet().pbxs[0]
    trust = Trust(TrustMode.CA, ca_certificate=ssl.get_server_certificate(("127.0.0.1", pbx.port)))
    names |= {"localhost": ["127.0.0.1"], "pbx.test": ["127.0.0.1"]}
    answers: dict[str, bytes | PbxError] = {}
    for host in names:
        transport = Transport(Endpoint("https", host, pbx.port), trust, networks=LOOPBACK)
        try:
            answers[host] = transport.exchange(s_series_request("login", {}), time.monotonic() + 60)
        except PbxError as error:
            answers[host] = error
        transport.close()

    assert isinstance(answers["localhost"], bytes)
    assert isinstance(answers["pbx.test"], PbxUntrusted)
    assert "pbx.test" in str(answers["pbx.test"])


@pytest.mark.tls
def test_the_server_name_of_the_handshake_stays_the_name(
    names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch, make_fleet: Callable[..., Fleet]
) -> None:
    names["pbx.test"] = ["127.0.0.1"]
    asked: list[Any] = []
    system = transport_module.DeadlineSSLSocket.do_handshake

    def do_handshake(self: Any, block: bool = False) -> None:
        asked.append(self.server_hostname)
        system(self, block)

    monkeypatch.setattr(transport_module.DeadlineSSLSocket, "do_handshake", do_handshake)
    pbx = make_fleet().pbxs[0]
    transport = Transport(
        Endpoint("https", "pbx.test", pbx.port), Trust(TrustMode.PIN, pbx.fingerprint), networks=LOOPBACK
    )

    assert transport.exchange(s_series_request("login", {}), time.monotonic() + 60)
    assert asked == ["pbx.test"]
    transport.close()


@pytest.mark.tls
@pytest.mark.parametrize(
    "variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"]
)
def test_the_environment_has_no_say(
    variable: str, trap: Trap, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, make_fleet: Callable[..., Fleet]
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login stranger password canary\n")
    nonsense = str(netrc) if variable == "NETRC" else "/no/such/file"
    monkeypatch.setenv(variable, f"http://127.0.0.1:{trap.port}" if "proxy" in variable.lower() else nonsense)
    pbx = make_fleet().pbxs[0]

    client = client_for(pbx)

    assert client.query_ivrs()
    assert trap.caught() == 0
    assert "Authorization" not in prepared(s_series_request("login", {}), client.transport.endpoint.base).headers
    client.transport.close()
