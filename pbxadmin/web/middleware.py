"""Middleware of every response: sign-in inside HTMX, and privacy of pages that show data."""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers

from .htmx import page_of
from .site import site_address
from .views import foreign_form

GetResponse = Callable[[HttpRequest], HttpResponseBase]
COMPRESSED = ("application/zip",)
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
TOO_LATE = "You were signed out, so nothing was done. Please enter it again."


def head_as_get(get_response: GetResponse) -> GetResponse:
    """Answer HEAD wherever GET is answered, with the same headers and without a body.

    Stands above everything: what is below makes the headers of a body, such as its length when it is compressed.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method != "HEAD":
            return get_response(request)
        request.method = "GET"
        answer = get_response(request)
        if isinstance(answer, StreamingHttpResponse):
            answer.streaming_content = ()
        elif isinstance(answer, HttpResponse):
            answer.content = b""
        return answer

    return middleware


def fragment_answers(get_response: GetResponse) -> GetResponse:
    """Redirect to sign-in after an expired session, and from there back to the page that the user was on.

    HTMX loads the whole sign-in page, never a fragment of it. A form that came too late is not sent again, and the user
    is told. The redirect does not lead to the form's own address, which may accept only POST.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        answer = get_response(request)
        if not leads_to_sign_in(answer):
            return answer
        if request.method == "POST":
            messages.warning(request, TOO_LATE)
        if request.headers.get("HX-Request") == "true":
            return HttpResponse(status=204, headers={"HX-Redirect": sign_in_from(request, "HX-Current-URL")})
        if request.method == "POST" and "Referer" in request.headers:
            answer.headers["Location"] = sign_in_from(request, "Referer")
        return answer

    return middleware


def forms_of_this_site(get_response: GetResponse) -> GetResponse:
    """Refuse a form from a page of another origin, even of one that a proxy passes as Host, which Django would take.

    Cookies know no ports: what else runs on this host can set ours, and the origin alone tells its forms from our own.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        is_foreign = request.headers.get("Origin", site_address(request)) != site_address(request)
        return foreign_form(request) if is_foreign and request.method not in SAFE else get_response(request)

    return middleware


def leads_to_sign_in(answer: HttpResponseBase) -> bool:
    return answer.status_code == 302 and urlsplit(answer["Location"]).path == resolve_url(settings.LOGIN_URL)


def sign_in_from(request: HttpRequest, header: str) -> str:
    """Return the address of sign-in, which leads back to the page named in this header."""
    return f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': page_of(request, header)})}"


class Compression(GZipMiddleware):
    """Django's compression, which pads pages against BREACH. What is compressed already goes as it is."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.headers.get("Content-Type") in COMPRESSED:
            return response
        return super().process_response(request, response)


def private_pages(get_response: GetResponse) -> GetResponse:
    """Keep pages out of caches, so that the Back button shows none after sign-out."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        answer = get_response(request)
        answer.headers.setdefault("Cache-Control", "no-store, private")
        patch_vary_headers(answer, ("Cookie", "HX-Request"))
        if request.method == "POST" and request.path == resolve_url("account_logout"):
            answer.headers["Clear-Site-Data"] = '"cache"'
        return answer

    return middleware
