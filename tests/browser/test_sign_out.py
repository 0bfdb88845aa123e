"""After sign-out the Back button shows nothing of what was there."""

from collections.abc import Callable

from playwright.sync_api import Page, expect


def test_back_after_sign_out_shows_no_data(signed_in: Callable[..., Page]) -> None:
    page = signed_in()
    page.goto("/ivrs/")
    expect(page.get_by_text("ACME-HQ").first).to_be_visible()
    page.goto("/pbxs/")

    page.locator("summary.avatar").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    for _ in range(3):
        page.go_back()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert "ACME-HQ" not in page.content()
