"""The log page, its figures and its export over many events: against an empty page, and a bare csv.writer."""

import csv
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from statistics import median
from typing import Any

from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_grant
from pbxadmin.review import rollup
from pbxadmin.review.exports import HEADER, WINDOW, events_export
from pbxadmin.review.models import DayCount
from pbxadmin.review.selectors import EventFilter, events_for, ids_within
from pbxadmin.review.views.log import LAST_PAGE
from pbxadmin.web.pages import PAGE_SIZE, Column, cursor_of

from .events import fill_events
from .figures import goal, heading, in_turns, table

EVENTS = int(os.environ.get("BENCH_EVENTS", "100000"))
CUSTOMERS, DAYS, ROUNDS, EXPORT_ROUNDS = 100, 730, 15, 5
EMPTY = "empty page"
FRAGMENT: dict[str, Any] = {"HX-Request": "true"}


def main() -> None:
    customers = [(made.pk, made.name) for made in map(make, range(CUSTOMERS))]
    fill(customers)
    everybody = signed_in(User.objects.create_superuser("bench", password="only-for-the-bench"))
    few = User.objects.create_user("few", password="only-for-the-bench")
    for pk, _ in customers[::20]:
        membership_grant(user=few, role=Role.AUDITOR, customer=Customer.objects.get(pk=pk))
    deep(everybody, "Pages of the whole log", "")
    today = timezone.now().date()
    period = f"from={today - timedelta(days=600)}&to={today - timedelta(days=200)}"
    deep(everybody, "A period", period)
    deep(everybody, "A period and two outcomes", f"{period}&outcome=verified&outcome=refused")
    period += f"&customer={customers[0][0]}"
    deep(everybody, "A customer, a period and an outcome that is common", f"{period}&outcome=verified")
    deep(everybody, "A customer, a period and an outcome that is rare", f"{period}&outcome=unknown")
    deep(signed_in(few), "Pages for an auditor of 5 customers", "")
    filters(everybody, customers[0][0], today)
    figures(everybody, customers[0][0], today)
    export()


def fill(customers: list[tuple[int, str]]) -> None:
    heading(f"{EVENTS:,} events over {DAYS} days on {connection.vendor}")
    timed("making them", lambda: fill_events(EVENTS, customers=customers, days=DAYS))
    rollup.SETTLED = timedelta(0)
    timed("rolling them up", lambda: rollup.roll_up(EVENTS))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")  # as autovacuum would
    print(f"{DayCount.objects.count():,} rows in the roll-up")


def make(number: int) -> Customer:
    """Without the event of it, which would be of today and before all others."""
    customer = Customer(name=f"Customer_{number:03}")
    customer.save()
    return customer


def timed(what: str, work: Callable[[], object]) -> None:
    began = time.perf_counter()
    work()
    print(f"{what}: {time.perf_counter() - began:.1f} s")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def get(client: Client, address: str, rows: bool | None = None, **headers: Any) -> Callable[[], None]:
    """rows: whether there must be some on the page."""

    def page() -> None:
        answer = client.get(address, headers=headers)
        if answer.status_code != 200 or (rows is not None and (b"data-event" in answer.content) != rows):
            raise RuntimeError(f"{address} answered {answer.status_code}, or rows where there are none")

    return page


def empty(client: Client) -> Callable[[], None]:
    return get(client, "/audit/?ticket=no+such+ticket", rows=False)


