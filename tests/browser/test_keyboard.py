"""With the keyboard alone, and with colours that are not ours."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from pbxadmin.access.roles import Role
from pbxadmin.fleet.models import Pbx


def test_a_search_shows_what_it_finds_while_typing_and_the_arrows_lead_there(signed_in: Callable[..., Page]) -> None:
    page = signed_in()
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("acme-hq")
    expect(page.locator("#said")).to_have_text(re.compile(r"^\d+( or more)? found$"))

    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#hits .hit").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Search everything")).to_be_focused()
    expect(page.locator("#hits")).to_be_hidden()

    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="ACME-HQ").first).to_be_visible()


def test_keys_lead_to_lists_and_actions_and_can_be_switched_off(signed_in: Callable[..., Page]) -> None:
    page = signed_in()
    page.goto("/")
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page).to_have_url(re.compile("/ivrs/$"))
    page.keyboard.press("f")
    page.keyboard.type("main")
    expect(page.locator("[data-ivr]")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ivrs/6500/")
    page.keyboard.press("e")
    expect(page.get_by_role("heading", name="Edit 6500")).to_be_visible()

    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("IVRs")
    page.get_by_label("Keys are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_an_open_sheet_closes_with_escape_and_gives_the_focus_back(signed_in: Callable[..., Page]) -> None:
    page = signed_in()
    page.goto("/")
    avatar = page.locator("summary.avatar")
    avatar.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Your account")).to_be_focused()

    page.keyboard.press("Escape")

    expect(page.get_by_role("link", name="Your account")).to_be_hidden()
    expect(avatar).to_be_focused()


def test_an_open_sheet_closes_when_somebody_goes_elsewhere(signed_in: Callable[..., Page]) -> None:
    page = signed_in(Role.AUDITOR)
    page.goto("/audit/")
    page.locator("summary", has_text="Outcome").click()
    expect(page.get_by_label("Refused", exact=True)).to_be_visible()

    page.get_by_role("heading", name="Audit").click()

    expect(page.get_by_label("Refused", exact=True)).to_be_hidden()


@pytest.mark.parametrize("colours", ["none", "active"])
def test_a_switch_that_is_on_looks_on(signed_in: Callable[..., Page], pbx: Pbx, colours: str) -> None:
    page = signed_in(forced_colors=colours)
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    switch = page.get_by_label("Check voicemail")
    switch.set_checked(False)
    page.locator("h1").click()
    off = switch.screenshot(animations="disabled")

    switch.set_checked(True)
    page.locator("h1").click()

    assert switch.screenshot(animations="disabled") != off


def test_a_message_stays_in_sight_until_it_is_closed(signed_in: Callable[..., Page], pbx: Pbx) -> None:
    page = signed_in(viewport={"width": 390, "height": 600})
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/")
    page.keyboard.press("r")
    message = page.get_by_text("ACME-HQ was read: ")
    expect(message).to_be_visible()
    page.mouse.wheel(0, 900)
    expect(message).to_be_in_viewport()

    page.get_by_role("button", name="Close").first.click()

    expect(message).to_have_count(0)
    expect(page.locator("#main h1")).to_be_focused()


def test_a_receipt_prints_without_what_only_a_screen_needs(signed_in: Callable[..., Page], pbx: Pbx) -> None:
    page = signed_in()
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    page.get_by_label("Response timeout").fill("7")
    page.get_by_role("button", name="Review change").click()
    page.get_by_role("button", name="Apply on ACME-HQ").click()
    expect(page.locator("[data-outcome=verified]")).to_be_visible()

    page.emulate_media(media="print")

    for shown in ("#receipt", ".outcome", "h1"):
        expect(page.locator(shown).first).to_be_visible()
    for hidden in ("#rail", ".top", "#ring", ".btn"):
        expect(page.locator(hidden).first).to_be_hidden()
