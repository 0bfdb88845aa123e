"""Home of a site admin with 10,000 PBXs against the same with 1,000, each with 5 IVRs, and one in fifty in trouble."""

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from ivr.models import Ivr
from pbxadmin.access.models import Customer, User
from pbxadmin.access.services import customer_create
from pbxadmin.fleet.models import Pbx

from .figures import goal, heading, in_turns, table
from .ivr_list import get, ivr, pbx, queries, signed_in

CUSTOMERS, FEW, MANY, IVRS_EACH = 100, 1_000, 10_000, 5
ROUNDS = 10


def main() -> None:
    admin = User.objects.create_superuser("bench-home", password="only-for-the-bench")
    home = get(signed_in(admin), "/")
    for number in range(CUSTOMERS):
        customer_create(name=f"Customer_{number:03}")
    found = {}
    for count in (FEW, MANY):
        fleet_fill(count)
        heading(f"Home with {count:,} PBXs, {ROUNDS} rounds")
        found[count] = in_turns({"home": home}, ROUNDS)["home"]
        table({"home": found[count]}, "home")
        goal("queries", queries(home), 12)
        print(f"{home().count('square='):,} squares, {len(home()) / 1024:.0f} KiB")
    goal(f"home with {MANY:,} PBXs, x {FEW:,} (min)", min(found[MANY]) / min(found[FEW]), 2.0)


def fleet_fill(count: int) -> None:
    """Add PBXs until there are so many."""
    now = timezone.now()
    customers, there = list(Customer.objects.all()), Pbx.objects.count()
    made = [pbx(customers[number % CUSTOMERS], number) for number in range(there, count)]
    for number, one in enumerate(made):
        one.state = "unreachable" if number % 50 == 0 else "reachable"
        one.state_at, one.read_at = now, now - timedelta(minutes=number % 90)
    Pbx.objects.bulk_create(made, batch_size=1000)
    ivrs = (ivr(one, number, now) for one in made for number in range(IVRS_EACH))
    Ivr.objects.bulk_create(ivrs, batch_size=1000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
