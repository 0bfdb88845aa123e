"""Where lines go: a file, or a syslog server over TCP or TLS. Each way knows which event it took last.

A process may be killed between giving an event away and writing down that it did. So who goes on asks the way first:
a file holds its own lines; a syslog server says nothing, so each event that was handed to the kernel is noted in a
small file of this machine, without waiting for the disk, which `kill -9` does not undo.
"""

import fcntl
import hashlib
import os
import socket
import ssl
import stat
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from django.conf import settings

from pbxadmin.audit.checkpoints import sync_folder
from pbxadmin.audit.models import Event
from pbxadmin.audit.tail import tail_of, torn_cut

from .lines import SINK_LINES, SentPlace, is_torn_of_ours, place_in, severity_of

TIMEOUT_S = 5.0  # of each step of a connection
BATCH_S = 20.0  # of all events that are sent at a time
TICKETS_S = 0.1  # for what a server sends after a handshake: so long at least, and as long as that took
LOG_AUDIT = 13  # facility of RFC 5424
COPIES = 5  # rotated files that are looked into, newest first


class SinkError(Exception):
    """A reason in words why events cannot be given away."""


class SinkWay(Protocol):
    """How events go to one address."""

    def reached(self) -> SentPlace | None:
        """Return the last event that was given away by this machine, as far as it knows. Repair what was torn."""

    def send(self, events: Sequence[Event]) -> None:
        """Give events of one chain away, in order. Raises SinkError or OSError; `reached` then says how far it came."""


@dataclass(frozen=True)
class SinkAddress:
    """Where events go, from EVENT_SINK. name: the address without its options. form: a key of SINK_LINES.

    path: of the file. ca: a file of certificates that the server's has to come from; "" for those of the system.
    """

    name: str
    scheme: str
    form: str
    path: str = ""
    host: str = ""
    port: int = 0
    ca: str = ""

    @property
    def note(self) -> Path:
        """Return the file that says what was handed to a syslog server. Of another address it is another file."""
        return Path(settings.DATA_DIR) / f"event-sink-{hashlib.sha256(self.name.encode()).hexdigest()[:12]}"


def sink_address() -> SinkAddress | None:
    """Return where events of this installation go; None for nowhere."""
    return SinkAddress(**settings.EVENT_SINK) if settings.EVENT_SINK else None


def way_to(address: SinkAddress) -> SinkWay:
    return FileWay(address) if address.scheme == "file" else SyslogWay(address)


@contextmanager
def line_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file of lines for its owner alone, made when it is not there. Raises SinkError for what is no file."""
    is_new = not path.exists()
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o600), "r+b", 0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise SinkError(f"{path} is no file.")
        if is_new:
            sync_folder(path.parent)
        yield file


def last_place(file: BinaryIO) -> SentPlace | None:
    """Return what the last whole line states. Cut off what a dead process left of a line; never what is not ours."""
    line, torn = tail_of(file)
    if torn and not is_torn_of_ours(torn):
        raise SinkError(f"{file.name} ends in the middle of a line that PBX Admin did not write.")
    if torn:
        torn_cut(file, torn)
    return place_in(line)


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write in as many steps as the system needs. When the disk is full, what is there of a line is cut off later."""
    left = memoryview(data)
    while left:
        left = left[os.write(file.fileno(), left) :]


class FileWay:
    """A file. It is opened anew each time, so that one that logrotate put aside is not written to any more."""

    def __init__(self, address: SinkAddress) -> None:
        self.path = Path(address.path)
        self.line = SINK_LINES[address.form]

    def reached(self) -> SentPlace | None:
        """Return the place of the last line, in the file or, where it is new, in the one that it was before."""
        with line_file(self.path) as file:
            if os.fstat(file.fileno()).st_size:
                return last_place(file)
        return next(filter(None, map(copy_place, self.copies())), None)

    def copies(self) -> list[Path]:
        """Return the files that logrotate put beside it, newest first."""
        beside = [
            one
            for one in self.path.parent.iterdir()
            if one.name.startswith((f"{self.path.name}.", f"{self.path.name}-"))
        ]
        return sorted(filter(Path.is_file, beside), key=lambda one: one.stat().st_mtime, reverse=True)[:COPIES]

    def send(self, events: Sequence[Event]) -> None:
        with line_file(self.path) as file:
            write_all(file, b"".join(self.line(event) + b"\n" for event in events))
            os.fsync(file.fileno())


