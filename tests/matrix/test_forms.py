"""Forms: no form works without its token, no extra field does anything, and looking changes nothing."""

from datetime import datetime
from typing import Any

import pytest
from django.apps import apps
from django.db import models, transaction
from django.test import Client

from .table import OK, ROWS
from .test_matrix import GETS, NAMES, client_of
from .world import World

pytestmark = pytest.mark.django_db
# Not made by a person: sessions, counts, what is learned by looking and told of it, where the desk has read to, and who
# looked when.
MAY_MOVE = {
    "access.Session",
    "audit.Event",
    "fleet.ContactSample",
    "fleet.Lease",
    "ivr.OutsideVisit",
    "notices.Condition",
    "notices.Notice",
    "review.DeskReading",
    "review.DeskItem",
    "ops.PeriodicJob",
}
LEARNED = {"state", "state_reason", "state_at", "failures", "paused_until", "token", "token_at", "last_contact_at"}
EXTRA: dict[str, Any] = {
    "is_superuser": "on",
    "is_staff": "on",
    "is_active": "",
    "customer": "987654321",
    "customer_id": "987654321",
    "pin": "f" * 64,
    "revision": "99",
    "state": "reachable",
    "ivrid": "1",
    "other_serial": "",
    "status": "verified",
    "role": "manager",
}
BY_CHANCE = {
    "id",
    "decided_by_id",
    "key",
    "refresh_id",
    "args_kwargs",
    "worker_ids",
    "token_hash",
    "token_digest",
    "password_digest",
    "calls",
    "form_key",
}
BY_CHANCE_OF = {
    "api.ApiKey": {"digest", "shown"},
    "webhooks.Webhook": {"address", "secret", "old_secret"},  # sealed
}
OF_A_SERVICE = {"username", "folded", "password", "words"}  # nobody enters them
POSTS = [name for name in NAMES if ROWS[name].post("site admin") == OK]


def rows() -> dict[str, list[Any]]:
    found = {}
    for model in apps.get_models():
        if model._meta.label not in MAY_MOVE:
            found[model._meta.label] = [plain(row) for row in model._default_manager.order_by("pk")]
    return found


def plain(row: models.Model) -> dict[str, Any]:
    return {
        field.attname: field.value_from_object(row)
        for field in row._meta.concrete_fields
        if field.attname not in LEARNED and field.attname != "last_login"
    }


@pytest.mark.parametrize("name", GETS)
def test_looking_changes_nothing_that_a_person_made(world, name):
    client = client_of(world, "site admin")
    before = rows()

    client.get(world.us.path(ROWS[name].path))

    assert rows() == before


@pytest.mark.parametrize("name", POSTS)
def test_no_form_is_taken_without_its_token(world, name):
    client = client_of(world, "site admin", enforce_csrf_checks=True)
    before = rows()

    answer = client.post(world.us.path(ROWS[name].path), ROWS[name].data(world.us))

    assert answer.status_code == 403
    assert rows() == before


@pytest.mark.parametrize("name", POSTS)
def test_extra_fields_do_nothing(world, name):
    data = ROWS[name].data(world.us)
    path = world.us.path(ROWS[name].path)
    extra = {key: value for key, value in EXTRA.items() if key not in data}

    without, with_extra = posted(world, path, data), posted(world, path, data | extra)

    assert [row for row in with_extra if row not in without] == []
    assert [row for row in without if row not in with_extra] == []


def posted(world: World, path: str, data: dict[str, Any]) -> list[Any]:
    """What a manager's POST comes to, and every row afterwards; undone again."""
    client: Client = client_of(world, "manager")
    sid = transaction.savepoint()
    keys = keys_by_model()
    answer = client.post(path, data)
    found = [
        answer.status_code,
        *((label, by_nobody(label, row, keys)) for label, kept in rows().items() for row in kept),
    ]
    transaction.savepoint_rollback(sid)
    return found


def keys_by_model() -> dict[Any, set[Any]]:
    return {model: set(model._default_manager.values_list("pk", flat=True)) for model in apps.get_models()}


def by_nobody(label: str, row: dict[str, Any], keys: dict[Any, set[Any]]) -> dict[str, Any]:
    """A row without times, ids of events, what is drawn by chance, and which number a row made just now has."""
    fields = {field.attname: field for field in apps.get_model(label)._meta.concrete_fields}
    found = {}
    by_chance = BY_CHANCE | BY_CHANCE_OF.get(label, set()) | (OF_A_SERVICE if row.get("is_service") else set())
    for name, value in row.items():
        if isinstance(value, datetime) or name.endswith("event_id") or name in by_chance:
            continue
        is_new = fields[name].is_relation and value is not None and value not in keys[fields[name].related_model]
        found[name] = "made just now" if is_new else value
    return found
