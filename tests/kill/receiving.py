"""A syslog server on loopback that keeps what each connection brought: octet-counted messages (RFC 6587)."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

from tests.waiting import LIMIT_S, until


class SyslogServer:
    """Takes connections one after the other until it is closed.

    breaks: so many connections are reset once their first message is there. turns_away: so many are closed at once.
    keeps_open: it never closes by itself.
    """

    def __init__(self, port: int = 0, context: ssl.SSLContext | None = None) -> None:
        self.listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listening.getsockname()[1]
        self.context = context
        self.breaks, self.turns_away, self.keeps_open = 0, 0, False
        self.came: list[bytearray] = []
        self.open = 0
        self.kept: list[socket.socket] = []
        self.thread = threading.Thread(target=self.take)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        for link in (self.listening, *self.kept):
            link.close()

    def take(self) -> None:
        with suppress(OSError):
            while True:
                link = self.listening.accept()[0]
                self.open = 1
                with (
                    suppress(OSError),
                    self.context.wrap_socket(link, server_side=True) if self.context else link as its,
                ):
                    self.read(its)
                self.open = 0

    def read(self, link: socket.socket) -> None:
        if self.turns_away:
            self.turns_away -= 1
            return
        link.settimeout(LIMIT_S)
        self.came.append(came := bytearray())
        while data := link.recv(65_536):
            came += data
            if self.breaks and b" " in came:
                self.breaks -= 1
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                link.close()
                return
        if self.keeps_open:
            self.kept.append(link.dup())
        elif isinstance(link, ssl.SSLSocket):
            link.unwrap()

    def messages(self) -> list[bytes]:
        """The whole messages of all connections, once the last one has ended."""
        until(lambda: not self.open)
        return [message for came in self.came for message in messages_in(bytes(came))]


def messages_in(came: bytes) -> list[bytes]:
    """The whole messages of one connection."""
    return list(counted_messages(came))


def counted_messages(came: bytes) -> Iterator[bytes]:
    while b" " in came:
        length, _, rest = came.partition(b" ")
        if len(rest) < int(length):
            return
        yield rest[: int(length)]
        came = rest[int(length) :]
