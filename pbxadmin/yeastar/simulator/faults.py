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
    CUT = "cut"  # closes in the middle of the body; where no length was announced, that is broken JSON and no more
    CUT_HEADERS = "cut-headers"
    SHORT = "short"  # announces the length of the body and sends half of it
    SILENT = "silent"
    ERRNO = "errno"
    PAYLOAD = "payload"
    HTTP_500 = "http-500"
    HTML = "html"
    EMPTY = "empty"
    TRAILING = "trailing"  # a Web page after the JSON
    KEEPS_OPEN = "keeps-open"  # sends everything, announces no length and does not close
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


@dataclass(frozen=True)
class Framing:
    """How the server of a PBX frames an answer. By default only the end of the connection ends the body, as with Boa.

    line_end: ends each line of the headers. tells_length: whether a Content-Length is announced. keeps: whether the
    connection stays open for the next request, unless that asks to close it; it takes a length.
    """

    protocol: str = "HTTP/1.1"
    line_end: str = "\r\n"
    tells_length: bool = False
    keeps: bool = False

    def http(
        self,
        body: bytes,
        *,
        status: str = "200 OK",
        kind: str = "application/json",
        length: int | None = None,
        more: Iterable[str] = (),
    ) -> bytes:
        """Return an answer with the headers of the real server. length: what to announce, right or wrong."""
        announced = len(body) if length is None and self.tells_length else length
        connection = f"Connection: {'keep-alive' if self.keeps else 'close'}"
        headers = ["Server: Boa/0.94.14rc21", "Accept-Ranges: bytes", connection, f"Content-Type: {kind}"]
        lines = [f"{self.protocol} {status}", *headers, *more]
        lines += [] if announced is None else [f"Content-Length: {announced}"]
        return (self.line_end.join(lines) + 2 * self.line_end).encode() + body

    def page(self, text: str, *, status: str = "200 OK", more: Iterable[str] = ()) -> bytes:
        return self.http(page(text), status=status, kind="text/html", more=more)


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


def huge(head: bytes) -> Pieces:
    yield head, 0.0
    for _ in range(MANY_BYTES // 65536):
        yield b"x" * 65536, 0.0


@cache
def gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * 1_048_576
    return b"".join(packer.compress(block) for _ in range(MANY_BYTES // len(block))) + packer.flush()


@dataclass(frozen=True)
class Due:
    """The correct JSON, the requested URL, and the order to send something else."""

    answer: bytes
    place: str
    order: Misbehaviour
    framing: Framing

    def http(self, body: bytes, **more: Any) -> bytes:
        return self.framing.http(body, **more)

    @property
    def whole(self) -> bytes:
        return self.http(self.answer)

    @property
    def half(self) -> bytes:
        return self.answer[: len(self.answer) // 2]

    @property
    def head(self) -> bytes:
        return self.http(b"", length=len(self.answer) if self.framing.tells_length else None)

    def redirect(self, status: str) -> bytes:
        return self.framing.page("moved", status=status, more=[f"Location: {self.place}"])


def pieces(due: Due) -> Pieces:
    """Return the bytes to send."""
    sent = ON_THE_WIRE[due.order.fault](due)
    return iter([(sent, 0.0)]) if isinstance(sent, bytes) else sent


ON_THE_WIRE: dict[Fault, Callable[[Due], bytes | Pieces]] = {
    Fault.NONE: lambda due: due.whole,
    Fault.OTHER_CERTIFICATE: lambda due: due.whole,
    Fault.CLOSE_ON_ACCEPT: lambda due: iter(()),
    Fault.CLOSE: lambda due: iter(()),
    Fault.SILENT_ON_ACCEPT: lambda due: silence(),
    Fault.SILENT: lambda due: silence(),
    Fault.HANDSHAKE_DRIP: lambda due: handshake_drip(),
    Fault.CUT: lambda due: due.http(due.half),
    Fault.CUT_HEADERS: lambda due: due.whole[:40],
    Fault.SHORT: lambda due: due.http(due.half, length=len(due.answer)),
    Fault.ERRNO: lambda due: due.http(payload_bytes({"status": "Failed", "errno": due.order.errno})),
    Fault.PAYLOAD: lambda due: due.http(payload_bytes(due.order.payload)),
    Fault.HTTP_500: lambda due: due.framing.page("Internal error", status="500 Internal Server Error"),
    Fault.HTML: lambda due: due.framing.page("Please sign in"),
    Fault.EMPTY: lambda due: due.http(b""),
    Fault.TRAILING: lambda due: due.http(due.answer + page("Good bye")),
    Fault.KEEPS_OPEN: lambda due: iter([(due.whole, FOR_LONG_S)]),
    Fault.DRIP_BODY: lambda due: drip(due.head, due.answer),
    Fault.DRIP_HEADERS: lambda due: drip(b"", due.whole),
    Fault.ENDLESS_HEADERS: lambda due: endless_headers(),
    Fault.ENDLESS_CONTINUE: lambda due: endless_continue(),
    Fault.HUGE: lambda due: huge(due.http(b'{"status":"Success","ivr":"')),
    Fault.GZIP_BOMB: lambda due: due.http(gzip_bomb(), more=["Content-Encoding: gzip"]),
    Fault.REDIRECT_302: lambda due: due.redirect("302 Found"),
    Fault.REDIRECT_307: lambda due: due.redirect("307 Temporary Redirect"),
    Fault.DOUBLED_KEYS: lambda due: due.http(b'{"status":"Failed",' + due.answer[1:]),
    Fault.NAN: lambda due: due.http(b'{"extra":NaN,' + due.answer[1:]),
    Fault.DEEP: lambda due: due.http(b'{"extra":' + b"[" * 100_000 + b"]" * 100_000 + b"," + due.answer[1:]),
}


def payload_bytes(payload: Any) -> bytes:
    """Return the payload as JSON. Bytes are returned unchanged."""
    if isinstance(payload, bytes):
        return payload
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
