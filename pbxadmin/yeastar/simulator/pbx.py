"""A simulated PBX that listens on a port of 127.0.0.1 and counts what it receives."""

import asyncio
import json
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from .device import Device, Fields
from .faults import AS_ASKED, ON_ACCEPT, Due, Fault, Framing, Misbehaviour, Stores, due, payload_bytes, pieces

HOST = "127.0.0.1"
WELL = "well"
LONGEST_S = 90.0
HEAD_LIMIT = 65536
REQUEST_LIMIT = 1_048_576


class Received(NamedTuple):
    call: str
    body: Any


@dataclass(frozen=True)
class Request:
    """A request. has_length: whether it announced the length of its body, as the server requires of a POST.

    is_last: whether it asks to close the connection.
    """

    method: str
    target: str
    body: bytes
    has_length: bool
    is_last: bool

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.target).query).get("token", [""])[0]

    @property
    def place(self) -> tuple[str, str] | None:
        """Return version and call, or None for a path that is not below /api/."""
        top, _, rest = urlsplit(self.target).path.removeprefix("/").partition("/")
        version, _, call = rest.partition("/")
        return (version, call) if top == "api" and call else None


@dataclass(frozen=True)
class Certificates:
    """TLS contexts: with the certificate of the PBX, and with another certificate."""

    own: ssl.SSLContext
    other: ssl.SSLContext


