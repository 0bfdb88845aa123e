"""A database that lacks migrations, or does not let us: which it lacks, and the sentence that says so."""

from functools import cache

from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from pbxadmin.web.words import number_of

NOT_THERE = ("no such table", "no such column", "has no column named")  # SQLite
UNDEFINED = frozenset({"42P01", "42703"})  # PostgreSQL: table, column
NOT_ALLOWED = "42501"


def why_not_there(error: DatabaseError) -> str:
    """Return which table or column is missing and what to do; "" when no migration would make it."""
    text = str(error).partition("\n")[0]
    is_known = any(words in text for words in NOT_THERE)
    if not is_known and sqlstate_of(error) not in UNDEFINED:
        return ""
    missing = len(migrations_missing())
    if not missing:
        return ""
    is_new = missing == len(migrations_there_are())
    lacks = "was never migrated" if is_new else f"lacks {number_of(missing, 'migration')}"
    return f"{text}. This database {lacks}: run `manage.py migrate`."


def why_not_allowed(error: DatabaseError) -> str:
    """Return what the role of this connection may not do, and who may; "" for any other error."""
    if sqlstate_of(error) != NOT_ALLOWED:
        return ""
    text = str(error).partition("\n")[0]
    return f"{text}. Only the owner of the tables may: name it in MIGRATE_DATABASE_URL."


def sqlstate_of(error: BaseException) -> str:
    """PostgreSQL's code of an error that Django has wrapped, once or twice; "" for none."""
    cause = error.__cause__
    return "" if cause is None else getattr(cause, "sqlstate", None) or sqlstate_of(cause)


def migrations_missing() -> frozenset[tuple[str, str]]:
    return migrations_there_are() - MigrationRecorder(connection).applied_migrations().keys()


@cache
def migrations_there_are() -> frozenset[tuple[str, str]]:
    """Read once: they are files, and a process runs the code that it started with."""
    return frozenset(MigrationLoader(None).graph.nodes)
