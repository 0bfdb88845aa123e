"""Every page that the matrix knows: no accessibility fault, no sideways scroll, no shift, nothing in the console.

A page is what an address of the matrix shows: to a site admin, to somebody signed out, to the one whose own it is, to
somebody whose password was right and whose second factor is asked for, and in answer to a form that is sent empty or as
it should be. So no page can be left out of these walks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.db import transaction
from django.test import Client, override_settings
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from ivr.models import Ivr
from ivr.refresh import refresh_start
from pbxadmin.access.models import User
from pbxadmin.access.roles import Role
from pbxadmin.accounts.second_factor import factor_place
from pbxadmin.audit.context import Actor
from pbxadmin.fleet.imports import import_store
from pbxadmin.fleet.inputs import TAG_COMMA
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.fleet.services import tags_store
from pbxadmin.sealed import sealed_text
from tests.factories import PASSWORD, make_user
from tests.matrix.table import OK, ROWS, closed, led_away, not_set_up, own
from tests.matrix.world import Side, World, client_for, make_side, make_world

NO_PAGES = {
    *("ops:healthz", "ops:readyz", "ops:metrics", "ivr:change-receipt", "review:export"),
    *("batches:batch-results", "keys:docs-file"),
}
PARTS = 6  # of the pages; `.ci/run` walks through another one with each commit
SHIFT = 0.02
SUM_SHIFTS = """
  window.shift = 0;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value;
  }).observe({type: "layout-shift", buffered: true});
