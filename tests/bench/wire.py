"""What each page costs a browser: bytes, shifts, when its largest part is there; beside Django's admin.

`manage.py serve` runs as people start it, with Django's admin of the same models added for this measurement only, and
Chromium opens each page as a site admin. Bytes are those on the wire, headers and padding against BREACH included:
*first* with an empty cache, *next* after another page. Times are with a CPU that is slowed down to a quarter.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from ivr.models import Change, Ivr
from pbxadmin.access.models import Customer, User
from pbxadmin.access.services import customer_create
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import Batch
from pbxadmin.fleet.models import Pbx
from pbxadmin.review.desk import desk_read
from pbxadmin.review.periods import month, period_add
from pbxadmin.review.rollup import roll_up
from tests.browser.chromium import CHROMIUM, FLAGS
from tests.browser.test_every_page import SHIFT, SUM_SHIFTS
from tests.factories import make_pbx

from .batch_page import running
from .events import fill_events
from .figures import goal, heading
from .fleet import DistantFleet, distant_fleet
from .history import changes
from .ivr_list import ivr, pbx
from .load import served
from .outside_list import outside_fill
from .refresh_run import record_of

SIZES = (12, 300)  # PBXs
PBXS_EACH, IVRS_EACH, EVENTS, CHANGES, OUTSIDE = 10, 5, 2_000, 200, 100
THROTTLE, LOADS = 4, 3
FIRST, NEXT, LOG, PAINT_S = 60.0, 15.0, 20.0, 1.0
KB = 1000
SETTINGS = "tests.bench.wire_settings"
PAINTED = """
  window.paint = 0;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) window.paint = one.startTime;
  }).observe({type: "largest-contentful-paint", buffered: true});
