"""Who may do what, at every address: with the rights of each role, of another customer, of nobody."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from pbxadmin.access.roles import Role

from .table import LOGIN, NO_METHOD, NOT_THERE, OK, ON_PERSON, ROWS, Row, led_away, never
from .world import OF_THEM, OF_US, ROLES, World, client_for

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
NAMES = sorted(ROWS)


def names_of(resolver: URLResolver, space: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            yield f"{space}{entry.name}"
        else:
            yield from names_of(entry, f"{space}{entry.namespace}:" if entry.namespace else space)


def test_every_address_has_a_row():
    """Those of the API take no session; tests/api/test_matrix.py tries them with keys."""
    known = {name for name in names_of(get_resolver()) if not name.startswith("api:")}

    missing, stale = known - ROWS.keys(), ROWS.keys() - known
    assert (missing, stale) == (set(), set()), 'Follow the recipe "Add a page" in CONTRIBUTING.md.'


def test_every_role_has_its_answers():
    assert ON_PERSON.keys() == set(ROLES), 'Follow the recipe "Add a role" in CONTRIBUTING.md.'


def client_of(world: World, role: str, **options: Any) -> Client:
    return client_for(world.people[role], raise_request_exception=False, **options)


def outcome(answer: HttpResponseBase) -> object:
    """What an answer comes to, for the table."""
    leads_to = answer.headers.get("Location", answer.headers.get("HX-Redirect", ""))
    if leads_to.startswith("/accounts/login/"):
        return LOGIN
    if answer.status_code in (403, 404, 405):
        return answer.status_code
    return OK if answer.status_code < 500 or answer.status_code == 503 else f"status {answer.status_code}"


@pytest.mark.parametrize("htmx", [False, True], ids=["page", "htmx"])
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", NAMES)
def test_each_role_gets_what_the_table_says(world, name, method, htmx):
    row: Row = ROWS[name]
    path, data = world.us.path(row.path), row.data(world.us) if method == "post" else {}
    found, expected = {}, {}

    for role in ROLES:
        sid = transaction.savepoint()
        answer = getattr(client_of(world, role), method)(path, data, headers=HTMX if htmx else {})
        text_of(answer)  # to the end of what is streamed
        transaction.savepoint_rollback(sid)
        found[role], expected[role] = outcome(answer), getattr(row, method)(role)

    assert found == expected


GETS = [name for name in NAMES if ROWS[name].get("site admin") == OK]


def text_of(answer: Any) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return content.decode(errors="replace") + repr(sorted(answer.headers.items()))


@pytest.mark.parametrize("name", GETS)
def test_no_page_shows_anything_of_another_customer(world, name):
    for role in ROLES:
        if role == "site admin":
            continue
        side, foreign = (world.them, OF_US) if role == "wrong customer" else (world.us, OF_THEM)
        for request, text in answers_to(client_of(world, role), side.path(ROWS[name].path)):
            assert [word for word in foreign if word.lower() in text] == [], (role, request)


def answers_to(client: Client, path: str) -> Iterator[tuple[Any, str]]:
    """What a page answers however it is asked, in small letters. Who gets no page is refused before a query is read."""
    for headers in ({}, HTMX):
        for query in ("", "?q=e", "?format=csv", "?state=all"):
            answer = client.get(path + query, headers=headers)
            yield (query, headers), text_of(answer).lower()
            if not query and answer.status_code != 200:
                break


ON_AN_ID = [name for name in NAMES if "{" in ROWS[name].path]


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", ON_AN_ID)
def test_what_is_not_yours_answers_like_what_does_not_exist(world, name, method):
    row = ROWS[name]
    theirs = world.them.path(row.path)
    absent = row.path.format(**dict.fromkeys(world.them.ids, 987654321))

    for role in ("no role", *Role.values):
        answers = [getattr(client_of(world, role), method)(path, row.data(world.them)) for path in (theirs, absent)]

        if method == "get" and row.get is led_away:
            assert place_of_answer(answers[0]) == place_of_answer(answers[1]), role
            continue
        assert {answer.status_code for answer in answers} <= {NOT_THERE, NO_METHOD, 403}, role
        assert plain(answers[0]) == plain(answers[1]), role


def place_of_answer(answer: HttpResponseBase) -> tuple[int, str]:
    """Status and address that it leads to, without ids: what is there says the rest."""
    return answer.status_code, re.sub("[0-9]+", "~", answer.headers.get("Location", ""))


def plain(answer: HttpResponseBase) -> tuple[int, str]:
    """Status and body, without what differs from one request to the next."""
    body = re.sub(r"[0-9]{2,}|[A-Za-z0-9_-]{32,}", "~", text_of(answer))
    return answer.status_code, body


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("name", [name for name in NAMES if ROWS[name].get is led_away])
def test_a_get_of_what_only_takes_a_post_leads_to_a_page(world, name, method):
    client = client_of(world, "site admin")

    answer = getattr(client, method)(world.us.path(ROWS[name].path), follow=True)

    assert answer.redirect_chain
    assert answer.status_code in (200, 409)  # 409: the outside change of this world cannot be restored, and says why


@pytest.mark.parametrize("name", [name for name in NAMES if ROWS[name].get is led_away or name == "ivr:outside-accept"])
def test_whoever_may_post_is_led_to_a_page_that_is_theirs(world, name):
    row, found = ROWS[name], {}
    for role in ROLES:
        if row.post(role) == OK:
            side = world.them if role == "wrong customer" else world.us
            found[role] = client_of(world, role).get(side.path(row.path), follow=True).status_code

    assert found
    assert not set(found.values()) & {403, 404, 405}, found


def test_no_address_that_takes_a_post_refuses_a_get(world):
    client = client_of(world, "site admin")
    refused = [
        name
        for name in NAMES
        if ROWS[name].get is not never and client.get(world.us.path(ROWS[name].path)).status_code == 405
    ]

    assert refused == []
