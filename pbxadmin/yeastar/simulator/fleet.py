"""A fleet of simulated PBXs. Each has a port of 127.0.0.1; all share one thread and one certificate."""

import asyncio
import hashlib
import json
import os
import resource
import ssl
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .controls import listen, switch_turn
from .pbx import HOST, WELL, Certificates, SimulatedPbx
from .seed import seeded

START_S = 120.0
# Attributes of each PBX that the state file keeps.
STATE_FIELDS = ("name", "scheme", "port", "username", "password", "serial", "ivrs", "switch")


class Fleet:
    """Simulated PBXs that listen while the `with` block runs.

    state_file: keeps IVRs, ports and the certificate between runs. It is saved before each update is answered.
    controls: where the socket file is made that takes orders (controls.py).
    """

    def __init__(self, count: int = 1, *, state_file: Path | None = None, controls: Path | None = None) -> None:
        self.state_file, self.controls = state_file, controls
        kept = json.loads(state_file.read_text()) if state_file and state_file.exists() else {}
        self.certificate: str = kept.get("certificate") or make_certificate()
        self.kept: list[dict[str, Any]] = kept.get("pbxs", [])
        self.pbxs = [seeded(position) for position in range(count)]
        for pbx, values in zip(self.pbxs, self.kept, strict=False):
            vars(pbx).update(values)
        for pbx in self.pbxs:
            pbx.fingerprint = self.fingerprint
            pbx.on_change = self.save
        self.saving = threading.Lock()

    @property
    def ca_certificate(self) -> str:
        """Return the certificate without its key, as a CA for clients to trust."""
        return self.certificate[self.certificate.index("-----BEGIN CERTIFICATE") :]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.ca_certificate)).hexdigest()

    def __enter__(self) -> Self:
        allow_files(len(self.pbxs) * 4 + 1024)
        ready: Future[None] = Future()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve(ready)), name="simulated fleet")
        self.thread.start()
        ready.result(START_S)
        try:
            self.save()
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join()

    async def serve(self, ready: Future[None]) -> None:
        self.loop, self.stopping = asyncio.get_running_loop(), asyncio.Event()
        self.certificates = Certificates(server_context(self.certificate), server_context(make_certificate()))
        try:
            for pbx in self.pbxs:
                pbx.open(self.certificates)
                if pbx.switch != WELL:
                    switch_turn(self, pbx, pbx.switch)
            async with AsyncExitStack() as stack:
                if self.controls:
                    await stack.enter_async_context(await listen(self, self.controls))
                ready.set_result(None)
                await self.stopping.wait()
        except OSError as error:
            ready.set_exception(error)
        finally:
            for pbx in self.pbxs:
                pbx.close()

    def switch_off(self, pbx: SimulatedPbx) -> None:
        """Close the port of a PBX, so that it refuses connections."""
        self.in_loop(pbx.close)

    def switch_on(self, pbx: SimulatedPbx) -> None:
        self.in_loop(lambda: pbx.open(self.certificates))

    def in_loop(self, work: Callable[[], None]) -> None:
        async def call() -> None:
            work()

        asyncio.run_coroutine_threadsafe(call(), self.loop).result(START_S)

    def save(self) -> None:
        if self.state_file is None:
            return
        with self.saving:
            running = [{key: getattr(pbx, key) for key in STATE_FIELDS} for pbx in self.pbxs]
            state = {"certificate": self.certificate, "pbxs": running + self.kept[len(running) :]}
            write_private(self.state_file, json.dumps(state, indent=1))


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically. Only its owner can read it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(name, path)


def allow_files(wanted: int) -> None:
    """Raise the limit of open files to the wanted number, or as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def make_certificate() -> str:
    """Make a new key and its self-signed certificate, and return both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated S-Series PBX")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address(HOST))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2050, 1, 1, tzinfo=UTC))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    key_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return (key_pem + certificate.public_bytes(serialization.Encoding.PEM)).decode()


def server_context(pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # ssl reads keys from files only
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context
