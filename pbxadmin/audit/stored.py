"""Reading of values that PBX Admin cannot have written.

SQLite stores whatever the owner of its file writes; PostgreSQL has times that Python cannot represent. A row that
cannot be read would hide itself, the others of its page, and its fault from `audit_verify`. So bytes that are no text
are read as text that shows them, and invalid times as None.
"""

import sqlite3
from datetime import datetime
from functools import cache
from typing import Any, cast

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.dateparse import parse_datetime


def tolerate(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Make a new connection read such values. SQLite has one table of converters for all connections of a process."""
    if connection.vendor == "sqlite":
        connection.connection.text_factory = as_text
        sqlite3.register_converter("datetime", as_time)
    else:
        from psycopg.pq import Format  # only there with PostgreSQL

        adapters = connection.connection.adapters
        known = adapters.get_loader(adapters.types["timestamptz"].oid, Format.TEXT)
        adapters.register_loader("timestamptz", tolerant(known))


def as_text(stored: bytes) -> str:
    return stored.decode(errors="backslashreplace")


def as_time(stored: bytes) -> datetime | None:
    try:
        return parse_datetime(stored.decode())
    except ValueError:
        return None


@cache
def tolerant(loader: type[Any]) -> type[Any]:
    """Return a loader of times like this one that reads 'infinity' and years out of Python's range as None."""
    from psycopg import DataError

    class Tolerant(loader):  # type: ignore[misc]
        def load(self, stored: bytes) -> datetime | None:
            try:
                return cast(datetime, super().load(stored))
            except DataError:
                return None

    return Tolerant
