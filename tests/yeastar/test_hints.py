"""What a person is told to do after a failure: over real connections, the advice must lead to the PBX."""

import errno
import re
import socket
import ssl
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from pbxadmin.yeastar import transport as transport_module
from pbxadmin.yeastar.errors import PbxBadAnswer, PbxError, PbxUnreachable, PbxUntrusted
from pbxadmin.yeastar.hints import connect_problem, handshake_problem, redirect_problem
from pbxadmin.yeastar.simulator import Fleet, Framing, SimulatedPbx
from pbxadmin.yeastar.transport import (
    OP_LEGACY_SERVER_CONNECT,
    Endpoint,
    TlsProfile,
    Transport,
    Trust,
    TrustMode,
    connect,
    exchanging,
    look_at_certificate,
    tls_context,
)
from tests.simulated import LOOPBACK

from .s_series import s_series_request
from .servers import AnswersAnything, RawServer, Signer, certificate, http, only_tls, pem_of, tls_1_0
from .tls_by_hand import WithoutRenegotiation

pytestmark = pytest.mark.tls

MODERN, LEGACY, ANCIENT = TlsProfile
TLS_1_2 = ssl.TLSVersion.TLSv1_2
# The 1024-bit group of RFC 2409, as DH parameters.
SMALL_GROUP = """-----BEGIN DH PARAMETERS-----
MIGHAoGBAP//////////yQ/aoiFowjTExmKLgNwc0SkCTgiKZ8x0Agu+pjsTmyJR
Sgh5jjQE3e+VGbPNOkMbMCsKbfJfFDdP4TVtbVHCReSFtXZiXn7G9ExC6aY37WsL
/1y29Aa37e44a/taiZ+lrp8kEXxLH+ZJKGZR7OZTgf//////////AgEC
-----END DH PARAMETERS-----
"""
Port = int


def sent(port: int, trust: Trust, scheme: str = "https", *, host: str = "127.0.0.1", seconds: float = 20.0) -> str:
    """What is told after one exchange, "" for success."""
    transport = Transport(Endpoint(scheme, host, port), trust, networks=LOOPBACK, exchange_s=seconds)
    try:
        transport.exchange(s_series_request("apply"), time.monotonic() + 60)
    except PbxError as error:
        return str(error)
    finally:
        transport.close()
    return ""


def looked_at(port: int, trust: Trust) -> str:
    with exchanging(time.monotonic() + 20), connect("127.0.0.1", port, LOOPBACK) as link:
        try:
            look_at_certificate(link, "127.0.0.1", trust)
        except PbxError as error:
            return str(error)
    return ""


# Servers that want another TLS profile


def rsa_key_exchange(signer: Signer) -> RawServer:
    return RawServer(http(), tls=only_tls(signer.context(kind="rsa"), "AES256-GCM-SHA384"))


def small_certificate(signer: Signer) -> RawServer:
    private = generate_private_key(65537, 1024)  # noqa: S505  (small by intent)
    context = only_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "DEFAULT:@SECLEVEL=0")
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem_of(private) + certificate("pbx", private, signer))
        file.flush()
        context.load_cert_chain(file.name)
    return RawServer(http(), tls=context)


