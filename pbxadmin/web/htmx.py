"""Answering both a browser that wants a page and HTMX that wants a part of one."""

from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme

WHOLE_PAGE = "page"  # the id of <body>, where HTMX puts what HX-Location leads to
HTMX_HEADERS = ("HX-Request", "HX-Boosted", "HX-History-Restore-Request")


def wants_fragment(request: HttpRequest) -> bool:
    """Boosted links, Back-button restores and HX-Location (which fills the whole page) need whole pages too."""
    asked, boosted, restoring = (request.headers.get(header) == "true" for header in HTMX_HEADERS)
    return asked and not boosted and not restoring and request.headers.get("HX-Target") != WHOLE_PAGE


def render_either(
    request: HttpRequest, page: str, fragment: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """The page, which includes the fragment, or the fragment alone for HTMX."""
    answer = render(request, fragment if wants_fragment(request) else page, context, status=status)
    patch_vary_headers(answer, (*HTMX_HEADERS, "HX-Target"))
    return answer


def go(request: HttpRequest, url: str) -> HttpResponse:
    """On to one of our own pages after a good POST. HTMX goes there without a new page load."""
    if not wants_fragment(request):
        return HttpResponseRedirect(url)
    return HttpResponse(status=204, headers={"HX-Location": url})


def lead_away(request: HttpRequest, url: str) -> HttpResponse:
    """To one of our pages that takes the place of whatever was asked for; HTMX loads it anew."""
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def is_own_path(url: str) -> bool:
    """A path on this site, spelled so that no browser takes it for another one."""
    is_plain = url.startswith("/") and not url.startswith("//") and "\\" not in url and url.isprintable()
    return is_plain and url_has_allowed_host_and_scheme(url, allowed_hosts=None)


def page_of(request: HttpRequest, header: str) -> str:
    """The page that the person was on, as the browser or HTMX tells it; only ever one of ours."""
    told = request.headers.get(header, "")
    try:
        parts = urlsplit(told)
    except ValueError:
        return "/"
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    is_ours = url_has_allowed_host_and_scheme(told, allowed_hosts={request.get_host()})
    return path if is_ours and is_own_path(path) else "/"