class SimulatedPbx(Device):
    """A PBX of a fleet.

    received: each call that could be read, in order, with its body. connections: number of accepted connections.
    bytes_received: bytes of HTTP, without TLS. max_in_flight: the highest number of calls in progress at one time.

    switch: how it behaves, of the SWITCHES of controls.py, for a fleet that takes orders.
    latency_s: delay of each answer. one_at_a_time: whether it answers 20010 to a call that comes during another.
    framing: how answers are framed. unknown_is_404: whether an API version that it lacks is a 404 page, not 10003.
    """

    def __init__(self, name: str = "PBX", ivrs: Mapping[str, Fields] | None = None) -> None:
        super().__init__(name, ivrs)
        self.scheme = "https"
        self.port = 0
        self.fingerprint = ""
        self.switch = WELL
        self.latency_s = 0.0
        self.one_at_a_time = False
        self.framing = Framing()
        self.unknown_is_404 = False
        self.received: list[Received] = []
        self.connections = 0
        self.bytes_received = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.orders: list[Misbehaviour] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.listener: socket.socket | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{HOST}:{self.port}"

    def calls(self) -> list[str]:
        return [received.call for received in self.received]

    def count(self, call: str) -> int:
        return Counter(self.calls())[call]

    def misbehave(
        self,
        fault: Fault = Fault.NONE,
        *,
        call: str | None = None,
        times: int = 1,
        after: int = 0,
        stores: Stores = AS_ASKED,
        errno: str = "30001",
        payload: Any = None,
        before: Callable[[], None] = lambda: None,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Misbehave at `times` matching calls, after `after` calls without a fault. The first order that is due holds.

        call: for example "ivr/update"; None matches any. Faults before the request is read count connections instead.
        stores: what an update applies: AS_ASKED, NOTHING, only("ivrname"), instead(responsetimeout="10").
        errno, payload: for Fault.ERRNO and Fault.PAYLOAD.
        before, then: called just before and just after the call is carried out, to simulate edits by somebody else.
        """
        self.orders.append(Misbehaviour(fault, call, times, after, stores, errno, payload, before, then))

    def behave(self) -> None:
        self.orders.clear()

    # The methods below run in the event loop of the fleet.

    def open(self, certificates: Certificates) -> None:
        """Start to listen, on the previous port of this PBX if it is still free."""
        self.listener = listener(self.port)
        self.port = self.listener.getsockname()[1]
        self.listen(self.listener, certificates)

    def listen(self, listener: socket.socket, certificates: Certificates) -> None:
        if listener is self.listener:
            asyncio.get_running_loop().add_reader(listener, self.accept, listener, certificates)

    def close(self) -> None:
        """Stop listening and drop open connections. The port then refuses connections."""
        for task in list(self.tasks):
            task.cancel()
        if self.listener:
            asyncio.get_running_loop().remove_reader(self.listener)
            self.listener.close()
            self.listener = None

    def accept(self, listener: socket.socket, certificates: Certificates) -> None:
        loop = asyncio.get_running_loop()
        try:
            link, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError:  # no file descriptor left for a moment
            loop.remove_reader(listener)
            loop.call_later(0.05, self.listen, listener, certificates)
            return
        link.setblocking(False)
        task = loop.create_task(self.connection(link, certificates))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(lambda _: link.close())  # also when the task is cancelled before it starts

    async def connection(self, link: socket.socket, certificates: Certificates) -> None:
        self.connections += 1
        order = due(self.orders, None)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            async with asyncio.timeout(LONGEST_S):
                if order.fault in ON_ACCEPT and order.fault is not Fault.OTHER_CERTIFICATE:
                    await self.play_raw(link, order)
                else:
                    is_other = order.fault is Fault.OTHER_CERTIFICATE
                    await self.talk(link, certificates.other if is_other else certificates.own)

    async def play_raw(self, link: socket.socket, order: Misbehaviour) -> None:
        loop = asyncio.get_running_loop()
        for piece, pause_s in pieces(Due(b"", "", order, self.framing)):
            await loop.sock_sendall(link, piece)
            await asyncio.sleep(pause_s)

    async def talk(self, link: socket.socket, certificate: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(HEAD_LIMIT)
        protocol = asyncio.StreamReaderProtocol(reader)
        tls = certificate if self.scheme == "https" else None
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, link, ssl=tls, ssl_shutdown_timeout=1.0 if tls else None
        )
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            is_last = False
            while not is_last:
                request = await self.read(reader)
                is_usual = await self.respond(request, writer)
                is_last = request.is_last or not self.framing.keeps or not is_usual
            writer.close()
            await writer.wait_closed()
        finally:
            transport.abort()

    async def read(self, reader: asyncio.StreamReader) -> Request:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.bytes_received += len(head)
            lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body = await reader.readexactly(min(int(headers.get("content-length", "0")), REQUEST_LIMIT))
            self.bytes_received += len(body)
        except asyncio.IncompleteReadError as error:
            self.bytes_received += len(error.partial)
            raise
        method, target, _ = lines[0].split(" ", 2)
        is_last = headers.get("connection", "").lower() == "close"
        return Request(method, target, body, "content-length" in headers, is_last)

    async def respond(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer a request. Return whether that went without a fault."""
        found = self.page_for(request)
        if found:
            writer.write(found)
            return True
        version, call = request.place or ("", "")
        self.received.append(Received(call, read_body(request.body)))
        if self.one_at_a_time and self.in_flight:
            self.max_in_flight = max(self.max_in_flight, self.in_flight + 1)
            writer.write(self.framing.http(payload_bytes({"status": "Failed", "errno": "20010"})))
            return True
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            order = due(self.orders, call)
            await self.think()
            answer = payload_bytes(self.work(request, version, call, order))
        finally:
            self.in_flight -= 1
        for piece, pause_s in pieces(Due(answer, request.target, order, self.framing)):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return order.fault is Fault.NONE

    def page_for(self, request: Request) -> bytes:
        """Return the Web page that answers a request which is no call of the API, b"" for a call."""
        if request.method == "POST" and not request.has_length:
            return self.framing.page("Bad Request", status="400 Bad Request")
        if request.place is None:
            return self.framing.page(f"{self.name}, a simulated PBX. This is where its own pages would be.")
        if self.unknown_is_404 and request.place[0] not in self.versions:
            return self.framing.page("Not Found", status="404 Not Found")
        return b""

    async def think(self) -> None:
        await asyncio.sleep(self.latency_s)

    def work(self, request: Request, version: str, call: str, order: Misbehaviour) -> dict[str, Any]:
        if request.method != "POST":
            return {"status": "Failed", "errno": "20001"}
        order.before()
        answer = self.answer(version, call, request.token, request.body, order.stores)
        order.then()
        return answer


def listener(port: int) -> socket.socket:
    """Return a listening socket on this port, or on any free port if it is 0 or taken."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setblocking(False)
    try:
        found.bind((HOST, port))
    except OSError:
        found.bind((HOST, 0))
    found.listen(128)
    return found


def read_body(body: bytes) -> Any:
    """Return the JSON of a body, or its bytes if it is not JSON, for tests to inspect."""
    try:
        return json.loads(body) if body else {}
    except ValueError:
        return body
