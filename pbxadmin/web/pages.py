"""Keyset pagination: fast at any depth, because a page starts where the last one ended instead of counting rows."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import FieldError, ValidationError
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import OrderBy

RowT = TypeVar("RowT")
PAGE_SIZE = 50  # rows of a list on one page, unless it says otherwise


COUNTED_AT_MOST = 10_000  # rows that are counted for a person to read: more cost more and say less


def count_capped(rows: QuerySet[Any, Any]) -> int:
    """Return how many rows a query finds, COUNTED_AT_MOST + 1 for all that are more."""
    return rows.order_by()[: COUNTED_AT_MOST + 1].count()


@dataclass(frozen=True)
class Page(Generic[RowT]):
    """A page of rows, and the cursors of its neighbours ("" if there is none)."""

    rows: Sequence[RowT]
    next_cursor: str = ""
    previous_cursor: str = ""


@dataclass(frozen=True)
class FoundOf:
    """How many rows a filter finds, and of how many; each COUNTED_AT_MOST + 1 for all that are more."""

    found: int
    all: int


def found_of(page: Page[Any], found: QuerySet[Any, Any], seen: QuerySet[Any, Any] | None) -> FoundOf:
    """Count what a list has found, without a query when it is on one page.

    seen: what the list would have without its filter, None when it has none.
    """
    is_one_page = not (page.next_cursor or page.previous_cursor)
    count = len(page.rows) if is_one_page else count_capped(found)
    return FoundOf(count, count if seen is None else count_capped(seen))


def keyset(rows: QuerySet[Any, RowT], order: Sequence[str], cursor: str, size: int) -> Page[RowT]:
    """Return one page of a query in this order.

    order: column names, the last one unique; "-" before a name sorts it descending.
    rows: model objects, or values() dictionaries that contain the columns of the order. Nulls come last in any case.
    cursor: from an earlier page, "" for the first page; an invalid one counts as "".
    """
    columns = [Column(name.removeprefix("-"), name.startswith("-"), name == order[-1]) for name in order]
    backwards, place = cursor_place(cursor, len(columns))
    ordered = rows.order_by(*(column.ordering(backwards) for column in columns))
    try:
        found = list(ordered.filter(beyond(columns, place, backwards))[: size + 1] if place else ordered[: size + 1])
    except (ValueError, TypeError, OverflowError, FieldError, ValidationError):
        return keyset(rows, order, "", size)
    has_more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    if not found:
        return Page([])
    before = bool(place) if not backwards else has_more
    after = has_more if not backwards else True
    return Page(
        found,
        next_cursor=cursor_of("n", found[-1], columns) if after else "",
        previous_cursor=cursor_of("p", found[0], columns) if before else "",
    )


@dataclass(frozen=True)
class Column:
    """A column of an order. is_unique: the last one, never null, since a condition on nulls defeats the index."""

    name: str
    descending: bool
    is_unique: bool = False

    def ordering(self, backwards: bool) -> OrderBy:
        column = F(self.name)
        if self.is_unique:
            return column.desc() if self.descending != backwards else column.asc()
        if self.descending != backwards:
            return column.desc(nulls_first=True) if backwards else column.desc(nulls_last=True)
        return column.asc(nulls_first=True) if backwards else column.asc(nulls_last=True)

    def further(self, value: Any, backwards: bool) -> Q:
        """Return the condition for rows after this value, in the direction of the column."""
        if value is None:
            return Q(**{f"{self.name}__isnull": False}) if backwards else Q(pk__in=[])
        comparison = "lt" if self.descending != backwards else "gt"
        later = Q(**{f"{self.name}__{comparison}": value})
        return later if backwards or self.is_unique else later | Q(**{f"{self.name}__isnull": True})

    def same(self, value: Any) -> Q:
        return Q(**{f"{self.name}__isnull": True}) if value is None else Q(**{self.name: value})


def beyond(columns: Sequence[Column], place: Sequence[Any], backwards: bool) -> Q:
    """Return the condition for rows after a place: later in the first column, or equal there and later in the next.

    The separate condition on the first column is redundant, but no database infers it. With it a join drops the rows of
    earlier pages at its first table, so that a deep page costs as much as the first one.
    """
    found = Q()
    for position, column in enumerate(columns):
        here = column.further(place[position], backwards)
        for earlier, value in zip(columns[:position], place, strict=False):
            here = earlier.same(value) & here
        found |= here
    if len(columns) == 1:
        return found
    first = columns[0]
    return (first.further(place[0], backwards) | first.same(place[0])) & found


def cursor_of(direction: str, row: Any, columns: Sequence[Column]) -> str:
    values = [row[column.name] if isinstance(row, dict) else value_at(row, column.name) for column in columns]
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps([direction, *plain]).encode()).decode().rstrip("=")


def value_at(row: Any, path: str) -> Any:
    for name in path.split("__"):
        row = getattr(row, name)
    return row


def cursor_place(cursor: str, size: int) -> tuple[bool, list[Any]]:
    """Return whether a cursor leads backwards, and the values to start after."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return False, []
    is_good = isinstance(values, list) and len(values) == size + 1 and values[0] in ("n", "p")
    if not is_good or not all(value is None or isinstance(value, str | int) for value in values):
        return False, []
    if any(isinstance(value, str) and "\0" in value for value in values):  # PostgreSQL accepts none
        return False, []
    return values[0] == "p", values[1:]
