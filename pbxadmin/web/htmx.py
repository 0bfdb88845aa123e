"""Responses for a browser that wants a page and for HTMX that wants a fragment."""

from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template import RequestContext, Template
from django.template.loader import get_template
from django.template.loader_tags import ExtendsNode
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme

from .site import site_hosts

WHOLE_PAGE = "page"  # the id of <body>, the target of HX-Location
HTMX_HEADERS = ("HX-Request", "HX-Boosted", "HX-History-Restore-Request")


def wants_fragment(request: HttpRequest) -> bool:
    """Return whether HTMX wants a fragment. Boosted links, Back-button restores and HX-Location need a whole page."""
    asked, boosted, restoring = (request.headers.get(header) == "true" for header in HTMX_HEADERS)
    return asked and not boosted and not restoring and request.headers.get("HX-Target") != WHOLE_PAGE


def render_either(
    request: HttpRequest, page: str, fragment: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Render the page, which includes the fragment, or for HTMX the fragment alone, with the title of the page."""
    if wants_fragment(request):
        answer = render(request, fragment, context, status=status)
        answer.write(f"<title>{page_title(request, page, context)} · PBX Admin</title>")
    else:
        answer = render(request, page, context, status=status)
    patch_vary_headers(answer, (*HTMX_HEADERS, "HX-Target"))
    return answer


def page_title(request: HttpRequest, page: str, context: dict[str, Any]) -> str:
    """Return what the block `title` of a page says, as HTML: what the page shows may have moved on with a fragment."""
    template: Template = get_template(page).template  # type: ignore[attr-defined]
    (extending,) = template.nodelist.get_nodes_by_type(ExtendsNode)
    ours = RequestContext(request, context)
    with ours.bind_template(template), ours.render_context.push_state(template):
        return " ".join(extending.blocks["title"].nodelist.render(ours).split())  # type: ignore[attr-defined]


def in_place_of(answer: HttpResponse, target: str) -> HttpResponse:
    """Have HTMX put an answer of failure where the form was. Without that, it goes among the problems of the page.

    target: a selector. The answer names what went wrong in an element with `data-problem`.
    """
    if answer.status_code >= 500:
        answer["HX-Retarget"], answer["HX-Reswap"] = target, "outerHTML"
    return answer


def go(request: HttpRequest, url: str) -> HttpResponse:
    """Redirect to one of our own pages after a successful POST. HTMX swaps the page without a full load."""
    if not wants_fragment(request):
        return HttpResponseRedirect(url)
    return HttpResponse(status=204, headers={"HX-Location": url})


def lead_away(request: HttpRequest, url: str) -> HttpResponse:
    """Redirect to one of our pages instead of the requested one; HTMX makes a full load."""
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def is_own_path(url: str) -> bool:
    """Return whether this is a path on this site that no browser reads as another site."""
    is_plain = url.startswith("/") and not url.startswith("//") and "\\" not in url and url.isprintable()
    return is_plain and url_has_allowed_host_and_scheme(url, allowed_hosts=None)


def page_of(request: HttpRequest, header: str) -> str:
    """Return the path of the page that the user was on, from a header; only of our own site, else "/"."""
    told = request.headers.get(header, "")
    try:
        parts = urlsplit(told)
    except ValueError:
        return "/"
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    is_ours = url_has_allowed_host_and_scheme(told, allowed_hosts=site_hosts(request))
    return path if is_ours and is_own_path(path) else "/"