"""
NAMES = sorted(ROWS.keys() - NO_PAGES)
# The browser notes these in its console: a page without a PBX behind it, what cannot be restored or is not there, and a
# form with errors.
EXPECTED = ("503 (Service Unavailable)", "409 (Conflict)", "404 (Not Found)", "422 (Unprocessable Entity)")
SHOWN = (200, 404, 409, 422, 503)


@dataclass(frozen=True)
class Visit:
    """Who looks at the page of a name. sent: what is posted there, "nothing" or "a good form"; "" for a look only."""

    who: str
    name: str
    sent: str = ""

    def __str__(self) -> str:
        return f"{self.name} for {self.who}{self.sent and f' after {self.sent}'}"


HALFWAY = "halfway"  # into a sign-in: the password was right, and the code of the app is asked for


def owner_of(name: str) -> str:
    return "owner of a key" if "{security_key}" in ROWS[name].path else "owner"


VISITS = [
    *(Visit("site admin", name) for name in NAMES if ROWS[name].get not in (led_away, own)),
    *(Visit(owner_of(name), name) for name in NAMES if ROWS[name].get is own),
    *(Visit(who, "account_security") for who in ("owner", "owner of a key")),
    *(Visit(HALFWAY, "mfa_authenticate", sent) for sent in ("", "nothing")),
    *(Visit("anonymous", name) for name in NAMES if ROWS[name].get("anonymous") == OK),
    *(
        Visit("site admin", name, sent)
        for name in NAMES
        for sent in ("nothing", "a good form")
        if ROWS[name].post("site admin") == OK
    ),
]


def owners(side: Side) -> dict[str, User | None]:
    """Return site admins with what only its owner is shown, under the ids of a side: with an app, and with a key.

    Who has an app is halfway into a sign-in, too.
    """
    people = {"owner": make_user(is_superuser=True), "owner of a key": make_user(is_superuser=True)}
    person, of_key = people.values()
    codes = {"seed": sealed_text("ab" * 20, factor_place(person.pk)), "used_mask": 0}
    for kind, data in (("totp", {"secret": ""}), ("recovery_codes", codes)):
        Authenticator.objects.create(user=person, type=kind, data=data)
    key = Authenticator.objects.create(user=of_key, type="webauthn", data={"name": "G" * 30, "credential": {}})
    started = refresh_start(pbxs=[side.pbx], actor=Actor(person.pk, person.display_name))
    file = import_store(person, f"customer,name,host\n{side.customer.name},{'N' * 60},192.0.2.1\n".encode())
    side.ids |= {"refresh": started.pk, "import": file.pk, "security_key": key.pk}
    return {**people, HALFWAY: person}


class Walk:
    """A browser in which a part of the pages is opened, one after the other, each of them once."""

    def __init__(self, browser: Browser, address: str, side: Side, people: dict[str, User | None], **options: Any):
        self.browser, self.address, self.side, self.people, self.options = browser, address, side, people, options
        self.said: list[str] = []

    def pages(self, visits: list[Visit]) -> Iterator[tuple[Visit, Page]]:
        """Yield a page for each visit that leads to one."""
        seen: set[tuple[str, str]] = set()
        for who in dict.fromkeys(visit.who for visit in visits):
            page = page_of(self.browser, self.address, self.client(who), **self.options)
            page.on("console", lambda told: self.said.append(told.text) if told.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: self.said.append(str(error)))
            page.add_init_script(SUM_SHIFTS)
            for visit in visits:
                if visit.who == who and self.opens(page, visit) and (visit.sent, page.url) not in seen:
                    seen.add((visit.sent, page.url))
                    yield visit, page
            page.context.close()

    def client(self, who: str) -> Client:
        person = self.people[who]
        if who != HALFWAY or person is None:
            return client_for(person)
        client = Client()
        client.post("/accounts/login/", {"login": person.username, "password": PASSWORD})
        return client

    def opens(self, page: Page, visit: Visit) -> bool:
        """Open what a visit leads to. Return whether that is a page."""
        row = ROWS[visit.name]
        path = self.side.path(row.path)
        if not visit.sent:
            status = show(page, path)
            assert status in SHOWN, (visit, status)
            assert status != 404 or row.get in (closed, not_set_up), f"{visit}: who looks has nothing to be shown there"
            return True
        data = row.data(self.side) if visit.sent == "a good form" else {}
        client = self.client(visit.who)
        with transaction.atomic():
            answer = client.post(path, data)
            content = b"".join(answer) if answer.streaming else answer.content
            transaction.set_rollback(True)
        if answer.status_code not in SHOWN or not answer["Content-Type"].startswith("text/html"):
            return False
        headers = dict(answer.headers.items())
        page.route(f"**{path}", lambda route: route.fulfill(body=content, headers=headers, status=answer.status_code))
        show(page, path)
        page.unroute(f"**{path}")
        return True


@pytest.fixture
def world(transactional_db: None) -> World:
    world = make_world()
    world.people |= owners(world.us)
    return world


def page_of(browser: Browser, address: str, client: Client, **options: Any) -> Page:
    context = browser.new_context(base_url=address, **options)
    name = settings.SESSION_COOKIE_NAME
    if name in client.cookies:
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])
    return context.new_page()


def show(page: Page, path: str) -> int:
    """Open a page and wait for what it asks for when it is opened. Return the status of the answer."""
    answer = page.goto(path)
    expect(page.locator(".htmx-request")).to_have_count(0)
    return answer.status if answer else 0


@pytest.mark.in_shares(2)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_has_a_fault(browser, live_server, world, width, scheme, part):
    viewport = {"width": width, "height": 844}
    walk = Walk(browser, live_server.url, world.us, world.people, color_scheme=scheme, viewport=viewport)
    faults = []
    with override_settings(DEBUG=False):
        for visit, page in walk.pages(VISITS[part::PARTS]):
            if page.evaluate("shift") > SHIFT:
                faults.append(f"{visit}: moves while it comes")
            results = Axe().run(page)
            faults += [f"{visit}: {results.generate_report()}"] if results.violations_count else []
            if page.evaluate("document.documentElement.scrollWidth") > width:
                faults.append(f"{visit}: scrolls sideways")

    assert faults + [told for told in walk.said if not told.endswith(EXPECTED)] == []


@pytest.mark.in_shares(8)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("role", Role.values)
def test_no_page_has_a_fault_for_any_role(browser, live_server, world, role, part):
    """What a role sees differs: buttons are not there, or notes stand in their place."""
    walk = Walk(browser, live_server.url, world.us, world.people, color_scheme=("light", "dark")[part % 2])
    visits = [Visit(role, name) for name in NAMES if ROWS[name].get is not led_away and ROWS[name].get(role) == OK]
    faults = []
    with override_settings(DEBUG=False):
        for visit, page in walk.pages(visits[part::PARTS]):
            results = Axe().run(page)
            faults += [f"{visit}: {results.generate_report()}"] if results.violations_count else []

    assert faults == []


# What does not fit where it stands: the page itself, a cell whose words leave it, and what leaves its panel.
MEASURE = """() => {
  const name = (one) => `${one.tagName.toLowerCase()}.${one.className.baseVal ?? one.className}`.slice(0, 60);
  const scrolls = (one) => one.closest("#main .receipt, .tabs, .filters .rest, .vh, .table.lines td");
  const seen = [...document.querySelectorAll("#main *")].filter((one) => one.checkVisibility() && !scrolls(one));
  const cut = seen.filter((one) => one.matches("td, th, dd, dt, li, .panel, .note, .head")
    && one.clientWidth && one.scrollWidth > one.clientWidth + 1);
  const leaves = (one) => {
    const panel = one.closest(".panel");
    return panel && one.getBoundingClientRect().right > panel.getBoundingClientRect().right + 1;
  };
  const out = seen.filter((one) => leaves(one) && !leaves(one.parentElement));
  const page = document.documentElement.scrollWidth > innerWidth ? ["the page"] : [];
  return [...new Set([...page, ...cut.map((one) => `cut ${name(one)}`), ...out.map((one) => `out ${name(one)}`)])];
}"""
WIDTHS = range(320, 1921, 80)
PLAIN = (
    "Northwind Cold Storage & Logistics",
    "NORTHWIND-ROTTERDAM-2",
    "6512345",
    "Night_and_Weekend_Menu",
    "Rotterdam Europoort, building 7",
    "+31 10 555 0100, +31 10 555 0199",
    "Opens the gate: ring the control room first",
    "Anselm van der Waterland",
    "CHG-2026-004711",
)
LONGEST = ("W" * 60, "M" * 60, "6512345", "I" * 60, "G" * 35, "N" * 60, "O" * 60, "Q" * 60, "T" * 30)


@pytest.fixture
def crowd(transactional_db: None) -> Side:
    """Two customers, of names as people give them and as long as they may be, with PBXs in trouble."""
    sides = [make_side(PLAIN), make_side(LONGEST)]
    for side in sides:
        tags_store(side.pbx, TAG_COMMA.join(["night-service", "key-account", "q" * 30]))
    trouble = {
        "state": PbxState.UNREACHABLE,
        "state_reason": "No answer within 4 s. Is the PBX on, is port 8088 open to this server?",
        "locked_until": timezone.now() + timedelta(minutes=10),
        "paused_until": timezone.now() + timedelta(minutes=5),
        "model": "Yeastar S412",
        "firmware": "30.15.0.72",
        "read_at": timezone.now() - timedelta(days=3),
        "host": "192.168.100.200",
    }
    Pbx.objects.update(**trouble)
    Ivr.objects.update(dial_outbound="yes", flaw="The PBX listed it twice, with different values.")
    return sides[1]


@pytest.mark.in_shares
@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_fits_every_width(browser, live_server, crowd, part):
    """Every 80 px: names without a blank, as people and PBXs have them, push nothing out of sight."""
    people = {"site admin": make_user(is_superuser=True), "anonymous": None} | owners(crowd)
    walk = Walk(browser, live_server.url, crowd, people)
    faults: dict[tuple[Visit, str], list[int]] = {}
    with override_settings(DEBUG=False):
        for visit, page in walk.pages(VISITS[part::PARTS]):
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 844})
                for fault in page.evaluate(MEASURE):
                    faults.setdefault((visit, fault), []).append(width)

    assert not faults, "\n".join(f"{visit}: {fault} at {widths}" for (visit, fault), widths in faults.items())


def test_the_walks_reach_the_middle_of_a_sign_in(browser, live_server, world):
    walk = Walk(browser, live_server.url, world.us, world.people)
    shown = [(visit.sent, page.title()) for visit, page in walk.pages([v for v in VISITS if v.who == HALFWAY])]

    assert shown == [("", "Second factor · PBX Admin"), ("nothing", "Second factor · PBX Admin")]
