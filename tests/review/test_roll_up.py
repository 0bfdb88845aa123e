"""The roll-up counts every event once, whatever happens beside it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.ops.tick import JOBS
from pbxadmin.review.models import ALL_CUSTOMERS, Day, DayCount, RolledUp
from pbxadmin.review.rollup import roll_up
from tests.bench.events import fill_events

ACME = (1, "Acme Logistics")


def counted():
    keys = DayCount.objects.values_list("day", "customer_id", "action", "outcome", "count")
    found = {tuple(key): count for *key, count in keys}
    everybody: Counter[tuple[Any, ...]] = Counter()
    for (day, customer, action, outcome), count in found.items():
        everybody[day, action, outcome] += count if customer != ALL_CUSTOMERS else -count
    assert not any(everybody.values())
    return {key: count for key, count in found.items() if key[1] != ALL_CUSTOMERS}


def in_the_log():
    events = Event.objects.values_list("at", "customer_id", "action", "outcome")
    return Counter((at.date(), customer or 0, action, outcome) for at, customer, action, outcome in events)


@pytest.mark.django_db
def test_it_is_the_count_over_the_events_however_it_is_cut_into_steps(monkeypatch):
    fill_events(700, customers=[ACME, (2, "Bellweather Clinics")], days=9)
    monkeypatch.setattr("pbxadmin.review.rollup.EVENTS_PER_STEP", 64)
    monkeypatch.setattr("pbxadmin.review.rollup.SETTLED", timedelta(0))

    assert [roll_up(3), roll_up(3), roll_up(20), roll_up(20)] == [192, 192, 316, 0]

    assert counted() == in_the_log()
    for row in Day.objects.all():
        ids = [event.pk for event in Event.objects.order_by("pk") if event.at.date() == row.day]
        assert (row.first_id, row.last_id) == (ids[0], ids[-1])


@pytest.mark.django_db
def test_an_event_is_left_until_it_has_settled():
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    made = []
    for minutes in (20, 15, 14):
        with time_machine.travel(now - timedelta(minutes=minutes), tick=False):
            made.append(record(EventAction.SESSION_FAILED).pk)

    with time_machine.travel(now, tick=False):
        assert roll_up() == 2
    assert RolledUp.objects.get().up_to == made[1]

    with time_machine.travel(now + timedelta(minutes=1), tick=False):
        assert roll_up() == 1


@pytest.mark.django_db
def test_a_clock_that_ran_ahead_makes_it_wait_and_one_that_ran_behind_is_counted_on_its_day():
    for day in (1, 9, 2):
        with time_machine.travel(datetime(2026, 3, day, 12, tzinfo=UTC), tick=False):
            record(EventAction.SESSION_FAILED)

    with time_machine.travel(datetime(2026, 3, 3, tzinfo=UTC), tick=False):
        assert roll_up() == 1
    with time_machine.travel(datetime(2026, 3, 10, tzinfo=UTC), tick=False):
        assert roll_up() == 2

    assert counted() == in_the_log()


@pytest.mark.django_db
def test_a_time_far_ahead_which_no_clock_says_holds_nothing_up():
    for year in (2026, 2060, 2026):
        with time_machine.travel(datetime(year, 3, 1, 12, tzinfo=UTC), tick=False):
            record(EventAction.SESSION_FAILED)

    with time_machine.travel(datetime(2026, 3, 2, tzinfo=UTC), tick=False):
        assert roll_up() == 3

    assert counted() == in_the_log()


@pytest.mark.django_db(transaction=True)
def test_processes_that_roll_up_at_once_count_no_event_twice(monkeypatch):
    fill_events(900, customers=[ACME], days=3)
    monkeypatch.setattr("pbxadmin.review.rollup.EVENTS_PER_STEP", 50)
    monkeypatch.setattr("pbxadmin.review.rollup.SETTLED", timedelta(0))

    def work(_):
        try:
            return roll_up(30)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        total = sum(pool.map(work, range(4)))
    total += roll_up(30)

    assert total == 900
    assert counted() == in_the_log()


def test_the_tick_does_it():
    assert roll_up in JOBS