def copy_place(path: Path) -> SentPlace | None:
    """Return the last place of a rotated file; None of one that is packed, unreadable or not ours."""
    with suppress(OSError, SinkError), path.open("r+b") as file:
        return last_place(file)
    return None


class SyslogWay:
    """A syslog server: RFC 5424, each message with its length before it (RFC 6587), over TCP or TLS (RFC 5425).

    A connection is for one batch. It ends with our end and the server's: a server that has closed it without an error
    has read all of it. If it breaks, nobody knows what was read, and the whole batch is sent again.
    """

    def __init__(self, address: SinkAddress) -> None:
        self.address = address
        self.line = SINK_LINES[address.form]
        self.host = socket.gethostname()[:255] or "-"

    def reached(self) -> SentPlace | None:
        with line_file(self.address.note) as note:
            line, torn = tail_of(note)
            if torn:
                torn_cut(note, torn)
        return place_noted(line)

    def send(self, events: Sequence[Event]) -> None:
        until = time.monotonic() + BATCH_S
        with line_file(self.address.note) as note:
            note.truncate(0)
            try:
                with self.connection() as link:
                    for event in events:
                        if time.monotonic() > until:
                            raise SinkError(f"The server took fewer than {len(events)} events in {BATCH_S:g} s.")
                        drain(link)
                        link.sendall(self.frame(event))
                        os.write(note.fileno(), f"{event.chain} {event.sequence} {event.hash}\n".encode())
                    link_end(link)
            except BaseException:
                note.truncate(0)
                raise

    def connection(self) -> socket.socket:
        """Connect, over TLS with the server's certificate and name checked. Raises OSError."""
        link = socket.create_connection((self.address.host, self.address.port), TIMEOUT_S)
        if self.address.scheme == "syslog+tcp":
            return link
        began = time.monotonic()
        try:
            context = ssl.create_default_context(cafile=self.address.ca or None)
            link = context.wrap_socket(link, server_hostname=self.address.host)
            drain(link, max(TICKETS_S, time.monotonic() - began))
        except BaseException:
            link.close()
            raise
        return link

    def frame(self, event: Event) -> bytes:
        said = " ".join(
            (
                f"<{LOG_AUDIT * 8 + syslog_severity(severity_of(event))}>1",
                event.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                f"{self.host} pbxadmin - {message_id(event.action)} - ",
            )
        )
        message = said.encode() + self.line(event)
        return str(len(message)).encode() + b" " + message


def place_noted(line: bytes) -> SentPlace | None:
    words = line.decode().split(" ")
    return SentPlace(words[0], int(words[1]), words[2]) if len(words) == 3 else None


def drain(link: socket.socket, seconds: float = 0) -> None:
    """Take what the server says by itself, such as the session tickets of TLS. Raises SinkError when it closed.

    When a process dies with something unread, its system throws away what it has not sent yet, although it took it.
    """
    link.settimeout(seconds)
    try:
        if not link.recv(4096):
            raise SinkError("The server closed the connection.")
    except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
        pass
    finally:
        link.settimeout(TIMEOUT_S)


def link_end(link: socket.socket) -> None:
    """Say that nothing more comes, and wait until the server has closed the connection. Raises OSError otherwise.

    A server that keeps it open must at least have everything in its system, which acknowledges what comes.
    """
    try:
        if isinstance(link, ssl.SSLSocket):
            with suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):  # it closed without saying so in TLS
                link.unwrap()
        link.shutdown(socket.SHUT_WR)
        while link.recv(4096):
            pass
    except TimeoutError:
        if unacknowledged(link):
            raise


def unacknowledged(link: socket.socket) -> int:
    """Return how many bytes that we sent the other system has not acknowledged."""
    waiting = fcntl.ioctl(link.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    return int.from_bytes(waiting, sys.byteorder)


def syslog_severity(severity: int) -> int:
    """Return the severity of RFC 5424 for one from 0 to 10: notice, warning, error or critical."""
    return 5 if severity < 4 else 4 if severity < 7 else 3 if severity < 9 else 2


def message_id(action: str) -> str:
    """Return an action as a name of RFC 5424; "-" for one that the log does not know."""
    return action[:32] if action.isascii() and action.isprintable() and action and " " not in action else "-"
