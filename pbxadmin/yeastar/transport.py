"""HTTPS exchanges with a PBX: trust, deadlines, size limit, no redirects, no secret in any message.

The rules and the measurements behind them are in docs/connector.md. Three things are easy to undo by accident:

* All connections with one trust setting share one SSLContext. By default, urllib3 loads the system's CA store into a
  new context for every connection, which costs fourteen times the CPU of the exchange.
* The socket itself enforces the deadline, below TLS and HTTP, so that a PBX that sends one byte at a time cannot
  stretch it.
* Errors are raised outside the `except` block of the library's exception, because that exception knows the URL, which
  may contain the token.
"""

import hashlib
import hmac
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError

from .driver import READS, CallKind, PbxRequest, Text
from .errors import PbxBadAnswer, PbxError, PbxHeldBack, PbxOutcomeUnknown, PbxUnreachable, PbxUntrusted
from .guard import Networks, check_address
from .hints import connect_problem, handshake_problem, redirect_problem, scheme_hint, status_problem
from .secret import Secret

CONNECT_S = 4.0
MOST_ADDRESSES = 3  # to try for one name
EXCHANGE_S = 8.0
BODY_LIMIT = 2 * 1024 * 1024
# With forward secrecy only. The `ssl` of Debian's Python has OpenSSL's own choice, in which RSA key exchange is.
MODERN_CIPHERS = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
OP_LEGACY_SERVER_CONNECT = 0x4  # SSL_OP_LEGACY_SERVER_CONNECT of OpenSSL; `ssl` has the name from Python 3.12 on
HEADERS = {"User-Agent": "PBX-Admin", "Accept-Encoding": "identity", "Accept": "application/json"}
NO_RETRIES = Retry(0, read=False)
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
# The query parameters that carry a secret. Drivers use names of their own: `query_of` adds them before sending.
_secret_parameters = {"token"}


def without_secrets(record: logging.LogRecord) -> bool:
    """Mask secrets in what urllib3 logs: it logs the URL of every request, whatever level somebody sets."""
    names = "|".join(map(re.escape, [*_secret_parameters]))
    record.msg, record.args = re.sub(rf"\b({names})=[^&\s\"']*", r"\1=***", record.getMessage()), ()
    return True


