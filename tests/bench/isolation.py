"""What isolation costs: the lists as somebody with 50 memberships among 500 customers, against the site admin."""

from datetime import timedelta
from statistics import median

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from ivr.models import Change, Ivr
from ivr.selectors import IvrFilter, ivrs_found
from pbxadmin.access.models import Customer, Membership, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_create
from pbxadmin.fleet.models import Pbx

from .figures import goal, heading, in_turns, table
from .ivr_list import get, ivr, pbx, queries, signed_in

CUSTOMERS, PBXS, IVRS, CHANGES = 500, 2_000, 25, 20_000
MEMBERSHIPS = 50
ROUNDS = 15
PAGES = (
    "/ivrs/",
    "/ivrs/?q=Sales",
    "/ivrs/?q=Site-0777",
    "/ivrs/?sort=number",
    "/pbxs/",
    "/pbxs/?q=Leeds",
    "/changes/",
)


def main() -> None:
    fill()
    admin = User.objects.create_superuser("bench", password="only-for-the-bench")
    some = User.objects.create_user("some", password="only-for-the-bench")
    mine = Customer.objects.order_by("pk")[:: CUSTOMERS // MEMBERSHIPS]
    Membership.objects.bulk_create(Membership(user=some, customer=one, role=Role.HELPDESK) for one in mine)
    heading(f"{MEMBERSHIPS} of {CUSTOMERS} customers, {PBXS:,} PBXs, {PBXS * IVRS:,} IVRs, {CHANGES:,} changes")
    for page in PAGES:
        one_page(page, admin, some)
    explained(some)


def fill() -> None:
    now = timezone.now()
    customers = [customer_create(name=f"Customer_{number:03}") for number in range(CUSTOMERS)]
    pbxs = Pbx.objects.bulk_create(pbx(customers[number % CUSTOMERS], number) for number in range(PBXS))
    Ivr.objects.bulk_create(
        (ivr(one, number, now - timedelta(minutes=one.pk % 999)) for one in pbxs for number in range(IVRS)),
        batch_size=1000,
    )
    Change.objects.bulk_create((change(pbxs[number * 7 % PBXS], number) for number in range(CHANGES)), batch_size=1000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def change(on: Pbx, number: int) -> Change:
    return Change(
        form_key=str(number),
        customer_id=on.customer_id,
        customer_name=on.customer.name,
        pbx_id=on.pk,
        pbx_name=on.name,
        api_version=on.api_version,
        number=str(6500 + number % IVRS),
        name="Main_Menu",
        base={"response_timeout": "3"},
        wanted={"response_timeout": "6"},
        status=Change.Status.VERIFIED,
        planned_by_id=1,
        planned_by_name="Mara Lindqvist",
    )


def one_page(page: str, admin: User, some: User) -> None:
    ways = {"site admin": get(signed_in(admin), page), f"{MEMBERSHIPS} memberships": get(signed_in(some), page)}
    print(f"\n{page}")
    taken = in_turns(ways, ROUNDS)
    table(taken, "site admin")
    theirs, ours = taken["site admin"], taken[f"{MEMBERSHIPS} memberships"]
    goal("queries", queries(ways[f"{MEMBERSHIPS} memberships"]), 10)
    goal("x the site admin (median)", median(ours) / median(theirs), 1.5)


def explained(some: User) -> None:
    """How the database finds the first page of each list."""
    ivrs = IvrFilter()
    lists: dict[str, QuerySet[Ivr] | QuerySet[Pbx] | QuerySet[Change]] = {
        "/ivrs/": ivrs_found(some, ivrs).order_by(*ivrs.order).select_related("pbx__customer"),
        "/ivrs/?sort=number": ivrs_found(some, ivrs).order_by("number", "pbx__name", "id").select_related("pbx"),
        "/pbxs/": Pbx.objects.visible_to(some).order_by("name", "id"),
        "/changes/": Change.objects.visible_to(some).order_by("-id"),
    }
    for page, rows in lists.items():
        heading(f"EXPLAIN of {page}")
        print(rows[:51].explain())
