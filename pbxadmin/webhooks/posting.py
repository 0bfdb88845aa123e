"""One POST to an endpoint: over TLS that the system trusts, to an address that the guard has checked.

It uses the connections of the PBX transport below `requests`, so that nothing follows a redirect, takes a proxy or a
cookie, or logs the address, whose path may be a secret. What an endpoint answers is read and thrown away, except its
status: a page that showed it would read for a customer what this server reaches and the customer does not.
"""

import re
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from socket import socket
from urllib.parse import urlsplit

from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from pbxadmin.yeastar.errors import PbxError, PbxForbidden
from pbxadmin.yeastar.guard import Networks
from pbxadmin.yeastar.transport import TlsProfile, TrustMode, connect_checked, exchanging, tls_context

POST_S = 10.0  # all of it, from the name to the last byte read
ANSWER_LIMIT = 64 * 1024
ASKS_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
LATEST_S = 24 * 3600
FORBIDDEN_ADDRESS = "This address is outside the networks that webhooks may reach (setting WEBHOOK_NETWORKS)."


@dataclass(frozen=True)
class PostResult:
    """What came of one POST. status: 0 when no answer came. words: for a person; they hold nothing of the answer.

    later_s: when the receiver wants to be asked again, 0 when it does not say.
    """

    status: int
    words: str
    later_s: int = 0

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver says that nothing is to be sent there any more, as Standard Webhooks has it."""
        return self.status == HTTPStatus.GONE


class GuardedHttps(HTTPSConnection):
    """A connection to an address that passed the guard. SNI and the name that is verified remain those of the host."""

    networks: Networks | None = None

    def _new_conn(self) -> socket:
        return connect_checked(self.host, self.port or 443, self.networks)


def post_checked(
    address: str, body: bytes, headers: Mapping[str, str], *, networks: Networks | None, seconds: float = POST_S
) -> PostResult:
    """Post a body to an https address and return what came of it. Raises nothing for what the other side does.

    networks: that it may connect to, None for the default of the guard. seconds: the whole may take.
    """
    parts = urlsplit(address)
    link = GuardedHttps(parts.hostname or "", parts.port or 443, ssl_context=tls_context(*TRUST))
    link.networks = networks
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with exchanging(time.monotonic() + seconds):
            link.request("POST", target, body, {**FIXED_HEADERS, **headers}, preload_content=False)
            answer = link.getresponse()
            throw_away(answer)
            later_s = retry_after(answer.headers.get("Retry-After", "")) if answer.status in ASKS_LATER else 0
            return PostResult(answer.status, status_words(answer.status), later_s)
    except Exception as error:  # any: its frames know the address, and callers expect a result
        return PostResult(0, no_answer_words(error, seconds))
    finally:
        link.close()


TRUST = (TrustMode.SYSTEM, TlsProfile.MODERN)
FIXED_HEADERS = {"Content-Type": "application/json", "User-Agent": "PBX-Admin", "Connection": "close"}


def throw_away(answer: BaseHTTPResponse) -> None:
    """Read an answer up to the limit, as far as it comes: its status has said what counts."""
    left = ANSWER_LIMIT
    with suppress(OSError, HTTPError, HTTPException):
        while left > 0 and (part := answer.read1(left, decode_content=False)):
            left -= len(part)


def retry_after(text: str) -> int:
    """Return the seconds that a Retry-After asks for, a day at most; 0 for what is neither seconds nor a date."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        seconds = float(text)
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0
    return int(max(0, min(seconds, LATEST_S)))


def status_words(status: int) -> str:
    """Say what an answer with this status means."""
    if 300 <= status < 400:
        return f"It answered {status}, a redirect. PBX Admin follows none: enter the address that it leads to."
    return f"It answered {status}."


def no_answer_words(error: Exception, seconds: float) -> str:
    """Say why no answer came. Nothing of the address is in it but host and port."""
    if isinstance(error, PbxForbidden):
        return FORBIDDEN_ADDRESS
    if isinstance(error, PbxError):
        return f"{str(error).split('. ')[0].rstrip('.')}."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"Its certificate could not be verified: {error.verify_message[:200].rstrip('.')}."
    if isinstance(error, TimeoutError):
        return f"It did not answer within {seconds:g} s."
    if isinstance(error, ssl.SSLError):
        return f"The TLS handshake failed ({(error.reason or 'no reason given').replace('_', ' ').lower()[:100]})."
    return f"The connection broke before an answer came ({type(error).__name__})."
