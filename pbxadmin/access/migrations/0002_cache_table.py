"""The table of the shared cache, in which sign-in limits are counted: `migrate` alone makes no cache table."""

from typing import Any

from django.core.management import call_command
from django.db import migrations

TABLE = "access_cache"


def make(apps: Any, schema_editor: Any) -> None:
    call_command("createcachetable", TABLE, database=schema_editor.connection.alias, verbosity=0)


def drop(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(f"DROP TABLE {schema_editor.quote_name(TABLE)}", params=None)


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]

    operations = [migrations.RunPython(make, drop)]
