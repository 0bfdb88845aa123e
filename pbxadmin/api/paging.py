"""Pages of a list: the filters and cursors of the pages' own lists, which stand in the body and as Link headers too."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Schema
from pydantic import Field, create_model

from pbxadmin.web.filters import FilterValues, ListFilter, whole
from pbxadmin.web.pages import PAGE_SIZE, Page, RowT, keyset
from pbxadmin.web.site import site_address

MOST_LISTED = 200


class PageQuery(Schema):
    limit: int = Field(PAGE_SIZE, description=f"Rows of a page, {MOST_LISTED} at most.")
    cursor: str = Field("", description="Of an earlier page: its `next` or `previous`.")


def list_query(filters: type[ListFilter], *, without: Collection[str] = (), base: type[Schema] = PageQuery) -> Any:
    """Return the schema of what the address of a list takes: the parameters of its filter, and those of `base`.

    The filter itself reads them out of the address. without: parameters that only a page has.
    """
    several = filters.declared() if issubclass(filters, FilterValues) else {}
    names = [name for name in filters.parameters() if name not in without]
    types = {name: list[str] if name in several and several[name].default == () else str for name in names}
    fields: dict[str, Any] = {name: (kind, [] if kind is not str else "") for name, kind in types.items()}
    return create_model(f"{filters.__name__}Query", __base__=base, **fields)


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
