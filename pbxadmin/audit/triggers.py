"""The database itself refuses to alter the log.

SQLite drops triggers silently when a later migration remakes the table, so they are put back after every migration, and
`triggers_missing` says when one is not there.
"""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "audit_event"
REFUSAL = "the audit log is never altered"
MISSING = "the audit log has no trigger {}: run manage.py migrate"

SQLITE = {
    "audit_event_no_update": f"BEFORE UPDATE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    "audit_event_no_delete": f"BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    # INSERT OR REPLACE fires no delete trigger, so it is refused by itself.
    "audit_event_no_replace": f"BEFORE INSERT ON {TABLE} WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id"  # noqa: S608
    f" OR (chain = NEW.chain AND sequence = NEW.sequence)) BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
}
FUNCTION = f"""
CREATE OR REPLACE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$
"""
POSTGRESQL = {
    "audit_event_no_change": f"BEFORE UPDATE OR DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION audit_event_refuse()",
    "audit_event_no_truncate": f"BEFORE TRUNCATE ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION audit_event_refuse()",
}


def triggers_for(vendor: str) -> dict[str, str]:
    return {"sqlite": SQLITE, "postgresql": POSTGRESQL}[vendor]


def triggers_missing(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the names of triggers that are missing or, on PostgreSQL, would not fire for everybody."""
    if connection.vendor == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s"
    else:
        query = "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgenabled = 'A'"
    with connection.cursor() as cursor:
        cursor.execute(query, [TABLE])
        there = {row[0] for row in cursor.fetchall()}
    return [name for name in triggers_for(connection.vendor) if name not in there]


def triggers_install(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers that are missing."""
    with connection.cursor() as cursor:
        for name in triggers_missing(connection):
            if connection.vendor == "postgresql":
                cursor.execute(FUNCTION)
                cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {TABLE}")
            cursor.execute(f"CREATE TRIGGER {name} {triggers_for(connection.vendor)[name]}")
            if connection.vendor == "postgresql":
                cursor.execute(f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {name}")


def triggers_remove(connection: BaseDatabaseWrapper) -> None:
    """Drop all triggers. In the product only the reverse of the first migration does this."""
    on_table = f" ON {TABLE}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        for name in triggers_for(connection.vendor):
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on_table}")
        if connection.vendor == "postgresql":
            cursor.execute("DROP FUNCTION IF EXISTS audit_event_refuse()")


def triggers_put_back(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers that are missing, when the table of the log exists."""
    if TABLE in connection.introspection.table_names():
        triggers_install(connection)


def install_after_migrate(using: str, **_: Any) -> None:
    triggers_put_back(connections[using])


@register(Tags.database)
def triggers_check(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report missing triggers to `check --database default`; nothing before the table of the log exists."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if TABLE in connection.introspection.table_names():
            found += [Error(MISSING.format(name), id="pbxadmin.E001") for name in triggers_missing(connection)]
    return found
