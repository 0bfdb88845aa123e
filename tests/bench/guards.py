"""What the guards of the connector cost: the same calls with them, with one of them, and without."""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pbxadmin.yeastar import transport as transport_module
from pbxadmin.yeastar.errors import PbxBadAnswer
from pbxadmin.yeastar.s_series import driver as driver_module
from pbxadmin.yeastar.transport import TlsProfile, TrustMode, tls_context

from .client_cpu import ours, over
from .figures import goal, heading, in_turns, table
from .fleet import distant_fleet

PBXS = 20
ROUNDS = 20
WITHOUT, ALL = "no guard", "all of them"
Guard = Callable[[], Any]


@contextmanager
def no_address_guard() -> Iterator[None]:
    """Resolve and connect as `socket` does, checking nothing."""

    def connect_checked(host: str, port: int, networks: Any) -> socket.socket:
        link = socket.create_connection((host, port), 8)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    yield from swapped(transport_module, "connect_checked", connect_checked)


@contextmanager
def no_deadline() -> Iterator[None]:
    """TLS sockets that begin their timeout anew at every read."""
    context = tls_context(TrustMode.PIN, TlsProfile.MODERN, "")
    yield from swapped(context, "sslsocket_class", ssl.SSLSocket)


@contextmanager
def no_strict_json() -> Iterator[None]:
    def read_answer(body: bytes) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(body)
        if payload["status"] != "Success":
            raise PbxBadAnswer
        return payload

    yield from swapped(driver_module, "read_answer", read_answer)


def swapped(owner: Any, name: str, other: Any) -> Iterator[None]:
    own = getattr(owner, name)
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, own)


GUARDS: dict[str, Guard] = {
    "the address guard": no_address_guard,
    "the deadline in the socket": no_deadline,
    "strict JSON": no_strict_json,
}


def with_only(guards: set[str], sweep: Callable[[], None]) -> Callable[[], None]:
    def way() -> None:
        with ExitStack() as stack:
            for name, switched_off in GUARDS.items():
                if name not in guards:
                    stack.enter_context(switched_off())
            sweep()

    return way


def main() -> None:
    with distant_fleet(PBXS) as fleet:
        sweep = over(ours, fleet.pbxs)
        ways = {WITHOUT: with_only(set(), sweep)}
        ways |= {f"only {name}": with_only({name}, sweep) for name in GUARDS}
        ways[ALL] = with_only(set(GUARDS), sweep)
        for what, clock in (("CPU", time.process_time), ("Wall time", time.perf_counter)):
            heading(f"{what} of each PBX with and without guards, login and query, {PBXS} PBXs, {ROUNDS} rounds")
            taken = in_turns(ways, ROUNDS, clock)
            table(taken, WITHOUT, PBXS)
            goal(f"{what} with all guards (min)", min(taken[ALL]) / min(taken[WITHOUT]), 1.15)
