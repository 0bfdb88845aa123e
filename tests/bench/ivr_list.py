"""The list of IVRs over 50,000 snapshots, against Django's admin of the same table with the same search."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from statistics import median

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ivr.models import Ivr
from ivr.selectors import IVR_SORTS, IvrFilter, ivrs_found
from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_create, membership_grant
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.pages import Column, cursor_of

from .figures import goal, heading, in_turns, table

CUSTOMERS, PBXS, IVRS = 100, 2_500, 20
ROUNDS = 15
DEEP = 20
SITES = ("Leeds", "Bristol", "Hull", "York", "Cork", "Ghent", "Lyon", "Porto", "Turin", "Graz")
MENUS = ("Main_Menu", "After_Hours", "Sales", "Support", "Welcome", "Billing", "Holidays", "Warehouse")
# A menu on one PBX in every eight rows, one PBX, one customer, two words at once.
SEARCHES = ("Sales", "Site-0777", "Customer_042", "Leeds Support")
OURS, ADMIN, LEAN = "/ivrs/", "/admin/ivr/ivr/", "/lean/ivr/ivr/"


def main() -> None:
    fill()
    client = signed_in(User.objects.create_superuser("bench", password="only-for-the-bench"))
    few = User.objects.create_user("few", password="only-for-the-bench")
    for customer in Customer.objects.all()[:5]:
        membership_grant(user=few, role=Role.HELPDESK, customer=customer)
    for search in SEARCHES:
        first_page(client, search)
    heading(f"The same list without a search, and for somebody who works for 5 of {CUSTOMERS} customers")
    taken = in_turns({"all customers": get(client, OURS), "5 customers": get(signed_in(few), OURS)}, ROUNDS)
    table(taken, "all customers")
    deep_pages(client, "Sales")
    deep_pages(client, "")
    sorts(client)


def fill() -> None:
    now = timezone.now()
    customers = [customer_create(name=f"Customer_{number:03}") for number in range(CUSTOMERS)]
    pbxs = Pbx.objects.bulk_create(pbx(customers[number % CUSTOMERS], number) for number in range(PBXS))
    Ivr.objects.bulk_create(
        (ivr(pbx, number, now - timedelta(minutes=pbx.pk % 999)) for pbx in pbxs for number in range(IVRS)),
        batch_size=1000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def pbx(customer: Customer, number: int) -> Pbx:
    site = SITES[number % len(SITES)]
    return Pbx(
        customer=customer,
        name=f"Site-{number:04}",
        host="pbx.invalid",
        username="api",
        site=f"{site}, {number} Harbour Road",
        main_numbers=f"0113 496 {number:04}",
        notes="Cabinet in the cellar. The key is at the desk." if number % 3 == 0 else "",
    )


def ivr(pbx: Pbx, number: int, read_at: datetime) -> Ivr:
    turn = pbx.pk * 3 + number
    values = {
        "number": str(6500 + number),
        "name": f"{MENUS[turn % len(MENUS)]}_{number}",
        "prompt": "[Default]",
        "prompt_repeat": str(1 + turn % 5),
        "response_timeout": str(1 + turn % 10),
        "digit_timeout": str(1 + turn % 10),
        "dial_extension": "on" if turn % 3 == 0 else "off",
        "dial_outbound": "on" if turn % 7 == 0 else "off",
        "check_voicemail": "on" if turn % 5 == 0 else "off",
    }
    return Ivr(pbx=pbx, **values, response_timeout_s=1 + turn % 10, raw=values, read_at=read_at)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def get(client: Client, address: str, **headers: str) -> Callable[[], str]:
    def page() -> str:
        answer = client.get(address, headers=headers)
        if answer.status_code != 200:
            raise RuntimeError(f"{address} answered {answer.status_code}")
        return answer.content.decode()

    return page


def queries(ask: Callable[[], str]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        ask()
    return len(captured)


def first_page(client: Client, search: str) -> None:
    """Our first page of a search against the admin's, as it comes and with its own means to be faster."""
    heading(f"First page of {CUSTOMERS} customers' {PBXS * IVRS:,} IVRs, searched for {search}, {ROUNDS} rounds")
    listed, admin, lean = (get(client, f"{address}?q={search.replace(' ', '+')}") for address in (OURS, ADMIN, LEAN))
    rows, theirs = listed().count("<tr data-ivr"), admin().count('class="action-select"')
    taken = in_turns({"admin change list": admin, "admin without a full count": lean, "our list": listed}, ROUNDS)
    table(taken, "admin change list")
    print(f"rows on the page: {rows} and the admin's {theirs}; queries: {queries(listed)} and {queries(admin)}")
    goal("queries of our list", queries(listed), 8)
    goals("x the admin", taken, "our list", "admin change list", 0.4)


def deep_pages(client: Client, q: str) -> None:
    """The page after so many clicks on Next, and one in the last tenth of what was found, against the first."""
    first = f"{OURS}?q={q}"
    clicked = first
    for _ in range(DEEP):
        clicked = after(get(client, clicked)())
    heading(f"Deep pages of {first}, {ROUNDS} rounds")
    clicks, end = f"after {DEEP} clicks on Next", "in the last tenth"
    far = f"{first}&cursor={cursor_at(q, 0.95)}"
    ways = {"first page": get(client, first), clicks: get(client, clicked), end: get(client, far)}
    if any("<tr data-ivr" not in way() for way in ways.values()):
        raise RuntimeError("a page is empty")
    taken = in_turns(ways, ROUNDS)
    table(taken, "first page")
    goals(f"{clicks}, x the first page", taken, clicks, "first page", 1.5)
    goals(f"{end}, x the first page", taken, end, "first page", 1.5)


def goals(text: str, taken: dict[str, list[float]], name: str, against: str, at_most: float) -> None:
    goal(f"{text} (min)", min(taken[name]) / min(taken[against]), at_most)
    goal(f"{text} (median)", median(taken[name]) / median(taken[against]), at_most)


def after(page: str) -> str:
    found = re.search(r'href="([^"]*)" rel="next"', page)
    if found is None:
        raise RuntimeError("there is no next page")
    return OURS + unescape(found[1])


def cursor_at(q: str, part: float) -> str:
    """The cursor of the row that has this part of all that is found before it."""
    wanted = IvrFilter(q=q)
    found = ivrs_found(User.objects.get(username="bench"), wanted).order_by(*wanted.order).values(*wanted.order)
    return cursor_of("n", found[int(found.count() * part)], [Column(name, False) for name in wanted.order])


def sorts(client: Client) -> None:
    heading(f"First page in each order, {ROUNDS} rounds")
    ways = {f"by {name}": get(client, f"{OURS}?sort={name}") for name in IVR_SORTS}
    table(in_turns(ways, ROUNDS), f"by {next(iter(IVR_SORTS))}")
