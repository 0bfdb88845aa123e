"""At most half of the web threads wait for PBXs; the rest answer whoever needs none.

A place is taken around the talking, not around the page: a page that finds what it shows in the database takes none.
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
FULL = "Too many people wait for PBXs at this moment. Nothing was sent. Try again in a few seconds."
_slots = BoundedSemaphore(max(1, settings.WEB_THREADS // 2))

View = Callable[..., HttpResponseBase]


class HouseFull(Exception):
    """So many pages wait for PBXs that this one is not let in. Nothing was sent, as str() says."""

    def __init__(self) -> None:
        super().__init__(FULL)


@dataclass
class Page:
    """A page that is being served by this thread."""

    has_place: bool = False
    was_refused: bool = False


_page: ContextVar[Page | None] = ContextVar("page_that_waits_for_pbx", default=None)


@contextmanager
def place() -> Iterator[None]:
    """A place among the pages that wait for PBXs, during the block. A worker needs none, nor does who has one.

    Raises HouseFull.
    """
    page = _page.get()
    if page is None or page.has_place:
        yield
        return
    if not _slots.acquire(blocking=False):
        page.was_refused = True
        raise HouseFull
    page.has_place = True
    try:
        yield
    finally:
        page.has_place = False
        _slots.release()


def waits_for_pbx(view: View) -> View:
    """For a view that may talk to a PBX. When the house is full: 503 with a time to come back."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        page = Page()
        token = _page.set(page)
        try:
            answer = view(request, *args, **kwargs)
        except HouseFull as full:
            answer = problem(request, 503, "Busy", str(full))
        finally:
            _page.reset(token)
        if page.was_refused:
            answer.headers["Retry-After"] = str(RETRY_S)
        return answer

    return guarded
