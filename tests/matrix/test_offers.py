"""What a page offers somebody, they may use: no link or button of it is refused to the role that sees it."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.urls import Resolver404, resolve

from pbxadmin.access.roles import Role

from .table import OK, ROWS
from .test_matrix import GETS, client_of, text_of
from .world import World

pytestmark = pytest.mark.django_db
LINK = re.compile(r'\s(?:href|hx-get)="([^"#]+)')
BUTTON = re.compile(r'\s(?:action|formaction|hx-post)="([^"#]+)')
TAG = re.compile(r"<[a-z][^>]*>")
PERSON_HERSELF = {"accounts:person-page"}  # what a row says of it holds for other people


def offered(page: str, path: str) -> Iterator[tuple[str, str]]:
    """Yield method and address of each link and button of a page."""
    for tag in TAG.findall(page):
        for found in LINK.findall(tag):
            yield "get", urljoin(path, unescape(found))
        for found in BUTTON.findall(tag):
            is_get = tag.startswith("<form") and 'method="post"' not in tag
            yield "get" if is_get else "post", urljoin(path, unescape(found))


def refused(role: str, method: str, address: str) -> bool:
    """Tell whether the table refuses this to a role. What is no address of ours is not asked."""
    try:
        name = resolve(urlsplit(address).path).view_name
    except Resolver404:
        return False
    row = ROWS.get(name)
    return row is not None and name not in PERSON_HERSELF and getattr(row, method)(role) != OK


@pytest.mark.parametrize("role", Role.values)
def test_nothing_is_offered_that_is_then_refused(world: World, role: str) -> None:
    client = client_of(world, role)
    seen: dict[tuple[str, str], str] = {}

    for name in GETS:
        path = world.us.path(ROWS[name].path)
        if ROWS[name].get(role) != OK:
            continue
        answer: Any = client.get(path)
        if answer.status_code == 200 and "html" in answer.headers.get("Content-Type", ""):
            seen |= dict.fromkeys(offered(text_of(answer), path), name)

    assert len(seen) > 100
    assert {offer: name for offer, name in seen.items() if refused(role, *offer)} == {}
