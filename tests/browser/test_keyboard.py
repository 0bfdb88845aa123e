"""With the keyboard alone, and with colours that are not ours."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from pbxadmin.access.roles import Role
from pbxadmin.fleet.models import Pbx


def test_the_arrows_lead_from_the_search_to_a_row_and_back(signed_in: Callable[..., Page]) -> None:
    page = signed_in()
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("acme")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".table .main").first).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="6500 Main_Menu")).to_be_visible()


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
