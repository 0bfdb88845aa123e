"""Changes by hour and weekday: in the zone of the customer, with what was done outside its working hours."""

import re
from datetime import UTC, datetime, time

import pytest

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.review.hours import hours_plot
from pbxadmin.review.selectors import EventFilter
from tests.factories import make_user

pytestmark = pytest.mark.django_db
FRIDAY = datetime(2026, 3, 27, 7, 30, tzinfo=UTC)  # 08:30 in Berlin
MONDAY = datetime(2026, 3, 30, 6, 30, tzinfo=UTC)  # 08:30 again, after the clocks went on
NIGHT = datetime(2026, 3, 30, 20, 30, tzinfo=UTC)  # 22:30


def change_at(time_machine, customer, at):
    time_machine.move_to(at, tick=False)
    record(EventAction.CHANGE_SENDING, outcome="sending", customer=(customer.pk, customer.name))
    record(EventAction.CHANGE_OUTCOME, outcome="verified", customer=(customer.pk, customer.name))


@pytest.fixture
def worked(time_machine, acme):
    acme.time_zone, acme.hours_from, acme.hours_to, acme.working_days = "Europe/Berlin", time(8), time(18), "12345"
    acme.save()
    for at in (FRIDAY, MONDAY, MONDAY, NIGHT):
        change_at(time_machine, acme, at)
    return acme


def counted(plot):
    return {(cell.weekday, cell.hour): cell.count for cell in plot.cells if cell.count}


def test_hours_are_those_of_the_chosen_customer_across_a_change_of_clocks(worked):
    plot = hours_plot(make_user("auditor", worked), EventFilter(customer=worked.pk))

    assert plot is not None
    assert counted(plot) == {(4, 8): 1, (0, 8): 2, (0, 22): 1}
    assert (plot.total, plot.outside, plot.zone) == (4, 1, "Europe/Berlin")
    at_work = {(cell.weekday, cell.hour) for cell in plot.cells if cell.is_at_work}
    assert at_work == {(day, hour) for day in range(5) for hour in range(8, 18)}


def test_without_a_customer_they_are_those_of_the_person(client, worked):
    client.force_login(make_user("auditor", worked, time_zone="Asia/Tokyo"))

    page = client.get("/audit/hours/").content.decode()

    assert "by the clock of Asia/Tokyo" in page
    assert "Friday 16:00 to 17:00: 1 change" in page
    assert "by the clock of UTC" in client.get("/audit/hours/?times=utc").content.decode()


def test_the_table_says_the_same(client, worked):
    client.force_login(make_user("auditor", worked))
    page = client.get(f"/audit/hours/?customer={worked.pk}").content.decode()

    rows = re.findall(r"<tr>\s*<td>(\d\d):00</td>\s*(.*?)</tr>", page, re.DOTALL)
    counts = {int(hour): [int(count) for count in re.findall(r">(\d+)<", cells)] for hour, cells in rows}

    assert {hour: row for hour, row in counts.items() if any(row)} == {
        8: [2, 0, 0, 0, 1, 0, 0],
        22: [1, 0, 0, 0, 0, 0, 0],
    }
    assert len(counts) == 24


def test_the_largest_mark_is_of_the_most_changes_and_one_is_seen(worked):
    plot = hours_plot(make_user("auditor", worked), EventFilter(customer=worked.pk))

    assert plot is not None
    sides = {cell.count: cell.side for cell in plot.cells}
    assert sides == {0: 0.0, 1: 14.1, 2: 20.0}


def test_of_others_and_of_none_nothing_is_drawn(client, worked, bellweather):
    client.force_login(make_user("auditor", bellweather))

    assert "No change" in client.get("/audit/hours/").content.decode()
    assert "No change" in client.get(f"/audit/hours/?customer={worked.pk}").content.decode()
