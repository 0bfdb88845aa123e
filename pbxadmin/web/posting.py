"""Addresses that only take a POST."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.urls import reverse

from .htmx import lead_away

PostView = Callable[..., HttpResponseBase]


def post_only(page: str | Callable[..., str], *names: str) -> Callable[[PostView], PostView]:
    """Decorate a view that only takes a POST: a GET, as of a page that is loaded again, leads to where its form stands.

    page: the name of that address, such as "fleet:pbx-page"; or where it depends on who asks, a function that takes the
    arguments of the view and returns the address. names: the arguments of the view that a named address takes.
    """

    def address_of(request: HttpRequest, **kwargs: Any) -> str:
        return page(request, **kwargs) if callable(page) else reverse(page, args=[kwargs[name] for name in names])

    def decorate(view: PostView) -> PostView:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method in ("GET", "HEAD"):
                return lead_away(request, address_of(request, **kwargs))
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            return view(request, *args, **kwargs)

        return guarded

    return decorate
