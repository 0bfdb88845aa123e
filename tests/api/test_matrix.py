"""Who may do what through the API: each operation with the keys of each role, scope and customer.

A new operation fails here until its row stands.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from pbxadmin.access.roles import ROLES, Action, Role
from pbxadmin.api.api import api
from pbxadmin.api.scopes import SCOPE_ACTIONS, Scope
from tests.matrix.world import OF_THEM, Side, World, make_world

from .conftest import Script

pytestmark = pytest.mark.django_db
HOLDERS = ("no role", "wrong customer", *Role.values, "site admin")
NOT_ALLOWED, NOT_THERE, OK = 403, 404, "ok"
Gate = Callable[[str, str], Any]


def may(role: str, scope: str, action: Action) -> bool:
    granted = {role} if role in ROLES else set()
    return action in SCOPE_ACTIONS[scope] and (role == "site admin" or any(action in ROLES[one] for one in granted))


def anybody(role: str, scope: str) -> Any:
    return OK


def on(*actions: Action) -> Gate:
    """On something of one customer: not there for who may not see it, refused to who may do none of this."""

    def gate(role: str, scope: str) -> Any:
        if role in ("no role", "wrong customer"):
            return NOT_THERE
        return OK if any(may(role, scope, action) for action in actions) else NOT_ALLOWED

    return gate


def somewhere(action: Action, there: Any = OK) -> Gate:
    """there: what who may this for another customer gets."""

    def gate(role: str, scope: str) -> Any:
        if role == "wrong customer":
            return there if action in SCOPE_ACTIONS[scope] else NOT_ALLOWED
        return OK if may(role, scope, action) else NOT_ALLOWED

    return gate


def everywhere(action: Action) -> Gate:
    return lambda role, scope: OK if role == "site admin" and action in SCOPE_ACTIONS[scope] else NOT_ALLOWED


SEE, EDIT, MANAGE, BATCH = (on(action) for action in (Action.SEE, Action.EDIT_IVR, Action.MANAGE_PBXS, Action.BATCH))
REVIEW, DECIDE = somewhere(Action.REVIEW_LOG), on(Action.EDIT_IVR, Action.REVIEW_LOG)
Rows = dict[str, tuple[str, str, Gate, Any]]
ROWS: Rows = {
    "customer_list": ("get", "/customers", anybody, None),
    "customer_read": ("get", "/customers/{customer}", SEE, None),
    "pbx_list": ("get", "/pbxs", anybody, None),
    "pbx_read": ("get", "/pbxs/{pbx}", SEE, None),
    "pbx_add": (
        "post",
        "/pbxs",
        somewhere(Action.MANAGE_PBXS),
        lambda side: {
            "customer": side.customer.pk,
            "name": "NEW",
            "host": "x.invalid",
            "username": "a",
            "password": "b",
        },
    ),
    "pbx_edit": ("patch", "/pbxs/{pbx}", MANAGE, lambda side: {"site": "Berlin"}),
    "pbx_test": ("post", "/pbxs/{pbx}/test", MANAGE, None),
    "pbx_refresh": ("post", "/pbxs/{pbx}/refresh", SEE, None),
    "ivr_list": ("get", "/ivrs", anybody, None),
    "ivr_read": ("get", "/pbxs/{pbx}/ivrs/{number}", SEE, None),
    "ivr_read_live": ("get", "/pbxs/{pbx}/ivrs/{number}/live", SEE, None),
    "change_list": ("get", "/changes", anybody, None),
    "change_read": ("get", "/changes/{change}", SEE, None),
    "change_receipt": ("get", "/changes/{change}/receipt", SEE, None),
    "change_plan": (
        "post",
        "/pbxs/{pbx}/ivrs/{number}/changes",
        EDIT,
        lambda side: {"values": {"response_timeout": 9}, "ticket": "X-1"},
    ),
    "change_apply": ("post", "/changes/{change}/apply", EDIT, lambda side: {}),
    "change_check": ("post", "/changes/{change}/check", EDIT, None),
    "change_resolve": ("post", "/changes/{conflict}/resolve", EDIT, lambda side: {"yours": ["response_timeout"]}),
    "change_restore": ("post", "/changes/{change}/restore", EDIT, lambda side: {}),
    "batch_list": ("get", "/batches", anybody, None),
    "batch_plan": (
        "post",
        "/batches",
        somewhere(Action.BATCH, NOT_THERE),
        lambda side: {
            "ivrs": [{"pbx": side.pbx.pk, "number": side.number}],
            "values": {"response_timeout": 9},
            "canary": 1,
        },
    ),
    "batch_read": ("get", "/batches/{batch}", SEE, None),
    "batch_targets": ("get", "/batches/{batch}/targets", SEE, None),
    "batch_start": ("post", "/batches/{batch}/start", BATCH, lambda side: {}),
    "batch_continue": ("post", "/batches/{batch}/continue", BATCH, lambda side: {}),
    "batch_stop": ("post", "/batches/{batch}/stop", BATCH, None),
    "batch_retry": ("post", "/batches/{batch}/retry", BATCH, lambda side: {}),
    "batch_restore": ("post", "/batches/{batch}/restore", BATCH, None),
    "outside_list": ("get", "/outside", anybody, None),
    "outside_accept": ("post", "/outside/{outside}/accept", DECIDE, lambda side: {"note": "Agreed."}),
    "outside_restore": ("post", "/outside/{outside}/restore", EDIT, lambda side: {}),
    "violation_list": ("get", "/violations", anybody, None),
    "event_list": ("get", "/events", REVIEW, None),
    "event_stream": ("get", "/events.jsonl", REVIEW, None),
    "event_read": ("get", "/events/{event}", somewhere(Action.REVIEW_LOG, NOT_THERE), None),
    "checkpoint_list": ("get", "/checkpoints", everywhere(Action.REVIEW_LOG), None),
}


@pytest.fixture
def world() -> World:
    return make_world()


def test_every_operation_has_a_row():
    methods = (operation for path in api.get_openapi_schema()["paths"].values() for operation in path.values())

    assert {operation["operationId"] for operation in methods} == ROWS.keys()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row[3] is None and row[0] == "post"])
def test_what_takes_no_body_refuses_one_that_says_something(world, name):
    script = Script(world.people["site admin"])

    answer = script.post(world.us.path(ROWS[name][1]), {"confirm": True})

    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["confirm"])


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row[0] == "get"])
def test_head_is_get_without_its_body(world, name):
    admin = Script(world.people["site admin"])
    path = world.us.path(ROWS[name][1])
    heads, got = admin.call("head", path), admin.get(path)

    body = b"".join(heads.streaming_content) if heads.streaming else heads.content
    assert body == b""
    assert heads.status_code == got.status_code
    moves = {"Content-Length", "ETag", "X-Request-ID"} if "stream" in name or "checkpoint" in name else set()
    assert {key: text for key, text in heads.headers.items() if key not in moves} == {
        key: text for key, text in got.headers.items() if key not in moves
    }


def came_to(answer: Any) -> Any:
    """What an answer comes to: what was refused for another reason than who asks was allowed."""
    if answer.status_code in (NOT_ALLOWED, NOT_THERE):
        return answer.status_code
    return OK if answer.status_code in (200, 201, 202, 409, 422, 502, 503) else answer.status_code


def send(script: Script, name: str, side: Side) -> Any:
    method, path, _, body = ROWS[name]
    return script.call(method, side.path(path), body(side) if body else None)


@pytest.mark.parametrize("name", ROWS)
def test_each_key_gets_what_the_table_says(world, name):
    found, expected = {}, {}
    for role in HOLDERS:
        holder = world.people[role]
        assert holder is not None
        for scope in Scope.values:
            sid = transaction.savepoint()
            answer = send(Script(holder, Scope(scope)), name, world.us)
            text = b"".join(answer.streaming_content) if answer.streaming else answer.content
            transaction.savepoint_rollback(sid)
            holder.grants = None
            only_reads = scope == Scope.READ and ROWS[name][0] != "get"
            found[role, scope] = came_to(answer)
            expected[role, scope] = NOT_ALLOWED if only_reads else ROWS[name][2](role, scope)
            if role in Role.values:
                assert [word for word in OF_THEM if word.lower() in text.decode().lower()] == [], (role, scope)

    assert found == expected
