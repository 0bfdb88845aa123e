"""Updates of many rows, each with values of its own."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import Model


def rows_update(rows: Sequence[Model], names: Sequence[str]) -> None:
    """Save these fields of rows of one model that exist, and nothing else. For use inside a transaction.

    Sends no signals. QuerySet.bulk_update() does the same at several times the CPU: it builds a CASE of all rows for
    each field.
    """
    if not rows:
        return
    meta: Any = rows[0]._meta
    quoted = connection.ops.quote_name
    fields = [meta.get_field(name) for name in names]
    columns = ", ".join(f"{quoted(field.column)} = %s" for field in fields)
    statement = f"UPDATE {quoted(meta.db_table)} SET {columns} WHERE {quoted(meta.pk.column)} = %s"  # noqa: S608
    values = [[field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields] for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(statement, [[*each, row.pk] for each, row in zip(values, rows, strict=True)])
