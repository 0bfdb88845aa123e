"""The PostgreSQL role for daily work: of the log it may only add and read events.

The owner of a table can always drop its triggers, so PBX Admin should not run as the owner.
"""

from collections.abc import Mapping

from django.db import connection, transaction

from .triggers import TABLE

FULL_RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
FEWER_RIGHTS: Mapping[str, str] = {TABLE: "SELECT, INSERT", "django_migrations": "SELECT"}


def grant_statements(role: str) -> list[str]:
    """Return the statements that the owner has to execute for this role and the tables that exist now."""
    name, quoted = connection.ops.quote_name, connection.ops.quote_name(role)
    tables = sorted(connection.introspection.table_names())
    return [
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",  # PostgreSQL before 15 lets everybody make tables
        f"REVOKE ALL ON SCHEMA public FROM {quoted}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {quoted}",
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {quoted}",
        f"GRANT USAGE ON SCHEMA public TO {quoted}",
        *(f"GRANT {FEWER_RIGHTS.get(table, FULL_RIGHTS)} ON {name(table)} TO {quoted}" for table in tables),
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {quoted}",
    ]


def grants_apply(role: str) -> None:
    """Execute all of these statements in one transaction. Run as the owner."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in grant_statements(role):
            cursor.execute(statement)


def why_not(role: str) -> str:
    """Return why this role could alter the log nevertheless, in a sentence; "" when it could not."""
    can_become = "SELECT tableowner FROM pg_tables WHERE tablename = %s AND pg_has_role(%s, tableowner, 'MEMBER')"
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role])
        found = cursor.fetchone()
        if found is None:
            return f"There is no role {role}. Make it first: CREATE ROLE {connection.ops.quote_name(role)} LOGIN"
        if found[0]:
            return f"{role} is a superuser, to whom nothing can be refused."
        cursor.execute(can_become, [TABLE, role])
        owner = cursor.fetchone()
    return f"{role} is the owner of the log, or may become it ({owner[0]})." if owner else ""
