"""What a database gives although it is none of ours.

SQLite keeps whatever the owner of its file writes anywhere; PostgreSQL has times that Python does not know. A row that
cannot be read would hide itself, all others of its page, and what `audit_verify` would say of it. So bytes that are no
text come as text that shows them, and a time that is none comes as None.
"""

import sqlite3
from datetime import datetime
from functools import cache
from typing import Any, cast

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.dateparse import parse_datetime


def tolerate(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Of each new connection. The converters of SQLite are one table for all connections of the process."""
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
    """The same way to read a time, but None for 'infinity' and years that Python does not count."""
    from psycopg import DataError

    class Tolerant(loader):  # type: ignore[misc]
        def load(self, stored: bytes) -> datetime | None:
            try:
                return cast(datetime, super().load(stored))
            except DataError:
                return None

    return Tolerant
