"""Django's SQLite backend with a queue: the threads of one process write in the order in which they came.

SQLite has one writer at a time. Who finds another one there sleeps and asks again, up to 0.1 s later, and then whoever
asks at the right moment is next: of many threads some wait for seconds, or until their time is up. The queue only says
which thread of this process asks SQLite next. The lock itself is still SQLite's, for threads and processes alike.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import register_at_fork
from threading import Lock
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
SQLITE_TIMEOUT_S = 5.0  # of the sqlite3 module


class WriteQueue:
    """Whose turn it is to write to one database. A turn is handed from one to the next, so that nobody is passed by."""

    def __init__(self) -> None:
        self.guard = Lock()
        self.is_taken = False
        self.waiting: deque[Lock] = deque()

    def take(self, seconds: float) -> bool:
        """Wait for the turn. Return whether it came within so many seconds."""
        with self.guard:
            if not self.is_taken:
                self.is_taken = True
                return True
            mine = Lock()
            mine.acquire()
            self.waiting.append(mine)
        if mine.acquire(timeout=seconds):
            return True
        with self.guard:
            if mine not in self.waiting:  # it came just now
                return True
            self.waiting.remove(mine)
            return False

    def give(self) -> None:
        """Hand the turn to whoever waits longest."""
        with self.guard:
            if self.waiting:
                self.waiting.popleft().release()
            else:
                self.is_taken = False


QUEUES: defaultdict[str, WriteQueue] = defaultdict(WriteQueue)  # by path of the database
register_at_fork(after_in_child=QUEUES.clear)  # the threads that had a turn are not in the child


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that writes when it is its turn: for one statement, or for a transaction as a whole."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.turn: WriteQueue | None = None
        self.execute_wrappers.append(self.in_turn)

    def in_turn(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Execute a statement, in its turn when it writes outside a transaction."""
        if self.turn or not WRITES.match(sql):
            return execute(sql, params, many, context)
        with self.given_on_failure():
            found = execute(sql, params, many, context)
        self.turn_give()
        return found

    @contextmanager
    def given_on_failure(self) -> Iterator[None]:
        """Take the turn; give it back when the block fails."""
        self.turn_take()
        try:
            yield
        except BaseException:
            self.turn_give()
            raise

    def turn_take(self) -> None:
        """Wait for the turn as long as SQLite would wait for its lock. Raises the same error when it does not come."""
        queue = QUEUES[str(self.settings_dict["NAME"])]
        if not queue.take(self.settings_dict["OPTIONS"].get("timeout", SQLITE_TIMEOUT_S)):
            raise OperationalError("database is locked")
        self.turn = queue

    def turn_give(self) -> None:
        if self.turn:
            queue, self.turn = self.turn, None
            queue.give()

    def _start_transaction_under_autocommit(self) -> None:
        with self.given_on_failure():
            super()._start_transaction_under_autocommit()  # type: ignore[misc]

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self.turn_give()  # not after a failure: then the transaction is still open, and rolled back next

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self.turn_give()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self.turn_give()
