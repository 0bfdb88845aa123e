"""The two roles of PostgreSQL: the owner, for `migrate`, and the role for daily work, which cannot alter the log."""

from collections.abc import Iterator, Mapping
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
    used = own_parts(connection.settings_dict)
    connect_as(own_parts(settings.MIGRATE_DATABASE))
    try:
        yield
    finally:
        connect_as(used)


def own_parts(database: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the addresses of the two roles may say differently."""
    return {part: database[part] for part in ("USER", "PASSWORD", "OPTIONS")}


def connect_as(parts: Mapping[str, Any]) -> None:
    connection.close()
    connection.settings_dict.update(parts)
