"""The answer to what cannot be done: a page, or for HTMX a fragment for the place of problems."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from .htmx import wants_fragment


def problem(request: HttpRequest, status: int, heading: str, text: str, *, again: bool = False) -> HttpResponse:
    """Answer with a problem. again: whether the same address, loaded anew, may help."""
    template = "web/_problem.html" if wants_fragment(request) else "web/problem.html"
    return render(
        request, template, {"status": status, "heading": heading, "text": text, "again": again}, status=status
    )