for _name in ("urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(without_secrets)


class TrustMode(StrEnum):
    SYSTEM = "system"
    PIN = "pin"
    CA = "ca"
    NONE = "none"


class TlsProfile(StrEnum):
    """Oldest TLS that a PBX may use. A person chooses it; there is no automatic fallback."""

    MODERN = "modern"
    LEGACY = "legacy"  # adds RSA key exchange, which an old S50 requires; at least TLS 1.2
    ANCIENT = "ancient"  # TLS 1.0, weaker keys, and servers without secure renegotiation (RFC 5746)


@dataclass(frozen=True, slots=True)
class Trust:
    """Setting of how a PBX proves its identity. A pin is the SHA-256 of its certificate, 64 lower-case hex digits.

    Raises PbxUntrusted for a pin of another form: an empty pin must never disable the check.
    """

    mode: TrustMode
    fingerprint: str = ""
    ca_certificate: str = ""
    profile: TlsProfile = TlsProfile.MODERN

    def __post_init__(self) -> None:
        if self.mode is TrustMode.PIN and not FINGERPRINT.fullmatch(self.fingerprint):
            raise PbxUntrusted("No certificate is pinned for this PBX. Test the connection and pin the one it shows.")
        if self.mode is TrustMode.CA and not self.ca_certificate.strip():
            raise PbxUntrusted("The CA certificate for this PBX is missing. Add it to the PBX's settings.")


@dataclass(frozen=True, slots=True)
class Endpoint:
    scheme: str  # "https" or "http"
    host: str
    port: int

    @property
    def base(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Phase(IntEnum):
    CONNECTING = 1
    SENDING = 2  # from now on, something may have reached the PBX
    ANSWERED = 3  # an answer began


class Exchange:
    """Current exchange of this thread: its deadline and its phase.

    has_connected: whether it opened a connection; one that did not uses what the exchange before left open.
    """

    def __init__(self, until: float) -> None:
        self.until = until
        self.phase = Phase.CONNECTING
        self.has_connected = False

    def left(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline")
        return left


class _Current(threading.local):
    exchange: Exchange | None = None


_current = _Current()


@contextmanager
def exchanging(until: float) -> Iterator[Exchange]:
    _current.exchange = Exchange(until)
    try:
        yield _current.exchange
    finally:
        _current.exchange = None


def time_left() -> float:
    return _current.exchange.left() if _current.exchange else EXCHANGE_S


class DeadlineSocket(socket.socket):
    """A socket that ends every operation at the deadline of the exchange."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(time_left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(time_left())
        super().sendall(*args, **kwargs)


class DeadlineSSLSocket(DeadlineSocket, ssl.SSLSocket):
    """A DeadlineSocket with TLS."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(time_left())
        super().do_handshake(block)


@lru_cache(maxsize=256)
def tls_context(mode: TrustMode, profile: TlsProfile, ca_certificate: str = "") -> ssl.SSLContext:
    """Return the context of a trust setting. Each setting has its own, which all its connections share.

    Raises PbxHeldBack when the CA certificate is not a certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if mode is TrustMode.SYSTEM:
        context.load_default_certs()
    elif mode is TrustMode.CA:
        add_ca(context, ca_certificate)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if profile is TlsProfile.MODERN:
        context.set_ciphers(MODERN_CIPHERS)
    elif profile is TlsProfile.LEGACY:
        context.set_ciphers("DEFAULT")
    elif profile is TlsProfile.ANCIENT:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED  # TLS 1.0; SSL 3 stays off by an option
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.options |= OP_LEGACY_SERVER_CONNECT
    context.sslsocket_class = DeadlineSSLSocket
    return context


def add_ca(context: ssl.SSLContext, pem: str) -> None:
    """Trust this certificate. Text in any script may surround it, as in the output of openssl."""
    is_certificate = False
    with suppress(ssl.SSLError, ValueError):
        context.load_verify_locations(cadata=pem.encode("ascii", "replace").decode())
        is_certificate = True
    if not is_certificate:
        raise PbxHeldBack("The CA certificate for this PBX is not a certificate in PEM form.")


def fingerprint_of(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest()


# getaddrinfo has no timeout, so it runs in a thread that can be abandoned. Abandoned threads, for names that no server
# answers for, must leave room for all others. The pool starts threads only when they are needed.
_resolver = ThreadPoolExecutor(max_workers=256, thread_name_prefix="resolve")


def resolve(host: str, port: int, networks: Networks | None) -> list[str]:
    """Return the addresses of a host in the order of the system, after checking each of them.

    Raises PbxForbidden when an address is not allowed, PbxUnreachable when there is no address.
    """
    addresses = look_up(host, port)
    for address in addresses:
        check_address(address, networks)
    return addresses


def look_up(host: str, port: int) -> list[str]:
    if is_address(host):
        return [host]
    lookup = _resolver.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found, is_answered = [], True
    try:
        found = lookup.result(timeout=min(CONNECT_S, time_left()))
    except (OSError, UnicodeError) as error:  # names that DNS cannot represent are UnicodeErrors
        lookup.cancel()
        is_answered = not (isinstance(error, TimeoutError) or error.args[:1] == (socket.EAI_AGAIN,))
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not is_answered:
        raise PbxUnreachable(f"No name server answered for {host}. Try again.")
    if not addresses:
        raise PbxUnreachable(f"The name {host} has no address. Check its spelling.")
    return addresses


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def connect_any(addresses: Sequence[str], port: int, networks: Networks | None) -> DeadlineSocket:
    """Connect to the first address that accepts, since often only one of IPv4 and IPv6 leads to the PBX.

    The addresses share the time of one. Raises PbxForbidden, and the PbxUnreachable of the first address.
    """
    problem: PbxUnreachable | None = None
    until = time.monotonic() + CONNECT_S
    tried = addresses[:MOST_ADDRESSES]
    for place, address in enumerate(tried):
        try:
            return connect(address, port, networks, (until - time.monotonic()) / (len(tried) - place))
        except PbxUnreachable as error:
            problem = problem or error
    assert problem  # noqa: S101  (a name without an address has been refused)
    raise problem


def connect(address: str, port: int, networks: Networks | None, seconds: float = CONNECT_S) -> DeadlineSocket:
    """Open a TCP connection to an address literal. Raises PbxForbidden, PbxUnreachable."""
    check_address(address, networks)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    link: DeadlineSocket | None = None
    problem = ""
    reached = ""
    try:
        link = DeadlineSocket(family, socket.SOCK_STREAM)
        link.settimeout(min(seconds, time_left()))
        link.connect((address, port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reached = link.getpeername()[0]
    except TimeoutError:
        problem = (
            f"No answer within {CONNECT_S:.0f} s. Check that the PBX is on and that this server may reach port {port}."
        )
    except OSError as error:
        problem = connect_problem(error, address, port)
    if link is None or problem:
        if link:
            link.close()
        raise PbxUnreachable(problem)
    try:
        check_address(reached, networks)
    except PbxError:
        link.close()
        raise
    return link


@dataclass(frozen=True, slots=True)
class Certificate:
    """Certificate of a server, and the TLS version and cipher of the handshake."""

    der: bytes
    tls_version: str
    cipher: str

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.der)


def look_at_certificate(link: socket.socket, host: str, trust: Trust) -> Certificate:
    """Do a TLS handshake on a new connection with this trust setting and return the certificate. Sends no HTTP.

    Raises PbxUntrusted when the certificate is not trusted, PbxUnreachable when the handshake fails otherwise.
    """
    problem: PbxError | None = None
    try:
        with tls_context(trust.mode, trust.profile, trust.ca_certificate).wrap_socket(
            link, server_hostname=host
        ) as tls:
            cipher = tls.cipher() or ("unknown", "", 0)
            return Certificate(tls.getpeercert(binary_form=True) or b"", tls.version() or "unknown", cipher[0])
    except OSError as error:
        problem = handshake_problem(trust.profile, error)
    raise problem


def connect_checked(host: str, port: int, networks: Networks | None) -> socket.socket:
    """Resolve a host, check every address and connect to one. Each call resolves again, since DNS may change."""
    if _current.exchange:
        _current.exchange.has_connected = True
    return connect_any(resolve(host, port, networks), port, networks)


class PlainConnection(HTTPConnection):
    """A connection of urllib3 to an address that passed the guard. It notes when the first byte is sent."""

    networks: Networks | None

    def _new_conn(self) -> socket.socket:
        return connect_checked(self.host, self.port or 80, self.networks)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        note_sending()
        super().send(data)


class TlsConnection(HTTPSConnection):
    """A PlainConnection with TLS. It compares the pin after the handshake and before sending any byte."""

    networks: Networks | None
    pin: str
    profile: TlsProfile

    def _new_conn(self) -> socket.socket:
        return connect_checked(self.host, self.port or 443, self.networks)

    def connect(self) -> None:
        problem: PbxError | None = None
        try:
            super().connect()
        except OSError as error:
            problem = handshake_problem(self.profile, error)
        if problem:
            raise problem
        if self.pin:
            check_pin(self.pin, self.sock)
        self.is_verified = True  # as far as a person chose it; otherwise urllib3 warns at each call

    def send(self, data: Any) -> None:
        note_sending()
        super().send(data)


def note_sending() -> None:
    if _current.exchange:
        _current.exchange.phase = Phase.SENDING


def check_pin(pin: str, link: Any) -> None:
    found = fingerprint_of(link.getpeercert(binary_form=True) or b"")
    if not hmac.compare_digest(found, pin):
        raise PbxUntrusted("The certificate is not the pinned one. Nothing was sent.", found)


@lru_cache(maxsize=4096)
def pools(pin: str, profile: TlsProfile, networks: Networks | None) -> dict[str, type[Any]]:
    """Return the pool classes of urllib3 by scheme, with connections that check this pin ("" for none) and networks."""
    plain = type("GuardedPlain", (PlainConnection,), {"networks": networks})
    tls = type("GuardedTls", (TlsConnection,), {"networks": networks, "pin": pin, "profile": profile})
    return {
        "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
    }


class PbxAdapter(HTTPAdapter):
    """An adapter for `requests` with our connections to one address and the shared context: no call loads a CA store.

    It is used without a session of `requests`, so that nothing follows a redirect, which would read its whole body,
    keeps a cookie, takes a proxy, or reads the environment or a netrc.
    """

    def __init__(self, trust: Trust, networks: Networks | None) -> None:
        self.context = tls_context(trust.mode, trust.profile, trust.ca_certificate)
        self.classes = pools(trust.fingerprint if trust.mode is TrustMode.PIN else "", trust.profile, networks)
        self.pool: Any = None
        super().__init__(max_retries=NO_RETRIES)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """Do nothing: there is one pool, made with the first request."""

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        if self.pool is None:
            to = urlsplit(str(request.url))
            # urllib3 writes cert_reqs into the shared context, so it must equal the value of the context.
            tls = {"ssl_context": self.context, "cert_reqs": self.context.verify_mode} if to.scheme == "https" else {}
            self.pool = self.classes[to.scheme](to.hostname, to.port, maxsize=1, **tls)
        return self.pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Do nothing: the shared context decides."""

    def close(self) -> None:
        if self.pool is not None:
            self.pool.close()
            self.pool = None


class Transport:
    """A transport to one PBX. It belongs to one lease, at whose end it is closed.

    What only reads goes over the connection that a login or another reading left open, where the PBX keeps it. All
    other exchanges have a connection of their own.

    networks: the networks that it may connect to, None for the default; see `guard.allowed`.
    """

    def __init__(
        self, endpoint: Endpoint, trust: Trust, *, networks: Networks | None, exchange_s: float = EXCHANGE_S
    ) -> None:
        self.endpoint = endpoint
        self.exchange_s = exchange_s
        self.adapter = PbxAdapter(trust, networks)

    def close(self) -> None:
        self.adapter.close()

    def exchange(self, request: PbxRequest, until: float) -> bytes:
        """Send one request and return the body of its answer, at most 2 MiB.

        until: time.monotonic() at which the time of the caller ends. The exchange ends after 8 s at the latest.
        Raises PbxNotSent when nothing left us, PbxOutcomeUnknown when something may have left us.
        """
        until = min(until, time.monotonic() + self.exchange_s)
        if request.kind not in READS:
            self.close()
        answer, failure, is_stale = self.exchange_once(request, until)
        if is_stale:  # the PBX closed what it had kept, as it may at any time
            answer, failure, _ = self.exchange_once(request, until)
        if failure is not None:
            raise failure
        return answer

    def exchange_once(self, request: PbxRequest, until: float) -> tuple[bytes, PbxError | None, bool]:
        """Send a request once. Return its answer, or how it failed and whether that was for a stale connection.

        Stale is a connection of before on which a reading got no byte of an answer, and not for want of time.
        """
        failure: PbxError | None = None
        answer, is_stale = b"", False
        with exchanging(until) as exchange:
            try:
                exchange.left()
                response = self.send(request)
                exchange.phase = Phase.ANSWERED
                answer = self.read(response)
            except PbxError as error:
                failure = error.with_traceback(None)
            except (requests.ConnectTimeout, TimeoutError):
                failure = timed_out(exchange.phase)
            except (requests.Timeout, ReadTimeoutError):
                failure = PbxOutcomeUnknown("The PBX took the request and did not answer in time.")
            except Exception as error:  # any: its frames know the URL, and callers expect PbxError only
                failure = broken(error, exchange.phase, self.endpoint.scheme)
                is_stale = exchange.phase is Phase.SENDING and not exchange.has_connected
            finally:
                if failure is not None or not leaves_open(request):
                    self.close()
        return answer, failure, is_stale

    def send(self, request: PbxRequest) -> requests.Response:
        return self.adapter.send(
            prepared(request, self.endpoint.base), stream=True, timeout=(CONNECT_S, self.exchange_s)
        )

    def read(self, response: requests.Response) -> bytes:
        try:
            if 300 <= response.status_code < 400:
                raise redirect_problem(self.endpoint.scheme, response.headers.get("Location", ""))
            if response.status_code != 200:
                raise status_problem(self.endpoint.scheme, response.status_code)
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise PbxBadAnswer("The PBX answered in a compressed form that was not requested.")
            return read_limited(response.raw.read1)
        finally:
            response.close()


def leaves_open(request: PbxRequest) -> bool:
    """Whether the next reading may go over the connection of this request, if the PBX keeps it."""
    return request.kind in READS or request.kind is CallKind.LOGIN


def prepared(request: PbxRequest, base: str) -> requests.PreparedRequest:
    """Return a request as it is sent, with its secrets. Raises ValueError for an address that no request can have."""
    found = requests.PreparedRequest()
    found.prepare_method(request.method)
    found.prepare_url(base + request.path + query_of(request), None)
    connection = "keep-alive" if leaves_open(request) else "close"
    found.prepare_headers({**HEADERS, "Connection": connection, **revealed(request.headers)})
    found.prepare_body(None, None, None if request.body is None else revealed(request.body))
    return found


def revealed(values: Mapping[str, Text]) -> dict[str, str]:
    return {key: value.reveal() if isinstance(value, Secret) else value for key, value in values.items()}


def query_of(request: PbxRequest) -> str:
    """Return the query part of a URL, with its question mark, "" for none."""
    _secret_parameters.update(name for name, value in request.query.items() if isinstance(value, Secret))
    return f"?{urlencode(revealed(request.query), safe='', quote_via=quote)}" if request.query else ""


def read_limited(read1: Callable[..., bytes]) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := read1(65536, decode_content=False):
        parts.append(part)
        size += len(part)
        if size > BODY_LIMIT:
            raise PbxBadAnswer("The PBX answered with more than 2 MiB, which is not an answer of this API.")
    return b"".join(parts)


def timed_out(phase: Phase) -> PbxError:
    if phase is Phase.CONNECTING:
        return PbxUnreachable(
            "No connection in time. Check that the PBX is on and that this server may reach its port."
        )
    return PbxOutcomeUnknown("The PBX took the request and did not answer in time.")


def broken(error: Exception, phase: Phase, scheme: str) -> PbxError:
    """Return the error that says what is known after any other failure. In doubt, something may have reached the PBX.

    A ValueError concerns the address, as most errors of requests do. Every other failure before a connection exists is
    raised as a PbxError.
    """
    is_of_the_network = isinstance(error, OSError | HTTPError) and not isinstance(error, ValueError)
    if phase is Phase.CONNECTING and not is_of_the_network:
        return PbxHeldBack(f"No request could be made for the address of this PBX ({type(error).__name__}).")
    hint = scheme_hint(scheme, error) if phase is Phase.SENDING else ""
    return PbxOutcomeUnknown(f"The connection broke after sending.{hint}")