def small_key_exchange(signer: Signer) -> RawServer:
    context = only_tls(signer.context(kind="rsa"), "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(SMALL_GROUP)
        file.flush()
        context.load_dh_params(file.name)
    return RawServer(http(), tls=context)


def no_secure_renegotiation(signer: Signer) -> RawServer:
    return WithoutRenegotiation(http(), signer)


@pytest.mark.parametrize(
    ("server", "path"),
    [
        (tls_1_0, [MODERN, ANCIENT]),
        (rsa_key_exchange, [MODERN, LEGACY]),
        (small_certificate, [MODERN, ANCIENT]),
        (small_key_exchange, [MODERN, ANCIENT]),
        (no_secure_renegotiation, [MODERN, LEGACY, ANCIENT]),
    ],
)
@pytest.mark.parametrize("work", [sent, looked_at])
def test_who_follows_the_advice_reaches_the_pbx(
    server: Callable[[Signer], RawServer], path: list[TlsProfile], work: Callable[[Port, Trust], str]
) -> None:
    signer = Signer()
    with server(signer) as found:
        assert list(followed(found.port, signer, work)) == path


@pytest.mark.parametrize("server", [tls_1_0, small_certificate, small_key_exchange, no_secure_renegotiation])
def test_legacy_is_not_advised_to_who_chose_it(server: Callable[[Signer], RawServer]) -> None:
    signer = Signer()
    with server(signer) as found:
        told = sent(found.port, Trust(TrustMode.CA, ca_certificate=signer.pem, profile=LEGACY))

    assert "ancient TLS profile" in told
    assert "legacy" not in told.split("). ")[-1]


def followed(port: int, signer: Signer, work: Callable[[Port, Trust], str]) -> Iterator[TlsProfile]:
    """The profiles that somebody tries who begins with modern and does as told."""
    profile: TlsProfile | None = MODERN
    while profile:
        yield profile
        told = work(port, Trust(TrustMode.CA, ca_certificate=signer.pem, profile=profile))
        assert bool(told) is (advised(told) is not None), told
        profile = advised(told)


def advised(told: str) -> TlsProfile | None:
    named = re.findall(r"the (\w+) TLS profile", told)
    assert len(named) < 2, told
    return TlsProfile(named[0]) if named else None


def test_the_ancient_profile_alone_takes_a_server_without_secure_renegotiation() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        allowed = [bool(tls_context(TrustMode.NONE, each).options & OP_LEGACY_SERVER_CONNECT) for each in TlsProfile]

    assert allowed == [False, False, True]
    assert getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 4) == OP_LEGACY_SERVER_CONNECT


class Failure(ssl.SSLError):
    def __init__(self, reason: str) -> None:
        super().__init__(1, reason)
        self.reason = reason


# What is told for each reason, by the profile in use.
ADVICE = {
    ("modern", "SSLV3_ALERT_HANDSHAKE_FAILURE"): "An old PBX may need the legacy TLS profile.",
    ("legacy", "SSLV3_ALERT_HANDSHAKE_FAILURE"): "An old PBX may need the ancient TLS profile.",
    ("ancient", "SSLV3_ALERT_HANDSHAKE_FAILURE"): "No older TLS profile is left",
    ("modern", "UNEXPECTED_EOF_WHILE_READING"): "An old PBX may need the legacy TLS profile.",
    ("modern", "TLSV1_ALERT_PROTOCOL_VERSION"): "Choose the ancient TLS profile",
    ("legacy", "TLSV1_ALERT_PROTOCOL_VERSION"): "Choose the ancient TLS profile",
    ("ancient", "TLSV1_ALERT_PROTOCOL_VERSION"): "No older TLS profile is left",
    ("legacy", "UNSUPPORTED_PROTOCOL"): "Choose the ancient TLS profile",
    ("ancient", "UNSUPPORTED_PROTOCOL"): "No older TLS profile is left",
    ("legacy", "DH_KEY_TOO_SMALL"): "Choose the ancient TLS profile",
    ("modern", "UNSAFE_LEGACY_RENEGOTIATION_DISABLED"): "Choose the ancient TLS profile",
    ("modern", "WRONG_VERSION_NUMBER"): "does not speak TLS",
    ("ancient", "WRONG_VERSION_NUMBER"): "does not speak TLS",
    ("legacy", "HTTP_REQUEST"): "does not speak TLS",
}


@pytest.mark.parametrize(("profile", "reason"), ADVICE)
def test_the_advice_comes_from_the_profile_and_the_reason(profile: str, reason: str) -> None:
    told = handshake_problem(profile, Failure(reason))

    assert type(told) is PbxUnreachable
    assert ADVICE[profile, reason] in str(told)
    assert reason.replace("_", " ").lower() in str(told)


@pytest.mark.parametrize("profile", TlsProfile)
def test_a_certificate_of_another_name_says_nothing_of_profiles(profile: TlsProfile) -> None:
    signer = Signer()
    with RawServer(http(), tls=signer.context(names=["pbx.test"])) as server:
        told = sent(server.port, Trust(TrustMode.CA, ca_certificate=signer.pem, profile=profile))

    assert "127.0.0.1" in told
    assert "profile" not in told


