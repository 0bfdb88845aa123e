"""Error pages. HTMX gets a fragment for the place of problems."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from .htmx import wants_fragment
from .problems import problem
from .site import site_address

BARE_HEADERS = {
    "Cache-Control": "no-store, private",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    text = "Your role does not allow this. Ask a manager of this customer, or whoever runs PBX Admin."
    return problem(request, 403, "Not allowed", text)


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return problem(request, 404, "Nothing here", "It does not exist, or it is not yours to see.")


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    text = "It did not come from this page, or its cookie is gone. Go back, load the page again, and send it once more."
    return problem(request, 403, "The form was not accepted", text, again=True)


def foreign_form(request: HttpRequest) -> HttpResponse:
    text = f"It did not come from a page of {site_address(request)}. Open that address, and try once more."
    return problem(request, 403, "The form was not accepted", text)


def too_many(request: HttpRequest, exception: Any = None) -> HttpResponse:
    text = "Too many requests came from your address, or for this account. Wait a few minutes, then try once more."
    return problem(request, 429, "Too often", text)


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    text = "The request is not for this server, or not in a form that it takes. Start again from Home."
    return bare_problem(request, 400, "Not understood", text)


def server_error(request: HttpRequest) -> HttpResponse:
    text = "Something went wrong on our side. If you were changing an IVR, look at Changes before you try again."
    return bare_problem(request, 500, "Our fault", text)


def bare_problem(request: HttpRequest, status: int, heading: str, text: str) -> HttpResponse:
    """Render an error page without database, session or middleware, since one of them may have failed."""
    template = "web/_problem.html" if wants_fragment(request) else "web/server_error.html"
    page = render_to_string(template, {"status": status, "heading": heading, "text": text})
    return HttpResponse(page, status=status, headers=BARE_HEADERS)
