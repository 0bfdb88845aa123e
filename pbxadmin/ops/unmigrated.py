"""A database that lacks migrations: which ones, and one sentence instead of a traceback for any command that trips."""

import sys
from functools import cache

from django.core.management import execute_from_command_line
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from pbxadmin.web.words import number_of

NOT_THERE = ("no such table", "no such column", "has no column named")  # SQLite
UNDEFINED = frozenset({"42P01", "42703"})  # PostgreSQL: table, column


def command_line(words: list[str]) -> None:
    """Django's command line for these words, the program first. Exit code 1 when migrations are missing.

    Here and not in a base class, so that it holds for Django's own commands too, such as createsuperuser.
    """
    try:
        execute_from_command_line(words)
    except DatabaseError as error:
        why = why_not_there(error)
        if not why or "--traceback" in words:
            raise
        sys.exit(f"CommandError: {why}")


def why_not_there(error: DatabaseError) -> str:
    """Which table or column is not there, and what to do; "" when no migration would make it."""
    text = str(error).partition("\n")[0]
    is_known = any(words in text for words in NOT_THERE)
    if not is_known and getattr(error.__cause__, "sqlstate", None) not in UNDEFINED:
        return ""
    missing = len(migrations_missing())
    if not missing:
        return ""
    is_new = missing == len(migrations_there_are())
    lacks = "was never migrated" if is_new else f"lacks {number_of(missing, 'migration')}"
    return f"{text}. This database {lacks}: run `manage.py migrate`."


def migrations_missing() -> frozenset[tuple[str, str]]:
    return migrations_there_are() - MigrationRecorder(connection).applied_migrations().keys()


@cache
def migrations_there_are() -> frozenset[tuple[str, str]]:
    """Read once: they are files, and a process runs the code that it started with."""
    return frozenset(MigrationLoader(None).graph.nodes)
