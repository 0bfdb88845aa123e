"""What every answer gets: sign-in inside HTMX, and privacy of pages that show data."""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def fragment_answers(get_response: GetResponse) -> GetResponse:
    """An expired session inside an HTMX request leads the whole page to sign-in and back, never into a fragment."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        answer = get_response(request)
        login = resolve_url(settings.LOGIN_URL)
        is_login = answer.status_code == 302 and urlsplit(answer["Location"]).path == login
        if is_login and request.headers.get("HX-Request") == "true":
            where = urlencode({"next": page_of(request)})
            kept = {name: answer[name] for name in ("Cache-Control", "Vary") if name in answer}
            return HttpResponse(status=204, headers={"HX-Redirect": f"{login}?{where}", **kept})
        return answer

    return middleware


def page_of(request: HttpRequest) -> str:
    """The page that the person was on, as HTMX tells it; only ever one of ours."""
    told = request.headers.get("HX-Current-URL", "")
    try:
        parts = urlsplit(told)
    except ValueError:
        return "/"
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    is_ours = url_has_allowed_host_and_scheme(told, allowed_hosts={request.get_host()}) and path.startswith("/")
    return path if is_ours and not path.startswith(("//", "/\\")) else "/"


def private_pages(get_response: GetResponse) -> GetResponse:
    """No page is kept by a cache or shown by the Back button after sign-out."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        answer = get_response(request)
        answer.headers.setdefault("Cache-Control", "no-store, private")
        patch_vary_headers(answer, ("Cookie", "HX-Request"))
        if request.method == "POST" and request.path == resolve_url("account_logout"):
            answer.headers["Clear-Site-Data"] = '"cache"'
        return answer

    return middleware