def test_a_server_that_does_not_know_the_name_says_nothing_of_profiles(names: dict[str, list[str]]) -> None:
    names["other.test"] = ["127.0.0.1"]
    context = Signer().context()
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    with RawServer(http(), tls=context) as server:
        told = sent(server.port, Trust(TrustMode.NONE), host="other.test")

    assert "does not answer to this name" in told
    assert "profile" not in told


def test_a_weak_certificate_may_be_pinned_or_accepted_by_the_ancient_profile() -> None:
    signer = Signer()
    with small_certificate(signer) as server:
        trust = Trust(TrustMode.CA, ca_certificate=signer.pem)
        told = sent(server.port, trust)
        pinned = sent(server.port, Trust(TrustMode.NONE))

    assert "key too weak. Pin this certificate, or choose the ancient TLS profile, which takes weaker keys." in told
    assert pinned == ""
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = 66, "EE certificate key too weak"
    assert type(handshake_problem("ancient", error)) is PbxUntrusted
    assert "profile" not in str(handshake_problem("ancient", error))


@pytest.mark.parametrize("error", [ConnectionResetError(), ssl.SSLEOFError(8, "EOF"), ConnectionAbortedError()])
def test_a_connection_that_is_closed_reads_the_same_whether_or_not_it_was_reset(error: OSError) -> None:
    """Which of them we see depends on timing alone."""
    told = str(handshake_problem("modern", error))

    assert told.startswith("The PBX closed the connection during the TLS handshake. Check that")


# The wrong scheme


@pytest.mark.parametrize("profile", TlsProfile)
def test_tls_to_a_plain_http_port_says_so(profile: TlsProfile) -> None:
    with AnswersAnything(Framing().page("Bad Request", status="400 Bad Request")) as server:
        for work in (sent, looked_at):
            told = work(server.port, Trust(TrustMode.NONE, profile=profile))
            assert "This port does not speak TLS. Enter the HTTPS port (8088 by default)" in told


@pytest.mark.parametrize("profile", TlsProfile)
def test_tls_to_a_plain_http_port_that_waits_says_what_it_may_be(
    simulated_pbx: SimulatedPbx, profile: TlsProfile
) -> None:
    simulated_pbx.scheme = "http"

    told = sent(simulated_pbx.port, Trust(TrustMode.NONE, profile=profile), seconds=2.0)

    assert told == (
        "The PBX accepted the connection and did not finish the TLS handshake in time. A plain HTTP port does the same:"
        " check scheme and port."
    )


@contextmanager
def asyncio_tls() -> Iterator[Port]:
    with Fleet(1) as fleet:
        yield fleet.pbxs[0].port


@contextmanager
def blocking_tls() -> Iterator[Port]:
    with RawServer(http(), tls=Signer().context()) as server:
        yield server.port


@contextmanager
def tls_alert() -> Iterator[Port]:
    with RawServer(b"\x15\x03\x01\x00\x02\x02\x46") as server:
        yield server.port


@contextmanager
def a_400_page() -> Iterator[Port]:
    with RawServer(http(b"The plain HTTP request was sent to HTTPS port", status="400 Bad Request")) as server:
        yield server.port


@pytest.mark.parametrize("server", [asyncio_tls, blocking_tls, tls_alert, a_400_page])
def test_plain_http_to_a_tls_port_says_so(server: Callable[[], Any]) -> None:
    with server() as port:
        told = sent(port, Trust(TrustMode.NONE), "http")

    assert "choose HTTPS" in told


