"""Addresses that only take a POST."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.urls import reverse

from .htmx import lead_away

PostView = Callable[..., HttpResponseBase]


def post_only(page: str, *names: str) -> Callable[[PostView], PostView]:
    """Decorate a view that only takes a POST: a GET, as of a page that is loaded again, leads to where its form stands.

    page: the name of that address, such as "fleet:pbx-page". names: the arguments of the view that it takes.
    """

    def decorate(view: PostView) -> PostView:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method in ("GET", "HEAD"):
                return lead_away(request, reverse(page, args=[kwargs[name] for name in names]))
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            return view(request, *args, **kwargs)

        return guarded

    return decorate
