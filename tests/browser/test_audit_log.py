"""The log in a browser: it narrows in place, its figures follow, and a day of the plot leads to its events."""

import os
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from pbxadmin.access.roles import Role
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from tests.bench.events import fill_events

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.fixture
def many(pbx):
    """Two hundred events of thirty days, before those of today."""
    fill_events(400, customers=[(pbx.customer_id, pbx.customer.name)], days=30)
    record(
        EventAction.CHANGE_OUTCOME,
        outcome="refused",
        customer=(pbx.customer_id, pbx.customer.name),
        pbx=(pbx.pk, pbx.name),
    )


def shot(page, name):
    if os.environ.get("SHOTS"):
        page.wait_for_timeout(200)
        page.screenshot(path=f"{os.environ['SHOTS']}/{name}.png", full_page=True)


@pytest.mark.parametrize("options", [{}, PHONE, {"color_scheme": "dark"}], ids=["wide", "phone", "dark"])
def test_it_narrows_in_place_and_its_figures_follow(signed_in, many, options, request):
    page = signed_in(Role.AUDITOR, **options)
    page.goto("/audit/")
    expect(page.locator("#figures svg.bars a").first).to_be_attached()
    shot(page, f"log-{request.node.callspec.id}")

    page.locator("summary", has_text="Outcome").click()
    page.get_by_label("Refused", exact=True).check()
    expect(page).to_have_url(re.compile(r"/audit/\?outcome=refused$"))
    page.get_by_label("Verified", exact=True).check()

    expect(page).to_have_url(re.compile("outcome=refused&outcome=verified|outcome=verified&outcome=refused"))
    found = Event.objects.filter(outcome__in=["refused", "verified"]).count()
    expect(page.locator("#figures .figures li").first).to_have_text(f"{found}events")
    shot(page, f"narrowed-{request.node.callspec.id}")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert Axe().run(page).response["violations"] == []


@pytest.mark.parametrize("javascript", [True, False])
def test_a_day_of_the_plot_leads_to_its_events(signed_in, many, javascript):
    page = signed_in(Role.AUDITOR, java_script_enabled=javascript)
    page.goto("/audit/?outcome=refused")
    if not javascript:
        page.get_by_role("link", name="Figures and plot of these events").click()

    page.locator("svg.bars a").last.click()

    expect(page).to_have_url(re.compile(r"/audit/\?outcome=refused&from=[\d-]+&to=[\d-]+$"))
    expect(page.locator("[data-event]")).to_have_count(1)


def test_an_event_and_the_page_of_its_pbx_lead_to_each_other(signed_in, many, pbx):
    page = signed_in(Role.AUDITOR)
    page.goto(f"/audit/{Event.objects.filter(action='change.outcome').last().pk}/")
    shot(page, "event")
    assert Axe().run(page).response["violations"] == []

    page.goto(f"/pbxs/{pbx.pk}/")
    expect(page.locator("#timeline").get_by_role("link", name="Change").first).to_be_visible()
    shot(page, "pbx")


@pytest.mark.parametrize("width", [1440, 1000, 700])
def test_a_long_value_makes_no_page_of_the_log_scroll_sideways(signed_in, pbx, width):
    event = record(
        EventAction.PBX_PINNED,
        customer=(pbx.customer_id, pbx.customer.name),
        pbx=(pbx.pk, pbx.name),
        fields={"fingerprint": {"before": "ab" * 32, "asked": "cd" * 32}},
    )
    page = signed_in(Role.AUDITOR, viewport={"width": width, "height": 900})

    widths = {}
    for path in ("/audit/", "/audit/desk/", f"/audit/{event.pk}/"):
        page.goto(path)
        widths[path] = page.evaluate("document.documentElement.scrollWidth")

    assert max(widths.values()) <= width, widths


def test_a_browser_tells_its_zone_at_the_first_sign_in_and_the_log_has_a_switch(signed_in, many):
    page = signed_in(Role.AUDITOR, timezone_id="Asia/Tokyo")
    page.goto("/audit/?outcome=refused")
    time = page.locator("[data-event] time").first
    expect(page.get_by_text("times are Asia/Tokyo")).to_be_visible()
    expect(time).to_have_attribute("title", re.compile(r"^[\d-]+ [\d:]+ UTC$"))
    own = time.inner_text()

    page.get_by_role("link", name="UTC", exact=True).click()

    expect(page).to_have_url(re.compile(r"outcome=refused&times=utc$"))
    expect(page.get_by_text("times are UTC")).to_be_visible()
    expect(time).not_to_have_text(own)


@pytest.mark.parametrize("options", [{}, PHONE], ids=["wide", "phone"])
def test_all_exceptions_of_a_page_are_chosen_and_marked_at_once(signed_in, pbx, options):
    for _ in range(3):
        record(EventAction.CHANGE_OUTCOME, outcome="unknown", customer=(pbx.customer_id, pbx.customer.name))
    page = signed_in(Role.AUDITOR, **options)
    page.goto("/audit/desk/?kind=unknown")

    page.get_by_label("All on this page").check()
    page.get_by_label("What you found").fill("Asked Mara.")
    page.get_by_role("button", name="Mark reviewed").click()

    expect(page.get_by_text("3 exceptions marked reviewed")).to_be_visible()
