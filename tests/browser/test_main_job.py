"""The main job in a browser: find an IVR, change it, see it proven. With JavaScript on and off."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from pbxadmin.access.roles import Role


@pytest.mark.parametrize("javascript", [True, False])
def test_helpdesk_finds_an_ivr_changes_one_number_and_sees_proof(signed_in, pbx, twin, javascript):
    page = signed_in(java_script_enabled=javascript)

    page.get_by_label("Search everything").fill("main acme")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Response timeout").fill("7")
    page.get_by_label("Ticket").fill("INC-4411")
    page.get_by_role("button", name="Review change").click()
    expect(page.locator("[data-outcome=planned]")).to_be_visible()
    assert twin.count("ivr/update") == 0
    page.get_by_role("button", name="Apply on ACME-HQ").click()

    expect(page.locator("[data-outcome=verified]")).to_be_visible()
    expect(page.get_by_role("heading", name="Verified")).to_be_visible()
    expect(page.locator("#receipt")).to_contain_text("VERIFIED: read back, all as asked")
    expect(page).to_have_url(re.compile(r"/changes/\d+/$"))
    assert twin.ivrs["6500"]["responsetimeout"] == "7"
    assert twin.count("ivr/update") == 1


def test_with_the_keyboard_one_lands_on_the_outcome_of_what_one_applied(signed_in, pbx):
    page = signed_in()
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    page.get_by_label("Response timeout").fill("7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Planned change of 6500")).to_be_focused()

    page.get_by_role("button", name="Apply on ACME-HQ").press("Enter")

    expect(page.get_by_role("heading", name="Verified")).to_be_focused()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_wrong_value_is_told_beside_its_field_and_nothing_typed_is_lost(signed_in, pbx, javascript):
    page = signed_in(java_script_enabled=javascript)
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")

    page.get_by_label("Reason").fill("callers say so")
    page.get_by_label("Digit timeout").fill("11")
    page.get_by_role("button", name="Review change").click()

    expect(page.locator("[data-error-for=digit_timeout]")).to_have_text("Enter a whole number from 1 to 10.")
    expect(page.get_by_label("Digit timeout")).to_be_focused()
    expect(page.get_by_label("Reason")).to_have_value("callers say so")


def test_the_list_narrows_while_typing_and_keeps_its_filter_in_the_address(signed_in, pbx):
    page = signed_in()
    page.goto("/ivrs/")

    page.locator("#filter-q").press_sequentially("after", delay=20)

    expect(page.locator("[data-ivr]")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=after"))


def test_an_expired_session_leads_to_sign_in_and_back(signed_in, pbx):
    page = signed_in()
    page.goto("/ivrs/")
    page.context.clear_cookies()

    page.locator("#filter-q").press_sequentially("after", delay=20)

    expect(page).to_have_url(re.compile(r"/accounts/login/\?next="))
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_two_clicks_on_apply_send_once(signed_in, pbx, twin):
    page = signed_in()
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    page.get_by_label("Response timeout").fill("8")
    page.get_by_role("button", name="Review change").click()

    page.get_by_role("button", name="Apply on ACME-HQ").dblclick()

    expect(page.locator("[data-outcome=verified]")).to_be_visible()
    assert twin.count("ivr/update") == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_no_page_has_an_accessibility_fault_or_scrolls_sideways(signed_in, pbx, scheme, width):
    page = signed_in(Role.MANAGER, color_scheme=scheme, viewport={"width": width, "height": 844})
    ivr = f"/pbxs/{pbx.pk}/ivrs/6500/"

    for address in (
        "/",
        "/ivrs/",
        ivr,
        f"{ivr}edit/",
        "/pbxs/",
        f"/pbxs/{pbx.pk}/",
        "/pbxs/add/",
        "/changes/",
        "/customers/",
    ):
        page.goto(address)
        results = Axe().run(page)
        assert results.violations_count == 0, f"{address}: {results.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
