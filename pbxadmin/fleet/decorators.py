"""Decorators of views that talk to PBXs."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from pbxadmin.web.problems import problem

from .concurrency import TooManyWaiting, serving_page

RETRY_AFTER_S = 5

PbxView = Callable[..., HttpResponseBase]


def waits_for_pbx(view: PbxView) -> PbxView:
    """Decorate a view that may talk to a PBX. Answer 503 with Retry-After when too many pages wait."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with serving_page() as page:
            try:
                answer = view(request, *args, **kwargs)
            except TooManyWaiting as error:
                answer = problem(request, 503, "Busy", str(error))
        if page.was_refused:
            answer.headers["Retry-After"] = str(RETRY_AFTER_S)
        return answer

    return guarded
