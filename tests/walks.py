"""Walks from page to page, which fail where a page leads nowhere new, and do not go on for ever."""

from collections.abc import Callable
from typing import Any, TypeVar

Step = TypeVar("Step")
MOST = 1000  # steps


def walked(start: Step, on: Callable[[Step], Step | None]) -> list[Step]:
    """Return `start` and what follows it, each found by `on` from the one before. Fail after MOST steps."""
    found = [start]
    while following := on(found[-1]):
        found.append(following)
        assert len(found) < MOST, f"no end after {MOST} steps"
    return found


def there_and_back(page_at: Callable[[str], Any]) -> tuple[list[Any], list[Any]]:
    """Return the pages from the first to the last, and those met again from there back to the first, in that order.

    page_at: gives the keyset page of a cursor; the first one has "".
    """
    there = walked(page_at(""), lambda page: page_at(page.next_cursor) if page.next_cursor else None)
    back = walked(there[-1], lambda page: page_at(page.previous_cursor) if page.previous_cursor else None)
    return there, back[:0:-1]
