"""At most half of the web threads wait for PBXs; the rest answer whoever needs none.

A slot is held while a PBX is talked to, not while the page is served: a page that finds what it shows in the
database takes none.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from pbxadmin.web.views import problem

RETRY_S = 5
TOO_MANY_WAITING = "Too many people wait for PBXs at this moment. Nothing was sent. Try again in a few seconds."
_waiting_slots = BoundedSemaphore(max(1, settings.WEB_THREADS // 2))

View = Callable[..., HttpResponseBase]


class TooManyWaiting(Exception):
    """Raised when too many pages wait for PBXs already. Nothing was sent; str() is the sentence to show."""

    def __init__(self) -> None:
        super().__init__(TOO_MANY_WAITING)


@dataclass
class Page:
    """A page that is being served by this thread."""

    has_slot: bool = False
    was_refused: bool = False


_page: ContextVar[Page | None] = ContextVar("page_that_waits_for_pbx", default=None)


@contextmanager
def waiting_slot() -> Iterator[None]:
    """Hold a slot among the pages that wait for PBXs, during the block. Workers, and pages that hold one, need none.

    Raises TooManyWaiting.
    """
    page = _page.get()
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


def waits_for_pbx(view: View) -> View:
    """Decorate a view that may talk to a PBX. Answer 503 with Retry-After when too many pages wait."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        page = Page()
        token = _page.set(page)
        try:
            answer = view(request, *args, **kwargs)
        except TooManyWaiting as error:
            answer = problem(request, 503, "Busy", str(error))
        finally:
            _page.reset(token)
        if page.was_refused:
            answer.headers["Retry-After"] = str(RETRY_S)
        return answer

    return guarded
