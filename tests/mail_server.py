"""A mail server on loopback, for tests: it takes mails over SMTP, and refuses, delays or is silent as it is told."""

import asyncio
import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller


class MailServer:
    """`mails` lists what it took, in order. It refuses addresses for good, or the first time that it hears of them."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refused: set[str] = set()
        self.greylisted: set[str] = set()
        self.is_silent = False  # answers nothing to the content of a mail, and does not take it
        self.is_up = False
        self.asked = 0  # contents that came in, taken or not
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refused:
            return "550 5.1.1 Nobody of this name"
        if address in self.greylisted:
            self.greylisted.discard(address)
            return "451 4.7.1 Come again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.asked += 1
        if self.is_silent:
            while self.is_silent:
                await asyncio.sleep(0.02)
            return "451 4.3.0 Not taken"
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]

    def start(self) -> None:
        self.controller.start()
        self.is_up = True

    def stop(self) -> None:
        """Be down: connections are refused."""
        self.is_silent = False
        if self.is_up:
            self.controller.stop()
        self.is_up = False


def text_in_mail(mail: EmailMessage) -> str:
    """Everything that a mail says, in its subject and in both of its forms."""
    parts = [part.get_content() for part in mail.walk() if not part.is_multipart()]
    return "\n".join([str(mail["Subject"]), *parts])


@pytest.fixture
def mail_server(settings: Any) -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", server.port, 5
    settings.SITE_URL = "https://pbx.example.com"
    yield server
    server.stop()
