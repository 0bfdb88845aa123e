"""Pages of a site admin with 10,000 PBXs and 100,000 IVRs of 1,000 customers, against a tenth of all that.

On SQLite by CPU time, which a busy machine disturbs less.
"""

import time
from collections.abc import Callable
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from ivr.models import Ivr
from pbxadmin.access.models import Customer, User
from pbxadmin.access.services import customer_create
from pbxadmin.fleet.models import Pbx, PbxHealth

from .figures import goal, heading, in_turns, table
from .ivr_list import get, ivr, pbx, queries, signed_in
from .outside_list import outside_fill

FEW, MANY = 1_000, 10_000  # PBXs
PBXS_EACH, IVRS_EACH, ROUNDS = 10, 10, 10
PAGES = {
    "home": "/",
    "PBXs": "/pbxs/",
    "PBXs, health": "/pbxs/health/",
    "IVRs": "/ivrs/",
    "customers": "/customers/",
    "outside": "/outside/",
    "audit": "/audit/",
    "search": "/ivrs/?q=Site-0777",
    "search of a PBX": "/pbxs/?q=Site-0777",
}


def main() -> None:
    client = signed_in(User.objects.create_superuser("bench-pages", password="only-for-the-bench"))
    pages = {name: get(client, address) for name, address in PAGES.items()}
    few, few_queries = measured(pages, FEW)
    many, many_queries = measured(pages, MANY)
    for name in pages:
        goal(f"{name}, x {FEW:,} PBXs (min)", min(many[name]) / min(few[name]), 1.5)
        goal(f"{name}: queries", many_queries[name], few_queries[name])


def measured(pages: dict[str, Callable[[], str]], count: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Fill up to so many PBXs. Return the seconds of each page in each round, and its number of queries."""
    fill_up(count)
    heading(f"{count:,} PBXs, {Ivr.objects.count():,} IVRs, {Customer.objects.count():,} customers, {ROUNDS} rounds")
    taken = in_turns(pages, ROUNDS, time.process_time if connection.vendor == "sqlite" else time.perf_counter)
    table(taken, "home")
    return taken, {name: queries(page) for name, page in pages.items()}


def fill_up(count: int) -> None:
    """Add PBXs with their customers, IVRs and an outside change each, until there are so many."""
    there, now = Pbx.objects.count(), timezone.now()
    for number in range(there // PBXS_EACH, count // PBXS_EACH):
        customer_create(name=f"Customer_{number:04}")
    customers = list(Customer.objects.order_by("pk"))
    made = [pbx(customers[number // PBXS_EACH], number) for number in range(there, count)]
    for number, one in enumerate(made):
        one.state = "unreachable" if number % 50 == 0 else "reachable"
        one.state_at, one.read_at = now, now - timedelta(minutes=number % 90)
    Pbx.objects.bulk_create(made, batch_size=1000)
    PbxHealth.objects.bulk_create(
        PbxHealth(pbx=one, until=now, answered=9, failed=0, turns=number % 40, p50_ms=200, p95_ms=200 + number % 997)
        for number, one in enumerate(made)
    )
    rows = (ivr(one, number, now) for one in made for number in range(IVRS_EACH))
    Ivr.objects.bulk_create(rows, batch_size=1000)
    outside_fill(count - there)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
