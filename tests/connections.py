"""Fails a test that leaves a database connection open in a thread that has ended.

Such a connection stays until the garbage collector finds it: PostgreSQL then refuses to drop the test database, or a
later test is blamed for the warning.
"""

from collections.abc import Generator
from threading import Thread, current_thread
from typing import Any

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_opened: list[tuple[BaseDatabaseWrapper, Thread]] = []


def note_thread(connection: BaseDatabaseWrapper, **_: Any) -> None:
    _opened.append((connection, current_thread()))


connection_created.connect(note_thread)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    yield
    left = left_open()
    assert not left, f"database connections left open by ended threads: {', '.join(left)}"


def left_open() -> list[str]:
    """Return the names of ended threads that left a connection open, and close those connections."""
    ended = [(connection, thread) for connection, thread in _opened if not thread.is_alive()]
    _opened[:] = [(connection, thread) for connection, thread in _opened if thread.is_alive() and connection.connection]
    names = [thread.name for connection, thread in ended if connection.connection]
    for connection, _ in ended:
        connection.inc_thread_sharing()
        connection.close()
    return names
