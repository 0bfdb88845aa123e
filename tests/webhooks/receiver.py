"""A receiver of webhooks on loopback, over real TLS, that verifies what comes as the documentation tells to."""

import json
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from standardwebhooks import Webhook as StandardWebhook

from tests.yeastar.servers import RawServer, http, read_request


@dataclass(frozen=True)
class Received:
    """One message as it came in."""

    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> Any:
        return json.loads(self.body)

    @property
    def condition(self) -> str:
        return str(self.said["data"]["condition"])

    def verify(self, secret: str) -> Any:
        return StandardWebhook(secret).verify(self.body, self.headers)


def taken(message: Received) -> int:
    return 204


class Receiver(RawServer):
    """`received` lists what came in, in order. `answer` returns the status for each. is_silent: it answers none.

    headers: of each answer. answered: how many were given.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(tls=tls)
        self.received: list[Received] = []
        self.answered = 0
        self.answer: Callable[[Received], int] = taken
        self.is_silent = False
        self.headers = ["Location: https://127.0.0.1:9/"]
        self.server_names: list[str | None] = []
        tls.sni_callback = lambda link, name, context: self.server_names.append(name)

    def talk(self, link: socket.socket) -> None:
        with link:
            head, _, body = read_request(link).partition(b"\r\n\r\n")
            lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
            message = Received({name.lower(): value for name, value in lines}, body.decode())
            self.received.append(message)
            while self.is_silent:
                time.sleep(0.02)
            link.sendall(http(b"", status=f"{self.answer(message)} So", headers=self.headers))
            self.answered += 1

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.received]

    @property
    def conditions(self) -> list[str]:
        return [message.condition for message in self.received]
