"""Callers of the API with a key, as a script has one."""

import uuid
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from pbxadmin.access.models import User
from pbxadmin.api.scopes import Scope
from pbxadmin.api.services import api_key_make


def days_from_now(days: int) -> date:
    return timezone.localdate() + timedelta(days=days)


class Script:
    """Calls the API with a key: JSON in and out, and an Idempotency-Key of its own with what writes."""

    def __init__(self, holder: User, scope: Scope = Scope.MANAGE, **key: Any) -> None:
        facts: dict[str, Any] = {"name": f"key {uuid.uuid4().hex[:8]}", "last_day": days_from_now(30)} | key
        self.key, self.text = api_key_make(holder=holder, scope=scope, **facts)
        self.client = Client(raise_request_exception=False)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the answer of the test client. headers: with `_` for `-`."""
        sent = {"Authorization": f"Bearer {self.text}", "Idempotency-Key": uuid.uuid4().hex}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = {"data": "" if body is None else body, "content_type": "application/json"}
        answer: Any = getattr(self.client, method)(
            f"/api/v1{path}",
            headers=sent,
            **({} if method in ("get", "head") else data),
        )
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self.call("get", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("post", path, {} if body is None else body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.call("patch", path, body, **headers)


@pytest.fixture(autouse=True)
def no_rate(settings):
    """A test is faster than a script may be; those of the rate set it themselves."""
    settings.API_RATE, settings.API_BURST = 1000, 10_000
