"""Every page that the matrix knows: no accessibility fault, no sideways scroll, nothing in the console."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client, override_settings
from playwright.sync_api import Browser, Page, expect

from pbxadmin.access.models import User
from tests.factories import make_user
from tests.matrix.table import OK, ROWS
from tests.matrix.world import World, make_side, make_world

NO_PAGES = {
    *("ops:healthz", "ops:readyz", "ops:metrics", "ivr:change-receipt", "review:export", "review:history"),
    "batches:batch-results",
}
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


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_no_page_has_a_fault(browser, live_server, world, width, scheme):
    viewport = {"width": width, "height": 844}
    faults = []
    with override_settings(DEBUG=False):
        page = page_of(browser, live_server.url, world.people["site admin"], color_scheme=scheme, viewport=viewport)
        page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        for name in NAMES:
            show(page, world.us.path(ROWS[name].path))
            results = Axe().run(page)
            faults += [f"{name}: {results.generate_report()}"] if results.violations_count else []
            if page.evaluate("document.documentElement.scrollWidth") > width:
                faults.append(f"{name}: scrolls sideways")

    assert [fault for fault in faults if not fault.endswith(EXPECTED)] == []


def test_the_longest_names_fit_every_page(browser, live_server, transactional_db):
    """Names without a blank, as people and PBXs have them: one must not push what stands beside it out of sight."""
    customer, pbx, ivr, numbers, notes, person = (letter * 60 for letter in "WMINOQ")
    side = make_side((customer, pbx, "6512345", ivr, "G" * 35, numbers, notes, person, "T" * 30))
    wide = []
    with override_settings(DEBUG=False):
        page = page_of(browser, live_server.url, make_user(is_superuser=True))
        for name in NAMES:
            show(page, side.path(ROWS[name].path))
            for width in (1440, 720, 390):
                page.set_viewport_size({"width": width, "height": 844})
                if page.evaluate("document.documentElement.scrollWidth") > width:
                    wide.append((name, width))

    assert wide == []