def test_a_plain_http_server_that_breaks_in_its_answer_is_not_taken_for_tls() -> None:
    for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{", http(status="404 Not Found")):
        with RawServer(answer) as server:
            assert "choose HTTPS" not in sent(server.port, Trust(TrustMode.NONE), "http")


def test_a_connection_that_breaks_over_tls_is_not_taken_for_another_scheme() -> None:
    with RawServer(b"", tls=Signer().context()) as server:
        assert sent(server.port, Trust(TrustMode.NONE)) == "The connection broke after sending."


# Redirects


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("https://127.0.0.1:8088/", "https://127.0.0.1:8088"),
        ("https://PBX.example.com/cgi?token=canary#canary", "https://pbx.example.com:443"),
        ("http://pbx.example.com/x;canary", "http://pbx.example.com:80"),
        ("https://[fe80::1]:8088/api", "https://[fe80::1]:8088"),
        ("https://admin:canary@10.0.0.1:8088/", "https://10.0.0.1:8088"),
        ("//10.0.0.1:8088/canary", "http://10.0.0.1:8088"),
        ("/webgui/?token=canary", "another page of the same address"),
        ("", "an address that cannot be read"),
        ("http://[", "an address that cannot be read"),
        ("http://10.0.0.1:99999999/", "an address that cannot be read"),
        ("javascript:canary", "an address that cannot be read"),
        ("https://<b>canary</b>/", "an address that cannot be read"),
        ("https://" + "a" * 300 + "/", "an address that cannot be read"),
    ],
)
def test_a_redirect_says_where_it_pointed_and_shows_no_query_path_or_password(location: str, place: str) -> None:
    with RawServer(http(b"moved", status="302 Found", headers=[f"Location: {location}"])) as server:
        told = sent(server.port, Trust(TrustMode.NONE), "http")

    assert f"redirect to {place}," in told
    assert "canary" not in told


def test_a_redirect_to_https_says_which_scheme_and_port_to_enter() -> None:
    told = str(redirect_problem("http", "https://10.0.0.1:8088/login"))

    assert type(redirect_problem("http", "https://10.0.0.1:8088/")) is PbxBadAnswer
    assert "By default, port 80 of a PBX leads to HTTPS on port 8088: enter that scheme and port." in told
    assert "By default" not in str(redirect_problem("https", "/login.html"))


def test_the_longest_hint_can_be_stored() -> None:
    assert len(str(redirect_problem("http", f"https://{'a' * 100}:65535/"))) <= 300


# Before a connection


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ECONNREFUSED, "Port 8088 refused the connection."),
        (errno.EHOSTUNREACH, "This server has no route to 10.0.0.1."),
        (errno.ENETUNREACH, "This server has no route to 10.0.0.1."),
        (errno.EACCES, "A rule of this server, such as its firewall, forbids the connection."),
        (errno.EPERM, "A rule of this server, such as its firewall, forbids the connection."),
        (errno.EMFILE, "This server could not open a connection (Too many open files)."),
        (errno.EADDRNOTAVAIL, "This server could not open a connection (Cannot assign requested address)."),
        (errno.ECONNRESET, "This server could not open a connection (Connection reset by peer)."),
    ],
)
def test_why_no_connection_could_be_opened_is_told_as_it_is(number: int, words: str) -> None:
    assert words in connect_problem(OSError(number, "x"), "10.0.0.1", 8088)


def test_a_server_that_is_out_of_files_does_not_blame_the_route(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_files(*args: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(transport_module, "DeadlineSocket", out_of_files)

    assert "Too many open files" in sent(9, Trust(TrustMode.NONE))


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (socket.EAI_NONAME, "The name pbx.test has no address. Check its spelling."),
        (socket.EAI_AGAIN, "No name server answered for pbx.test."),
    ],
)
def test_a_name_server_that_is_down_is_not_a_wrong_spelling(
    monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fails(*args: Any, **more: Any) -> Any:
        raise socket.gaierror(number, "x")

    monkeypatch.setattr(socket, "getaddrinfo", fails)

    with pytest.raises(PbxUnreachable, match=re.escape(words)):
        transport_module.look_up("pbx.test", 8088)


# Pages in place of an answer


@pytest.mark.parametrize(("status", "words"), [("404 Not Found", "Detect API version"), ("500 Oops", "HTTP 500")])
def test_a_page_in_place_of_an_answer_says_what_it_may_mean(status: str, words: str) -> None:
    with RawServer(Framing().page("x", status=status)) as server:
        told = sent(server.port, Trust(TrustMode.NONE), "http")

    assert words in told
    assert ("version" in told) is status.startswith("404")