"""


@dataclass
class Cost:
    """Of one page. first, later: bytes; shift: the most that was seen; paints: milliseconds."""

    first: int = 0
    later: int = 0
    shift: float = 0.0
    paints: list[float] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


def main() -> None:
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright keeps an event loop in this thread
    with distant_fleet(1, 0.0) as fleet:
        edited = first_pbx(fleet)
        for count in SIZES:
            fill_up(count)
            with served("--no-work", DJANGO_SETTINGS_MODULE=SETTINGS) as address, chromium() as browser:
                heading(f"{count} PBXs, {Ivr.objects.count():,} IVRs, load {os.getloadavg()[0]:.1f}")
                report(measured(browser, address, pages(edited)), address)


def first_pbx(fleet: DistantFleet) -> Pbx:
    """Return the one PBX that answers, of a customer of its own."""
    return make_pbx(customer_create(name="Customer_of_one"), **record_of(fleet.pbxs[0]), read_at=timezone.now())


def fill_up(count: int) -> None:
    """Add PBXs with customers, IVRs, changes and events until there are so many."""
    there, now = Pbx.objects.count(), timezone.now()
    customers = [customer_create(name=f"Customer_{number:03}") for number in range(there, count, PBXS_EACH)]
    made = [pbx(customers[place // PBXS_EACH], number) for place, number in enumerate(range(there, count))]
    for number, one in enumerate(made):
        one.state = "unreachable" if number % 50 == 7 else "reachable"
        one.state_at, one.read_at = now, now - timedelta(minutes=number % 90)
    Pbx.objects.bulk_create(made)
    read = Pbx.objects.filter(ivrs=None)
    Ivr.objects.bulk_create((ivr(one, number, now) for one in read for number in range(IVRS_EACH)), batch_size=1000)
    Change.objects.bulk_create(change for one in read[:1] for change in changes(one, CHANGES))
    outside_fill(OUTSIDE)
    fill_events(EVENTS, customers=list(Customer.objects.values_list("pk", "name")), days=30)
    desk_read()
    roll_up()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def pages(edited: Pbx) -> dict[str, tuple[str, str]]:
    """Return, by name, the address of each page and of that of the admin for the same rows."""
    admin = User.objects.create_superuser(f"bench-wire-{User.objects.count()}", password="only-for-the-bench")
    row, event = Ivr.objects.filter(pbx=edited)[0], Event.objects.filter(action="change.outcome")[0]
    change = Change.objects.filter(status="verified")[0]
    customer = Customer.objects.latest("pk")
    start, end = month(timezone.now().date())
    period = period_add(customer=customer, starts_on=start, ends_on=end, by=admin.username)
    batch: Batch = running(admin, IVRS_EACH * PBXS_EACH)
    return {
        "sign-in": ("/accounts/login/", "/admin/login/"),
        "Home": ("/", "/admin/"),
        "IVRs": ("/ivrs/", "/admin/ivr/ivr/"),
        "IVRs, a search": ("/ivrs/?q=Sales", "/admin/ivr/ivr/?q=Sales"),
        "an IVR": (f"/pbxs/{edited.pk}/ivrs/{row.number}/", ""),
        "the form of an IVR": (f"/pbxs/{edited.pk}/ivrs/6500/edit/", f"/admin/ivr/ivr/{row.pk}/change/"),
        "PBXs": ("/pbxs/", "/admin/fleet/pbx/"),
        "their health": ("/pbxs/health/", ""),
        "a PBX": (f"/pbxs/{edited.pk}/", ""),
        "the form of a PBX": (f"/pbxs/{edited.pk}/edit/", f"/admin/fleet/pbx/{edited.pk}/change/"),
        "customers": ("/customers/", "/admin/access/customer/"),
        "a customer": (f"/customers/{customer.pk}/", f"/admin/access/customer/{customer.pk}/change/"),
        "changes": ("/changes/", "/admin/ivr/change/"),
        "a change": (f"/changes/{change.pk}/", f"/admin/ivr/change/{change.pk}/change/"),
        "outside changes": ("/outside/", ""),
        "policies": ("/policies/", ""),
        "batches": ("/batches/", ""),
        "a batch of 50": (batch.get_absolute_url(), ""),
        "audit": ("/audit/", "/admin/audit/event/"),
        "an event": (f"/audit/{event.pk}/", f"/admin/audit/event/{event.pk}/change/"),
        "desk": ("/audit/desk/", ""),
        "figures": ("/audit/figures/", ""),
        "periods": ("/audit/periods/", ""),
        "a period": (f"/audit/periods/{period.pk}/", ""),
        "people": ("/people/", ""),
        "your account": ("/accounts/security/", ""),
        "help": ("/help/", ""),
    }


def measured(browser: Browser, address: str, named: dict[str, tuple[str, str]]) -> dict[str, tuple[Cost, Cost | None]]:
    admin = User.objects.latest("pk")
    meter = Meter(browser, address, admin)
    return {
        name: (meter.cost(ours, "/help/"), meter.cost(theirs, "/admin/") if theirs else None)
        for name, (ours, theirs) in named.items()
    }


class Tab:
    """A page of a browser with an empty cache. received: bytes on the wire so far; hosts: which were asked."""

    def __init__(self, context: BrowserContext) -> None:
        self.received, self.hosts = 0, set[str]()
        self.page = context.new_page()
        self.page.add_init_script(SUM_SHIFTS + PAINTED)
        self.session = context.new_cdp_session(self.page)
        self.session.on("Network.loadingFinished", self.count)
        self.session.on("Network.requestWillBeSent", self.note)
        self.session.send("Network.enable")

    def count(self, told: dict[str, Any]) -> None:
        self.received += int(told["encodedDataLength"])

    def note(self, told: dict[str, Any]) -> None:
        self.hosts.add(urlsplit(told["request"]["url"]).netloc)

    def open(self, path: str) -> int:
        """Open a page and wait until nothing more comes. Return its bytes on the wire."""
        before = self.received
        answer = self.page.goto(path, wait_until="networkidle")
        if answer is None or answer.status != 200:
            raise RuntimeError(f"{path} answered {answer and answer.status}")
        expect(self.page.locator(".htmx-request")).to_have_count(0)
        return self.received - before


class Meter:
    """Opens pages as somebody, each time in a browser that knows nothing yet, and counts what that costs."""

    def __init__(self, browser: Browser, address: str, person: User) -> None:
        self.browser, self.address = browser, address
        client = Client()
        client.force_login(person)
        name = settings.SESSION_COOKIE_NAME
        self.cookie = {"name": name, "value": client.cookies[name].value, "url": address}

    def cost(self, path: str, before: str) -> Cost:
        """Return what a page costs first, and after the page `before`."""
        cost = Cost()
        with self.tab(path) as tab:
            cost.first = tab.open(path)
        with self.tab(path) as tab:
            tab.open(before)
            cost.later = tab.open(path)
        for _ in range(LOADS):
            with self.tab(path) as tab:
                tab.session.send("Emulation.setCPUThrottlingRate", {"rate": THROTTLE})
                tab.open(path)
                cost.shift = max(cost.shift, tab.page.evaluate("shift"))
                cost.paints.append(tab.page.evaluate("paint"))
                cost.hosts |= tab.hosts
        return cost

    @contextmanager
    def tab(self, path: str) -> Iterator[Tab]:
        """Yield a tab of somebody who is signed in, but for the page to sign in on."""
        context = self.browser.new_context(base_url=self.address)
        if "login" not in path:
            context.add_cookies([self.cookie])  # type: ignore[list-item]
        yield Tab(context)
        context.close()


def report(costs: dict[str, tuple[Cost, Cost | None]], address: str) -> None:
    """Print a row for each page, and which goals are met."""
    print("| Page | First KB | Next KB | CLS | LCP ms | Admin: first KB | next KB | CLS | LCP ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, (ours, theirs) in costs.items():
        print(f"| {name} | {cells(ours)} | {cells(theirs) if theirs else ' | | | '} |")
    of_us = {name: ours for name, (ours, _) in costs.items()}
    for name, cost in of_us.items():
        goal(f"{name}: KB of the first load", cost.first / KB, FIRST)
        goal(f"{name}: KB after another page", cost.later / KB, LOG if name == "audit" else NEXT)
        goal(f"{name}: layout shift", cost.shift, SHIFT)
        goal(f"{name}: s to the largest part", median(cost.paints) / KB, PAINT_S)
    asked = {host for cost in of_us.values() for host in cost.hosts}
    goal("other hosts that were asked", len(asked - {urlsplit(address).netloc, ""}), 0)


def cells(cost: Cost) -> str:
    return f"{cost.first / KB:.1f} | {cost.later / KB:.1f} | {cost.shift:.3f} | {median(cost.paints):.0f}"


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
