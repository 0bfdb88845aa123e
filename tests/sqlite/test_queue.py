"""Writers of one process on SQLite: one after the other, in the order in which they came, and none gets stuck."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from django.db import DatabaseError, OperationalError, connection, connections, transaction

from pbxadmin.access.models import Customer
from pbxadmin.fleet.models import Lease
from pbxadmin.sqlite.base import QUEUES, WriteQueue
from tests.waiting import until

pytestmark = [
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has as many writers as it likes"),
    pytest.mark.django_db(transaction=True),
]


def queue() -> WriteQueue:
    return QUEUES[str(connection.settings_dict["NAME"])]


def in_thread(work: Callable[[], object]) -> Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    return thread


def rename(name: str) -> None:
    """Write by one statement, in no transaction."""
    Customer.objects.update(name=name)


@contextmanager
def short_patience() -> Iterator[None]:
    """Let new connections wait for a moment only."""
    options = connections.settings["default"]["OPTIONS"]
    kept = options["timeout"]
    options["timeout"] = 0.2
    try:
        yield
    finally:
        options["timeout"] = kept


def test_who_came_first_writes_first(acme: Customer) -> None:
    written: list[str] = []
    threads: list[Thread] = []

    def write(name: str) -> None:
        with transaction.atomic():
            rename(name)
            written.append(name)

    with transaction.atomic():
        rename("first")
        for place in range(8):
            threads.append(in_thread(lambda name=f"{place}": write(name)))  # type: ignore[misc]
            until(lambda count=place + 1: len(queue().waiting) == count)  # type: ignore[misc]
    for thread in threads:
        thread.join()

    assert written == [str(place) for place in range(8)]
    assert not queue().is_taken


def test_a_statement_outside_a_transaction_waits_in_line_too(acme: Customer) -> None:
    with transaction.atomic():
        rename("first")
        thread = in_thread(lambda: rename("second"))
        until(lambda: len(queue().waiting) == 1)
    thread.join()

    assert Customer.objects.get().name == "second"
    assert not queue().is_taken


def test_who_only_reads_waits_for_nobody(acme: Customer) -> None:
    seen: list[str] = []
    with transaction.atomic():
        rename("not yet")
        in_thread(lambda: seen.append(Customer.objects.get().name)).join()

    assert seen == [acme.name]


def test_who_waits_too_long_is_told_what_sqlite_tells_and_the_line_goes_on(acme: Customer) -> None:
    problems: list[str] = []

    def hopeless() -> None:
        try:
            rename("never")
        except OperationalError as error:
            problems.append(str(error))

    with transaction.atomic():
        rename("first")
        with short_patience():
            in_thread(hopeless).join()
    rename("second")

    assert problems == ["database is locked"]
    assert Customer.objects.get().name == "second"
    assert not queue().is_taken
    assert not queue().waiting


@pytest.mark.parametrize("end", ["error", "close", "statement", "commit"])
def test_a_failure_gives_the_turn_to_the_next(acme: Customer, end: str) -> None:
    ended = Event()

    def fail() -> None:
        try:
            if end == "statement":
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE no_such_table SET name = 1")
            with transaction.atomic():
                rename("never")
                if end == "commit":
                    Lease.objects.create(pbx_id=999)  # SQLite looks at foreign keys when it commits
                    return
                if end == "close":
                    connection.close()
                raise RuntimeError
        except (RuntimeError, DatabaseError):
            ended.set()

    in_thread(fail).join()

    assert ended.is_set()
    assert not queue().is_taken
    rename("next")
    assert Customer.objects.get().name == "next"


def test_a_lock_that_another_program_holds_is_waited_for_as_before(acme: Customer) -> None:
    link = connection.copy()
    link.inc_thread_sharing()
    with link.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
    first = in_thread(lambda: rename("one"))
    until(lambda: queue().is_taken)
    second = in_thread(lambda: rename("two"))
    until(lambda: len(queue().waiting) == 1)
    link.close()
    first.join()
    second.join()

    assert Customer.objects.get().name == "two"
