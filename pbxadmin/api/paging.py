"""Pages of a list: the cursors of the pages' own lists, in the body and as Link headers."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from pbxadmin.web.filters import whole
from pbxadmin.web.pages import PAGE_SIZE, Page, RowT, keyset
from pbxadmin.web.site import site_address

MOST_LISTED = 200


def list_page_out(
    request: HttpRequest,
    response: HttpResponse,
    rows: QuerySet[Any, RowT],
    order: Sequence[str],
    out: Callable[[Sequence[RowT]], list[dict[str, Any]]],
) -> dict[str, Any]:
    """Return the page that `cursor` and `limit` of the address ask for. out: turns rows into what is said of them."""
    limit = whole(request.GET.get("limit")) or PAGE_SIZE
    page = keyset(rows, order, request.GET.get("cursor", ""), min(limit, MOST_LISTED))
    return page_out(request, response, page, out(page.rows))


def page_out(
    request: HttpRequest, response: HttpResponse, page: Page[Any], items: list[dict[str, Any]]
) -> dict[str, Any]:
    cursors = {"next": page.next_cursor, "previous": page.previous_cursor}
    links = [f'<{address_with(request, cursor)}>; rel="{rel}"' for rel, cursor in cursors.items() if cursor]
    if links:
        response["Link"] = ", ".join(links)
    return {"items": items, **{rel: cursor or None for rel, cursor in cursors.items()}}


def address_with(request: HttpRequest, cursor: str) -> str:
    query = request.GET.copy()
    query["cursor"] = cursor
    return f"{site_address(request)}{request.path}?{query.urlencode()}"
