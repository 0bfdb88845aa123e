"""Searching of lists: one folded text per row, and an index of its trigrams.

A model that can be found has a `SearchedField` and the method `searched_texts`. After each migration `indexes_install`
makes the index: an FTS5 table on SQLite, kept by triggers, and a GIN index of pg_trgm on PostgreSQL. Where that cannot
be made, the log says so once and the same search reads all rows.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from django.apps import apps
from django.db import DatabaseError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Lookup, Q
from django.db.models.lookups import Contains
from django.db.models.sql.compiler import SQLCompiler

from .folding import Term, searched_text, terms_of

log = logging.getLogger(__name__)

_indexed: set[tuple[str, str]] = set()  # databases and tables that have their index
Rows = TypeVar("Rows", bound="models.QuerySet[Any]")
GRAM = 3  # an index of trigrams finds nothing shorter
NO_INDEX = "search: %s has no index, every search reads all its rows: %s"


class SearchedField(models.TextField):  # type: ignore[type-arg]
    """The folded text of a row, set on each save from `searched_texts()` of the row."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        usual: dict[str, Any] = {"default": "", "editable": False, "blank": True}
        super().__init__(*args, **(usual | kwargs))

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        text = searched_text(model_instance.searched_texts())  # type: ignore[attr-defined]
        setattr(model_instance, self.attname, text)
        return text


@SearchedField.register_lookup
class Holds(Lookup[Any]):
    """Whether the folded text of a row holds this folded text."""

    lookup_name = "holds"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        return compiler.compile(Contains(self.lhs, self.rhs))

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        table = self.lhs.target.model._meta.db_table
        if len(self.rhs) < GRAM or not has_fts(connection, table):
            return self.as_sql(compiler, connection)
        row = f"{connection.ops.quote_name(self.lhs.alias)}.{connection.ops.quote_name('id')}"
        found = f'SELECT rowid FROM "{fts_of(table)}" WHERE "{fts_of(table)}" MATCH %s'  # noqa: S608
        return f"{row} IN ({found})", ['"' + self.rhs.replace('"', '""') + '"']


def holding(term: Term, lookup: str) -> Q:
    """Return the condition that the text `words` of a row holds one of the spellings of a term."""
    return reduce(or_, (Q(**{f"words__{lookup}": spelling}) for spelling in term))


def found_by(rows: Rows, typed: str, holds: Callable[[Term, str], Q] = holding) -> Rows:
    """Filter to the rows that hold each typed word. holds: the condition that a row holds a term, by a lookup.

    The longest word goes through the index, and the others are looked for in what it finds: SQLite would read the
    whole list of a common word.
    """
    terms = sorted(terms_of(typed), key=lambda term: -len(term[0]))
    for place, term in enumerate(terms):
        rows = rows.filter(holds(term, "contains" if place else "holds"))
    return rows


def searched_models() -> Iterator[tuple[str, str]]:
    """Yield the table and the column of each searched model."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, SearchedField):
                yield model._meta.db_table, field.attname


# --- the index ---


def fts_of(table: str) -> str:
    return f"{table}_fts"


def has_fts(connection: BaseDatabaseWrapper, table: str) -> bool:
    """Return whether this SQLite database has the index of a table. Asked until it has."""
    place = str(connection.settings_dict["NAME"]), table
    if place not in _indexed:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM sqlite_master WHERE name = %s", [fts_of(table)])
            if cursor.fetchone() is None:
                return False
        _indexed.add(place)
    return True


def sqlite_statements(table: str, column: str) -> dict[str, str]:
    """Return what makes the index of a table on SQLite, by the name of the table or trigger that each makes."""
    fts = fts_of(table)
    remove = f"INSERT INTO {fts} ({fts}, rowid, {column}) VALUES ('delete', OLD.id, OLD.{column});"  # noqa: S608
    add = f"INSERT INTO {fts} (rowid, {column}) VALUES (NEW.id, NEW.{column});"  # noqa: S608
    return {
        fts: f"CREATE VIRTUAL TABLE {fts} USING fts5("
        f"{column}, content='{table}', content_rowid='id', tokenize='trigram case_sensitive 1')",
        f"{fts}_insert": f"CREATE TRIGGER {fts}_insert AFTER INSERT ON {table} BEGIN {add} END",
        f"{fts}_delete": f"CREATE TRIGGER {fts}_delete AFTER DELETE ON {table} BEGIN {remove} END",
        f"{fts}_update": f"CREATE TRIGGER {fts}_update AFTER UPDATE OF {column} ON {table}"
        f" WHEN OLD.{column} <> NEW.{column} BEGIN {remove} {add} END",
    }


def install_on_sqlite(connection: BaseDatabaseWrapper, table: str, column: str) -> None:
    """Make what is missing of the index. A migration that remakes the table drops the triggers silently."""
    wanted = sqlite_statements(table, column)
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE name LIKE %s", [f"{fts_of(table)}%"])
        missing = wanted.keys() - {name for (name,) in cursor.fetchall()}
        for name in missing:
            cursor.execute(wanted[name])
        if missing:
            cursor.execute(f"INSERT INTO {fts_of(table)} ({fts_of(table)}) VALUES ('rebuild')")  # noqa: S608


def indexes_remove(connection: BaseDatabaseWrapper, table: str) -> None:
    """Drop the index of a table, if it has one."""
    _indexed.discard((str(connection.settings_dict["NAME"]), table))
    drop = [f"DROP INDEX IF EXISTS {table}_trgm"]
    if connection.vendor == "sqlite":
        triggers = [
            f"DROP TRIGGER IF EXISTS {name}" for name in sqlite_statements(table, "words") if name != fts_of(table)
        ]
        drop = [*triggers, f"DROP TABLE IF EXISTS {fts_of(table)}"]
    with connection.cursor() as cursor:
        for statement in drop:
            cursor.execute(statement)


def install_on_postgresql(connection: BaseDatabaseWrapper, table: str, column: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        cursor.execute(f"CREATE INDEX IF NOT EXISTS {table}_trgm ON {table} USING gin ({column} gin_trgm_ops)")


INSTALL = {"sqlite": install_on_sqlite, "postgresql": install_on_postgresql}


def indexes_install(using: str, tables: Sequence[tuple[str, str]] | None = None) -> None:
    """Make the indexes of all searched tables that this database has, as far as it allows."""
    connection = connections[using]
    for table, column in tables or searched_models():
        try:
            with transaction.atomic(using=using):
                if has_column(connection, table, column):
                    INSTALL[connection.vendor](connection, table, column)
        except DatabaseError as error:
            log.warning(NO_INDEX, table, str(error).splitlines()[0])


def has_column(connection: BaseDatabaseWrapper, table: str, column: str) -> bool:
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return False
        return any(found.name == column for found in connection.introspection.get_table_description(cursor, table))


def indexes_before_migrate(using: str, plan: Sequence[tuple[Any, bool]] = (), **_: Any) -> None:
    """Remove the indexes when a migration is taken back: SQLite keeps a column that a trigger names."""
    if any(is_backwards for _migration, is_backwards in plan):
        for table, _column in searched_models():
            indexes_remove(connections[using], table)


def indexes_after_migrate(using: str, **_: Any) -> None:
    indexes_install(using)