def deep(client: Client, what: str, query: str) -> None:
    """Page 1, page 1,000 (or the middle, where there are fewer) and the last one against an empty page."""
    user = User.objects.get(pk=client.session["_auth_user_id"])
    wanted = EventFilter.from_query(QueryDict(query))
    found = wanted.narrow(events_for(user)).order_by("-id").values_list("id", flat=True)
    count = found.count()
    number = min(1000, count // PAGE_SIZE // 2)
    cursors = {"page 1": "", "last page": LAST_PAGE}
    if number > 1:
        cursors[f"page {number:,}"] = cursor_of("n", {"id": found[(number - 1) * PAGE_SIZE - 1]}, [Column("id", True)])
    ways = {name: get(client, f"/audit/?{query}&cursor={cursor}", rows=True) for name, cursor in cursors.items()}
    heading(f"{what}: {count:,} events, {ROUNDS} rounds")
    taken = in_turns({EMPTY: empty(client), **ways}, ROUNDS)
    table(taken, EMPTY)
    times = [median(taken[name]) for name in ways]
    goal("slowest page, x an empty one (median)", max(times) / median(taken[EMPTY]), 3)
    goal("slowest page, x the fastest (median)", max(times) / min(times), 1.5)


def filters(client: Client, customer: int, today: Any) -> None:
    heading(f"First page of each filter, {ROUNDS} rounds")
    asked = {
        "words that are common": "q=lindqvist",
        "words that are rare": "q=lindqvist+no-such-word",
        "the same, all days": f"q=lindqvist+no-such-word&from={today - timedelta(days=DAYS)}",
        "a person by name": "actor=no-such-name",
        "a field": "field=fingerprint",
        "an IVR number of any PBX": "ivr=1234",
        "a PBX": "pbx=1",
        "an IVR": "pbx=1&ivr=6500",
        "a person": "actor=7",
        "a person and a rare outcome": "actor=7&outcome=unknown",
        "a ticket": "ticket=HD-10017",
        "two rare actions": "action=membership.granted&action=access.denied",
        "two rare outcomes of a customer": f"customer={customer}&outcome=unknown&outcome=not-sent",
        "a rare action of a customer": f"customer={customer}&action=membership.granted",
        "a day long ago": f"from={today - timedelta(days=500)}&to={today - timedelta(days=500)}",
    }
    ways = {name: get(client, f"/audit/?{query}") for name, query in asked.items()}
    taken = in_turns({EMPTY: empty(client), **ways}, ROUNDS)
    table(taken, EMPTY)
    goal("rare words in 90 days, x an empty page (median)", ratio(taken, "words that are rare", EMPTY), 10)


def figures(client: Client, customer: int, today: Any) -> None:
    heading(f"Figures and plot, {ROUNDS} rounds")
    asked = {
        "the whole log": "",
        "90 days": f"from={today - timedelta(days=90)}",
        "a customer": f"customer={customer}",
        "customer, period, outcome": f"customer={customer}&from={today - timedelta(days=600)}&outcome=verified",
        "a PBX, counted": "pbx=1",
        "words, counted": "q=no-such-word",
    }
    ways = {name: get(client, f"/audit/figures/?{query}", **FRAGMENT) for name, query in asked.items()}
    table(in_turns({EMPTY: empty(client), **ways}, ROUNDS), EMPTY)


def export() -> None:
    """A tenth of the log by our export, the driver and csv.writer, and csv.writer alone; the memory of all of it."""
    user = User.objects.get(username="bench")
    memory(user)
    wanted = EventFilter(since=timezone.now().date() - timedelta(days=DAYS // 10))
    first, last = ids_within(wanted.first_day, None)
    rows = [row for part in driver_rows(first or 1, last or 0) for row in part]
    alone, both = "csv.writer alone", "driver and csv.writer"
    ways = {
        alone: lambda: csv.writer(Sink()).writerows(rows),
        both: lambda: write_all(driver_rows(first or 1, last or 0)),
        "our export": lambda: deque(events_export(user=user, wanted=wanted, form="csv"), 0),
        "our export, JSON Lines": lambda: deque(events_export(user=user, wanted=wanted, form="jsonl"), 0),
    }
    heading(f"CPU of an export of {len(rows):,} events, {EXPORT_ROUNDS} rounds")
    taken = in_turns(ways, EXPORT_ROUNDS, time.process_time)
    table(taken, alone)
    goal("our export, x csv.writer alone (min)", min(taken["our export"]) / min(taken[alone]), 2.5)
    goal("our export, x driver and csv.writer (min)", min(taken["our export"]) / min(taken[both]), 2.5)


def memory(user: User) -> None:
    """Of the first export of the process: a later one would find room that is free already."""
    before, grown, size = resident(), 0, 0
    for part in events_export(user=user, wanted=EventFilter(), form="csv"):
        size += len(part)
        grown = max(grown, resident() - before)
    goal(f"MiB that the process grows by for a file of {size >> 20} MiB", grown / 2**20, 50)


def write_all(parts: Iterable[list[tuple[Any, ...]]]) -> None:
    for part in parts:
        csv.writer(Sink()).writerows(part)


def driver_rows(first: int, last: int) -> Iterator[list[tuple[Any, ...]]]:
    query = f"SELECT {', '.join(HEADER)} FROM audit_event WHERE id BETWEEN %s AND %s ORDER BY id"  # noqa: S608
    with connection.cursor() as cursor:
        for start in range(first, last + 1, WINDOW):
            cursor.execute(query, [start, min(start + WINDOW - 1, last)])
            yield cursor.fetchall()


class Sink:
    def write(self, text: str) -> int:
        return len(text)


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ratio(taken: dict[str, list[float]], name: str, against: str) -> float:
    return median(taken[name]) / median(taken[against])
