"""What a page or an export of a long log costs, in steps of SQLite's machine, which are the same on every computer."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from pbxadmin.access.roles import Role
from pbxadmin.review.exports import events_export
from pbxadmin.review.figures import figures
from pbxadmin.review.rollup import roll_up
from pbxadmin.review.selectors import EventFilter, events_for
from pbxadmin.review.views.log import log_page
from tests.bench.events import fill_events
from tests.factories import make_customer, make_user
from tests.walks import walked

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="counts the steps of SQLite's machine"),
]
DAYS = 30


@pytest.fixture
def acme():
    return make_customer("Acme Logistics")


@pytest.fixture(params=["everything", "a customer"])
def user(request, acme):
    return make_user(is_superuser=True) if request.param == "everything" else make_user(Role.AUDITOR, acme)


@pytest.fixture(params=["", "since"])
def wanted(request):
    return EventFilter(since=datetime.now(UTC).date() - timedelta(days=DAYS + 1) if request.param else None)


def fill(customer, count):
    fill_events(count, customers=[(customer.pk, customer.name)], days=DAYS)


def steps_of(work):
    steps = []
    connection.connection.set_progress_handler(lambda: steps.append(1), 10)
    work()
    connection.connection.set_progress_handler(None, 0)
    return len(steps)


def test_an_export_of_four_times_as_many_events_is_four_times_the_work(acme, user, wanted, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.exports.WINDOW", 10)
    fill(acme, 200)
    few = steps_of(lambda: list(events_export(user=user, wanted=wanted, form="csv")))
    fill(acme, 600)

    many = steps_of(lambda: list(events_export(user=user, wanted=wanted, form="csv")))

    assert many < 5 * few


@pytest.mark.parametrize("outcomes", [(), ("verified", "refused")])
def test_a_deep_page_is_no_more_work_than_the_first(acme, user, wanted, outcomes, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.views.log.PAGE_SIZE", 5)
    fill(acme, 1500)
    wanted = EventFilter(since=wanted.since, outcomes=outcomes)

    def page_after(page):
        return log_page(events_for(user), wanted, page.next_cursor) if page.next_cursor else None

    pages = walked(log_page(events_for(user), wanted, ""), page_after)

    def steps(cursor):
        return steps_of(lambda: log_page(events_for(user), wanted, cursor))

    first = steps("")
    for near in (1, len(pages) // 2, len(pages) - 2):
        assert steps(pages[near].next_cursor) < 2 * first
        assert steps(pages[near].previous_cursor) < 2 * first


def test_figures_of_a_day_are_no_more_work_for_all_that_was_rolled_up_before(acme, user, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.rollup.SETTLED", timedelta(0))
    wanted = EventFilter(since=datetime.now(UTC).date() - timedelta(days=DAYS + 1))
    fill(acme, 100)
    roll_up()
    few = steps_of(lambda: figures(user, wanted))
    fill(acme, 2000)
    roll_up()

    many = steps_of(lambda: figures(user, wanted))

    assert many < 5 * few


def test_an_export_does_not_map_its_file_into_the_memory_of_the_process(user):
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA mmap_size = 1000000").fetchone() == (1_000_000,)

        list(events_export(user=user, wanted=EventFilter(), form="csv"))

        assert cursor.execute("PRAGMA mmap_size").fetchone() == (0,)
