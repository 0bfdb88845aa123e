"""At most half of the web threads wait for PBXs; the rest answer whoever needs none."""

from collections.abc import Callable
from functools import wraps
from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from pbxadmin.web.views import problem

RETRY_S = 5
_slots = BoundedSemaphore(max(1, settings.WEB_THREADS // 2))

View = Callable[..., HttpResponseBase]


def waits_for_pbx(view: View) -> View:
    """For a view that talks to a PBX: 503 with a time to come back when too many do so already."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not _slots.acquire(blocking=False):
            text = "Too many people wait for PBXs at this moment. Nothing was sent. Try again in a few seconds."
            answer = problem(request, 503, "Busy", text)
            answer.headers["Retry-After"] = str(RETRY_S)
            return answer
        try:
            return view(request, *args, **kwargs)
        finally:
            _slots.release()

    return guarded
