"""A database that does not take what workers want to write, whichever thread asks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


class Log:
    """The table of events, which takes nothing while `is_away`."""

    def __init__(self) -> None:
        self.is_away = False

    def query(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.is_away and sql.replace('"', "").startswith("INSERT INTO audit_event"):
            raise OperationalError("the disk is full")
        return execute(sql, params, many, context)

    def watch(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        if self.query not in connection.execute_wrappers:
            connection.execute_wrappers.append(self.query)


@contextmanager
def log_watched() -> Iterator[Log]:
    """Give the log of all connections of this process, those of other threads and later ones too."""
    log = Log()
    connection_created.connect(log.watch)
    log.watch(connection)
    try:
        yield log
    finally:
        connection_created.disconnect(log.watch)
        connection.execute_wrappers.remove(log.query)


class Database:
    """The database as a server that can be away: nobody is connected, and nobody can connect or write."""

    def __init__(self) -> None:
        self.open = ExitStack()

    def goes_away(self) -> None:
        if connection.vendor == "sqlite":
            self.lock()
        else:
            self.refuse()
            self.open.callback(self.admit)

    def comes_back(self) -> None:
        self.open.close()
        connections.close_all()

    def lock(self) -> None:
        """Hold the lock that writers need, as a backup or another program does."""
        link = connection.copy()
        link.inc_thread_sharing()
        self.open.callback(link.close)
        with link.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")

    def refuse(self) -> None:
        name = connection.settings_dict["NAME"]
        self.administer(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        self.administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name)

    def admit(self) -> None:
        self.administer(f'ALTER DATABASE "{connection.settings_dict["NAME"]}" ALLOW_CONNECTIONS true')

    def administer(self, statement: str, *values: str) -> None:
        import psycopg

        at = connection.settings_dict
        where = {"host": at["HOST"], "port": at["PORT"], "user": at["USER"], "password": at["PASSWORD"]}
        with psycopg.connect(dbname="postgres", autocommit=True, **where) as link:
            link.execute(statement, values or None)


@contextmanager
def database() -> Iterator[Database]:
    """Give the database of the test, which is there again afterwards. On SQLite nobody waits long for a lock."""
    options = connections.settings["default"].setdefault("OPTIONS", {})
    kept = dict(options)
    if connection.vendor == "sqlite":
        options["timeout"] = 0.2
    connections.close_all()
    given = Database()
    try:
        yield given
    finally:
        given.comes_back()
        options.clear()
        options.update(kept)
        connections.close_all()
