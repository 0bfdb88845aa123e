"""The two roles of PostgreSQL: the owner, for `migrate`, and the role for daily work, which cannot alter the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection


@contextmanager
def as_owner() -> Iterator[None]:
    """Connect as the owner during this block, if MIGRATE_DATABASE_URL names one."""
    if settings.MIGRATE_DATABASE is None:
        yield
        return
    used = connection.settings_dict["USER"], connection.settings_dict["PASSWORD"]
    connect_as(settings.MIGRATE_DATABASE["USER"], settings.MIGRATE_DATABASE["PASSWORD"])
    try:
        yield
    finally:
        connect_as(*used)


def connect_as(user: Any, password: Any) -> None:
    connection.close()
    connection.settings_dict.update(USER=user, PASSWORD=password)
