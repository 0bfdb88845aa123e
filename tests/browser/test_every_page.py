"""Every page that the matrix knows: no accessibility fault, no sideways scroll, no shift, nothing in the console."""

from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client, override_settings
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from pbxadmin.access.models import User
from pbxadmin.access.roles import Role
from pbxadmin.fleet.inputs import TAG_COMMA
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.fleet.services import tags_store
from tests.factories import make_user
from tests.matrix.table import OK, ROWS
from tests.matrix.world import Side, World, make_side, make_world

NO_PAGES = {
    *("ops:healthz", "ops:readyz", "ops:metrics", "ivr:change-receipt", "review:export"),
    *("batches:batch-results", "keys:docs-file"),
}
PARTS = 4  # of the pages; `.ci/run` walks through another one with each commit
SHIFT = 0.02
SUM_SHIFTS = """
  window.shift = 0;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value;
  }).observe({type: "layout-shift", buffered: true});
"""
NAMES = [name for name, row in sorted(ROWS.items()) if row.get("site admin") == OK and name not in NO_PAGES]
# The browser notes these in its console: a page without a PBX behind it, and what cannot be restored.
EXPECTED = ("503 (Service Unavailable)", "409 (Conflict)")


@pytest.fixture
def world(transactional_db: None) -> World:
    return make_world()


def page_of(browser: Browser, address: str, person: User, **options: Any) -> Page:
    client = Client()
    client.force_login(person)
    context = browser.new_context(base_url=address, **options)
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])
    return context.new_page()


def show(page: Page, path: str) -> None:
    """Open a page and wait for what it asks for when it is opened."""
    page.goto(path)
    expect(page.locator(".htmx-request")).to_have_count(0)


@pytest.mark.in_shares
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_no_page_has_a_fault(browser, live_server, world, width, scheme, part):
    viewport = {"width": width, "height": 844}
    faults = []
    with override_settings(DEBUG=False):
        page = page_of(browser, live_server.url, world.people["site admin"], color_scheme=scheme, viewport=viewport)
        page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.add_init_script(SUM_SHIFTS)
        for name in NAMES[part::PARTS]:
            show(page, world.us.path(ROWS[name].path))
            if page.evaluate("shift") > SHIFT:
                faults.append(f"{name}: moves while it comes")
            results = Axe().run(page)
            faults += [f"{name}: {results.generate_report()}"] if results.violations_count else []
            if page.evaluate("document.documentElement.scrollWidth") > width:
                faults.append(f"{name}: scrolls sideways")

    assert [fault for fault in faults if not fault.endswith(EXPECTED)] == []


def names_for(role: str) -> list[str]:
    """Return the pages that this role is shown."""
    return [name for name in NAMES if ROWS[name].get(role) == OK]


@pytest.mark.in_shares(8)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("role", Role.values)
def test_no_page_has_a_fault_for_any_role(browser, live_server, world, role, part):
    """What a role sees differs: buttons are not there, or notes stand in their place."""
    faults = []
    with override_settings(DEBUG=False):
        page = page_of(browser, live_server.url, world.people[role], color_scheme=("light", "dark")[part % 2])
        for name in names_for(role)[part::PARTS]:
            show(page, world.us.path(ROWS[name].path))
            results = Axe().run(page)
            faults += [f"{name}: {results.generate_report()}"] if results.violations_count else []

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
    return sides[1]


@pytest.mark.in_shares
@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_fits_every_width(browser, live_server, crowd, part):
    """Every 80 px: names without a blank, as people and PBXs have them, push nothing out of sight."""
    seen: set[str] = set()
    faults: dict[tuple[str, str], list[int]] = {}
    with override_settings(DEBUG=False):
        page = page_of(browser, live_server.url, make_user(is_superuser=True))
        for name in NAMES[part::PARTS]:
            show(page, crowd.path(ROWS[name].path))
            if page.url in seen:
                continue
            seen.add(page.url)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 844})
                for fault in page.evaluate(MEASURE):
                    faults.setdefault((name, fault), []).append(width)

    assert not faults, "\n".join(f"{name}: {fault} at {widths}" for (name, fault), widths in faults.items())
