"""Words are looked for in an index alone, which PostgreSQL does for rows that a vacuum has seen.

By default that is after a fifth more rows, which of a log would be all those that people look for: the newest.
"""

from typing import Any

from django.db import migrations

KEEP_UP = "ALTER TABLE audit_event SET (autovacuum_vacuum_insert_scale_factor = 0.01)"
AS_BEFORE = "ALTER TABLE audit_event RESET (autovacuum_vacuum_insert_scale_factor)"


def keep_up(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(KEEP_UP)


def as_before(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(AS_BEFORE)


class Migration(migrations.Migration):

    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunPython(keep_up, as_before)]
