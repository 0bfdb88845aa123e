"""How much this process does with PBXs at a time, and when it begins nothing more.

At most half of the web threads wait for PBXs; the rest answer whoever needs none.

A slot is held while a PBX is talked to, not while the page is served: a page that finds what it shows in the
database takes none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import BoundedSemaphore, Event

from django.conf import settings

TOO_MANY_WAITING = "Too many people wait for PBXs at this moment. Nothing was sent. Try again in a few seconds."
# This process was told to end: what is being sent or read is finished, and nothing more is begun.
ending = Event()
_waiting_slots = BoundedSemaphore(max(1, settings.WEB_THREADS // 2))


class TooManyWaiting(Exception):
    """Raised when too many pages wait for PBXs already. Nothing was sent; str() is the sentence to show."""

    def __init__(self) -> None:
        super().__init__(TOO_MANY_WAITING)


@dataclass
class ServedPage:
    """A page that this thread serves and that may wait for a PBX."""

    has_slot: bool = False
    was_refused: bool = False


_served_page: ContextVar[ServedPage | None] = ContextVar("served_page", default=None)


@contextmanager
def serving_page() -> Iterator[ServedPage]:
    """Limit the waiting for PBXs during the block, in which this thread serves a page."""
    page = ServedPage()
    token = _served_page.set(page)
    try:
        yield page
    finally:
        _served_page.reset(token)


@contextmanager
def waiting_slot() -> Iterator[None]:
    """Hold a slot among the pages that wait for PBXs during the block. Workers need none; a page takes one at most.

    Raises TooManyWaiting.
    """
    page = _served_page.get()
    if page is None or page.has_slot:
        yield
        return
    if not _waiting_slots.acquire(blocking=False):
        page.was_refused = True
        raise TooManyWaiting
    page.has_slot = True
    try:
        yield
    finally:
        page.has_slot = False
        _waiting_slots.release()
