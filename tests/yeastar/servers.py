"""Servers on loopback beside the simulated fleet: with other certificates, other TLS, or raw bytes for answers."""

import socket
import ssl
import struct
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from pbxadmin.yeastar.simulator import Fleet, SimulatedPbx
from pbxadmin.yeastar.simulator.pbx import Certificates

SUCCESS = b'{"status":"Success"}'


def http(body: bytes = SUCCESS, *, status: str = "200 OK", headers: Iterable[str] = (), length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class RawServer:
    """Answers each connection with the next of these bytes, the last one for ever, and closes.

    Reads the request first. `requests` holds the bytes of each, `connections` counts. reset: closes with a TCP reset.
    keeps: leaves the connection open until the other side closes it or says more.
    """

    def __init__(
        self, *answers: bytes, tls: ssl.SSLContext | None = None, reset: bool = False, keeps: bool = False
    ) -> None:
        self.answers = list(answers)
        self.tls, self.reset, self.keeps = tls, reset, keeps
        self.requests: list[bytes] = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def serve(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with link:
                link.settimeout(5)
                try:
                    self.talk(self.tls.wrap_socket(link, server_side=True) if self.tls else link)
                except OSError:
                    continue

    def talk(self, link: socket.socket) -> None:
        with link:
            self.requests.append(read_request(link))
            link.sendall(self.answers[0] if len(self.answers) == 1 else self.answers.pop(0))
            if self.keeps:
                link.recv(1)
            if self.reset:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class AnswersAnything(RawServer):
    """A RawServer that waits for no whole request: it answers to whatever comes."""

    def talk(self, link: socket.socket) -> None:
        with link:
            link.recv(4096)
            link.sendall(self.answers[0])


def read_request(link: socket.socket) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found:
        part = link.recv(65536)
        if not part:
            return found
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (part := link.recv(65536)):
        body += part
    return head + b"\r\n\r\n" + body


Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def key(kind: str) -> Key:
    """One key for all certificates of a kind: making one costs more than a test."""
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Signer:
    """A certificate authority."""

    name: str = "Acme CA"
    key: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def pem(self) -> str:
        return certificate(self.name, self.key, self, is_ca=True)

    def context(self, *, kind: str = "ec", expired: bool = False, names: Iterable[str] = ()) -> ssl.SSLContext:
        """The server's side of TLS, with a certificate of 127.0.0.1 that this authority signed."""
        leaf = certificate("pbx", key(kind), self, expired=expired, names=names)
        return server_context(pem_of(key(kind)) + leaf)


def certificate(
    name: str, own: Key, signer: Signer, *, is_ca: bool = False, expired: bool = False, names: Iterable[str] = ()
) -> str:
    called: list[x509.GeneralName] = [x509.DNSName(each) for each in names]
    called = called or [x509.IPAddress(IPv4Address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, signer.name)]))
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2021 if expired else 2050, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(called), critical=False)
        .sign(signer.key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def pem_of(private: Key) -> str:
    plain = serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def server_context(pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # ssl reads keys from files only
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def only_tls(context: ssl.SSLContext, ciphers: str, high: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ssl.SSLContext:
    """The same context with these ciphers and no newer TLS."""
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, high
    return context


def tls_1_0(signer: Signer) -> RawServer:
    old = only_tls(signer.context(kind="rsa"), "DEFAULT:@SECLEVEL=0", ssl.TLSVersion.TLSv1)
    return RawServer(http(), tls=old)


def show(fleet: Fleet, context: ssl.SSLContext) -> SimulatedPbx:
    """The first PBX of a fleet, which from now on speaks TLS like this."""
    fleet.certificates = Certificates(context, context)
    pbx = fleet.pbxs[0]
    fleet.switch_off(pbx)
    fleet.switch_on(pbx)
    return pbx


def calls_in_threads(*work: Callable[[], Any]) -> list[Any]:
    """Runs each in a thread of its own, and gives what each returned."""
    found: list[Any] = [None] * len(work)

    def run(place: int) -> None:
        found[place] = work[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
