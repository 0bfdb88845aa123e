"""The simulated fleet for tests that need real TLS, and the client as the product builds it."""

import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.drivers import driver_of
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.guard import allowed
from pbxadmin.yeastar.s_series.driver import password_digest
from pbxadmin.yeastar.secret import Secret
from pbxadmin.yeastar.simulator import Fleet, SimulatedPbx
from pbxadmin.yeastar.transport import Endpoint, Transport, Trust, TrustMode

EXCHANGE_S = 30.0  # long enough on any machine; `short_deadlines` is for faults that only a deadline ends
NUMERIC = re.compile(r"[0-9a-fx:.]*", re.IGNORECASE)  # an address in one of its spellings
LOOPBACK = allowed(["127.0.0.0/8"])


def client_for(
    pbx: SimulatedPbx,
    *,
    version: ApiVersion = ApiVersion.V1_0,
    trust: Trust | None = None,
    password: str | None = None,
    token: Secret | None = None,
    exchange_s: float = EXCHANGE_S,
    **more: Any,
) -> PbxClient:
    """A client for a simulated PBX; by default it pins the right certificate and knows the right password."""
    return PbxClient(
        transport=Transport(
            Endpoint(pbx.scheme, "127.0.0.1", pbx.port),
            trust or Trust(TrustMode.PIN, pbx.fingerprint),
            networks=LOOPBACK,
            exchange_s=exchange_s,
        ),
        driver=driver_of(version),
        username=pbx.username,
        digest=Secret(password_digest(pbx.password if password is None else password)),
        token=token,
        **more,
    )


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses by name, for a test to fill in. Any other name but localhost has none: no test asks a name server."""
    known: dict[str, list[str]] = {}
    system = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **more: Any) -> list[Any]:
        if host in known:
            return [entry for address in known[host] for entry in system(address, port, *args, **more)]
        if isinstance(host, str) and host != "localhost" and not NUMERIC.fullmatch(host):
            raise socket.gaierror(socket.EAI_NONAME, "no test asks a name server")
        return system(host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.fixture
def fleets() -> Iterator[list[Fleet]]:
    """The fleets that this test started; they stop with it."""
    started: list[Fleet] = []
    yield started
    for fleet in started:
        fleet.__exit__()


@pytest.fixture
def make_fleet(fleets: list[Fleet]) -> Callable[..., Fleet]:
    """Return a function that starts a fleet of any size."""

    def make(count: int = 1, **options: Any) -> Fleet:
        fleets.append(Fleet(count, **options).__enter__())
        return fleets[-1]

    return make


@pytest.fixture
def fleet(make_fleet: Callable[..., Fleet]) -> Fleet:
    return make_fleet(3)


@pytest.fixture
def simulated_pbx(make_fleet: Callable[..., Fleet]) -> SimulatedPbx:
    return make_fleet().pbxs[0]
