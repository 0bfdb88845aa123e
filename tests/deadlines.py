"""Short deadlines for the exchanges that a simulated PBX never finishes; all others keep the time of the product.

A short deadline for every exchange would make the verdict of a test depend on how busy the machine is. Here it starts
only when the PBX has begun a fault that nothing but a deadline ends. Connecting, the handshake and good answers have
the whole deadline of the product.
"""

import time
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from pbxadmin.yeastar import transport
from pbxadmin.yeastar.driver import PbxRequest
from pbxadmin.yeastar.simulator import Fault, Fleet, faults
from pbxadmin.yeastar.simulator.faults import ON_ACCEPT, Misbehaviour
from pbxadmin.yeastar.transport import DeadlineSocket, DeadlineSSLSocket, Exchange, Transport

SHORT_S = 0.5  # from the moment when the PBX falls silent or begins to drip
DRIP_S = 0.2  # so a few bytes come within SHORT_S, and a whole answer takes 4 s at least
ENDED_BY_A_DEADLINE = frozenset(
    {
        Fault.SILENT_ON_ACCEPT,
        Fault.HANDSHAKE_DRIP,
        Fault.SILENT,
        Fault.KEEPS_OPEN,
        Fault.DRIP_BODY,
        Fault.DRIP_HEADERS,
        Fault.ENDLESS_CONTINUE,
    }
)


class Foreseen:
    """A fault that a PBX will begin in an exchange. It has begun when the order for it was counted down."""

    def __init__(self, order: Misbehaviour) -> None:
        self.order = order
        self.times = order.times

    @property
    def has_begun(self) -> bool:
        return self.order.times < self.times


class ShortDeadlines:
    """Brings the deadline of an exchange forward once its PBX has begun a fault that only a deadline ends."""

    def __init__(self, fleets: Iterable[Fleet]) -> None:
        self.fleets = fleets
        self.foreseen: WeakKeyDictionary[Exchange, Foreseen] = WeakKeyDictionary()

    def foresee(self, port: int, call: str | None) -> None:
        """Note what the PBX on this port was ordered to do with the next such call; None stands for a connection."""
        for pbx in (pbx for fleet in self.fleets for pbx in fleet.pbxs if pbx.port == port):
            order = next((each for each in pbx.orders if each.matches(call) and each.times and not each.after), None)
            if order and order.fault in ENDED_BY_A_DEADLINE:
                self.foreseen[current()] = Foreseen(order)

    def bring_forward(self, kinds: Iterable[Fault]) -> None:
        """Wait until a foreseen fault of these kinds has begun, then leave the exchange SHORT_S."""
        exchange = transport._current.exchange
        foreseen = self.foreseen.get(exchange) if exchange else None
        if not exchange or not foreseen or foreseen.order.fault not in kinds:
            return
        while not foreseen.has_begun:
            exchange.left()  # raises TimeoutError at the deadline of the product
            time.sleep(0.005)
        exchange.until = min(exchange.until, time.monotonic() + SHORT_S)
        del self.foreseen[exchange]


def current() -> Exchange:
    assert transport._current.exchange, "outside an exchange"
    return transport._current.exchange


@pytest.fixture
def short_deadlines(fleets: list[Fleet], monkeypatch: pytest.MonkeyPatch) -> None:
    """End an exchange soon after its PBX fell silent or began to drip."""
    deadlines = ShortDeadlines(fleets)
    send, connect = Transport.send, DeadlineSocket.connect
    do_handshake, recv_into = DeadlineSSLSocket.do_handshake, DeadlineSocket.recv_into

    def foresee_and_send(self: Transport, request: PbxRequest) -> Any:
        deadlines.foresee(self.endpoint.port, request.name)
        return send(self, request)

    def foresee_and_connect(self: DeadlineSocket, address: tuple[str, int]) -> None:
        deadlines.foresee(address[1], None)
        connect(self, address)

    def handshake_soon(self: DeadlineSSLSocket, block: bool = False) -> None:
        deadlines.bring_forward(ON_ACCEPT)
        do_handshake(self, block)

    def receive_soon(self: DeadlineSocket, *args: Any, **more: Any) -> int:
        deadlines.bring_forward(ENDED_BY_A_DEADLINE)
        return recv_into(self, *args, **more)

    monkeypatch.setattr(faults, "DRIP_S", DRIP_S)
    monkeypatch.setattr(Transport, "send", foresee_and_send)
    monkeypatch.setattr(DeadlineSocket, "connect", foresee_and_connect)
    monkeypatch.setattr(DeadlineSSLSocket, "do_handshake", handshake_soon)
    monkeypatch.setattr(DeadlineSocket, "recv_into", receive_soon)
