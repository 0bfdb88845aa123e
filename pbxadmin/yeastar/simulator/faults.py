"""Faults of a simulated PBX: what it stores, and what it sends instead of an answer.

Every fault ends by itself, after a bounded time or number of bytes, and at once when the fleet stops.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from .device import Fields

ALWAYS = 1_000_000_000
FOR_LONG_S = 60.0
DRIP_S = 0.05
MANY_BYTES = 64 * 1024 * 1024

# Bytes to send, each piece with the pause after it in seconds.
Pieces = Iterator[tuple[bytes, float]]


class Fault(StrEnum):
    NONE = "none"  # answers correctly; used with `stores`, `before` or `then`
    # Before a request is read: these match no call, and `after` counts connections.
    CLOSE_ON_ACCEPT = "close-on-accept"
    SILENT_ON_ACCEPT = "silent-on-accept"
    HANDSHAKE_DRIP = "handshake-drip"
    OTHER_CERTIFICATE = "other-certificate"
    # Instead of the answer. The call has been carried out by then, unless it stores NOTHING.
    CLOSE = "close"
    CUT = "cut"  # closes in the middle of the body
    SILENT = "silent"
    ERRNO = "errno"
    PAYLOAD = "payload"
    HTTP_500 = "http-500"
    HTML = "html"
    TRUNCATED = "truncated"  # sends half of the JSON as a complete body
    EMPTY = "empty"
    DRIP_BODY = "drip-body"
    DRIP_HEADERS = "drip-headers"
    ENDLESS_HEADERS = "endless-headers"
    ENDLESS_CONTINUE = "endless-continue"
    HUGE = "huge"
    GZIP_BOMB = "gzip-bomb"
    REDIRECT_302 = "redirect-302"
    REDIRECT_307 = "redirect-307"
    DOUBLED_KEYS = "doubled-keys"
    NAN = "nan"
    DEEP = "deep"


ON_ACCEPT = frozenset({Fault.CLOSE_ON_ACCEPT, Fault.SILENT_ON_ACCEPT, Fault.HANDSHAKE_DRIP, Fault.OTHER_CERTIFICATE})

# Returns the fields of an update that are applied.
Stores = Callable[[Fields], Fields]
AS_ASKED: Stores = dict


def NOTHING(asked: Fields) -> Fields:
    return {}


def only(*keys: str) -> Stores:
    """Return a rule that applies only these fields of an update."""
    return lambda asked: {key: value for key, value in asked.items() if key in keys}


def instead(**fields: str) -> Stores:
    """Return a rule that applies an update with other values for these fields."""
    return lambda asked: asked | fields


@dataclass
class Misbehaviour:
    """An order to misbehave. It skips `after` matching calls and then holds for `times` calls."""

    fault: Fault
    call: str | None
    times: int
    after: int
    stores: Stores
    errno: str
    payload: Any
    before: Callable[[], None]
    then: Callable[[], None]

    def matches(self, call: str | None) -> bool:
        """Return whether this order concerns an incoming call, or an incoming connection for None."""
        if self.fault in ON_ACCEPT:
            return call is None
        return call is not None and self.call in (None, call)


USUAL = Misbehaviour(Fault.NONE, None, 0, 0, AS_ASKED, "", None, lambda: None, lambda: None)


def due(orders: Iterable[Misbehaviour], call: str | None) -> Misbehaviour:
    """Return the first order that holds for this call, or USUAL. Counts down its times and the skips of all."""
    found = USUAL
    for order in orders:
        if not order.matches(call) or not order.times:
            continue
        if order.after:
            order.after -= 1
        elif found is USUAL:
            order.times -= 1
            found = order
    return found


def http(
    body: bytes, *, status: str = "200 OK", kind: str = "application/json", length: int = -1, more: str = ""
) -> bytes:
    """Return a complete HTTP answer with the headers of the real server."""
    head = (
        f"HTTP/1.1 {status}\r\nServer: Boa/0.94.14rc21\r\nAccept-Ranges: bytes\r\nConnection: close\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body) if length < 0 else length}\r\n{more}\r\n"
    )
    return head.encode() + body


def page(text: str) -> bytes:
    return f"<!doctype html><html><head><title>S-Series</title></head><body>{text}</body></html>".encode()


def drip(head: bytes, rest: bytes) -> Pieces:
    yield head, 0.0
    for position in range(len(rest)):
        yield rest[position : position + 1], DRIP_S


def silence() -> Pieces:
    yield b"", FOR_LONG_S


def handshake_drip() -> Pieces:
    """Return the slow start of a TLS record that is never completed."""
    return drip(b"", b"\x16\x03\x03\x3f\xff" + bytes(2000))


def endless_headers() -> Pieces:
    yield b"HTTP/1.1 200 OK\r\n", 0.0
    for position in range(MANY_BYTES // 40):
        yield b"X-Header-%08d: and one more, again\r\n" % position, 0.0 if position % 200 else DRIP_S


def endless_continue() -> Pieces:
    for _ in range(MANY_BYTES // 25):
        yield b"HTTP/1.1 100 Continue\r\n\r\n", DRIP_S


def huge() -> Pieces:
    yield http(b'{"status":"Success","ivr":"', length=MANY_BYTES), 0.0
    for _ in range(MANY_BYTES // 65536):
        yield b"x" * 65536, 0.0


@cache
def gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * 1_048_576
    body = b"".join(packer.compress(block) for _ in range(MANY_BYTES // len(block)))
    return http(body + packer.flush(), more="Content-Encoding: gzip\r\n")


def redirect(status: str, place: str) -> bytes:
    return http(page("moved"), status=status, kind="text/html", more=f"Location: {place}\r\n")


@dataclass(frozen=True)
class Due:
    """A correct answer, and the order to send something else."""

    answer: bytes
    place: str
    order: Misbehaviour


def pieces(answer: bytes, place: str, order: Misbehaviour) -> Pieces:
    """Return the bytes to send. answer: the correct JSON. place: the requested URL."""
    sent = ON_THE_WIRE[order.fault](Due(answer, place, order))
    return iter([(sent, 0.0)]) if isinstance(sent, bytes) else sent


ON_THE_WIRE: dict[Fault, Callable[[Due], bytes | Pieces]] = {
    Fault.NONE: lambda due: http(due.answer),
    Fault.OTHER_CERTIFICATE: lambda due: http(due.answer),
    Fault.CLOSE_ON_ACCEPT: lambda due: iter(()),
    Fault.CLOSE: lambda due: iter(()),
    Fault.SILENT_ON_ACCEPT: lambda due: silence(),
    Fault.SILENT: lambda due: silence(),
    Fault.HANDSHAKE_DRIP: lambda due: handshake_drip(),
    Fault.CUT: lambda due: http(due.answer[: len(due.answer) // 2], length=len(due.answer)),
    Fault.ERRNO: lambda due: http(payload_bytes({"status": "Failed", "errno": due.order.errno})),
    Fault.PAYLOAD: lambda due: http(payload_bytes(due.order.payload)),
    Fault.HTTP_500: lambda due: http(page("Internal error"), status="500 Internal Server Error", kind="text/html"),
    Fault.HTML: lambda due: http(page("Please sign in"), kind="text/html"),
    Fault.TRUNCATED: lambda due: http(due.answer[: len(due.answer) // 2]),
    Fault.EMPTY: lambda due: http(b""),
    Fault.DRIP_BODY: lambda due: drip(http(b"", length=len(due.answer)), due.answer),
    Fault.DRIP_HEADERS: lambda due: drip(b"", http(due.answer)),
    Fault.ENDLESS_HEADERS: lambda due: endless_headers(),
    Fault.ENDLESS_CONTINUE: lambda due: endless_continue(),
    Fault.HUGE: lambda due: huge(),
    Fault.GZIP_BOMB: lambda due: gzip_bomb(),
    Fault.REDIRECT_302: lambda due: redirect("302 Found", due.place),
    Fault.REDIRECT_307: lambda due: redirect("307 Temporary Redirect", due.place),
    Fault.DOUBLED_KEYS: lambda due: http(b'{"status":"Failed",' + due.answer[1:]),
    Fault.NAN: lambda due: http(b'{"extra":NaN,' + due.answer[1:]),
    Fault.DEEP: lambda due: http(b'{"extra":' + b"[" * 100_000 + b"]" * 100_000 + b"," + due.answer[1:]),
}


def payload_bytes(payload: Any) -> bytes:
    """Return the payload as JSON. Bytes are returned unchanged."""
    if isinstance(payload, bytes):
        return payload
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
