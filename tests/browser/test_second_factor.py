"""Second factors in a real browser, with a security key that Chromium pretends to have."""

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import override_settings
from playwright.sync_api import Browser, Page, expect

from pbxadmin.audit.models import Event
from tests.factories import PASSWORD, make_user

KEY = {
    "protocol": "ctap2",
    "transport": "usb",
    "hasResidentKey": False,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def mara(browser: Browser, live_server, transactional_db: None) -> Iterator[Page]:
    """A page of somebody who has signed in, on the name that a key needs."""
    make_user("viewer", username="mara")
    with override_settings(DEBUG=False):
        page = browser.new_context(base_url=live_server.url.replace("127.0.0.1", "localhost")).new_page()
        sign_in(page)
        yield page
        page.context.close()


def sign_in(page: Page) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Username").fill("mara")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def sign_out(page: Page) -> None:
    page.goto("/accounts/logout/")
    page.locator("main").get_by_role("button", name="Sign out").click()


@pytest.fixture
def plug_in(mara: Page) -> Callable[[], None]:
    def plug_in() -> None:
        session = mara.context.new_cdp_session(mara)
        session.send("WebAuthn.enable")
        session.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})

    return plug_in


def test_a_key_is_added_and_asked_for_at_the_next_sign_in(mara: Page, plug_in: Callable[[], None]) -> None:
    plug_in()
    mara.goto("/accounts/security/")
    mara.get_by_role("link", name="Add a key").click()
    mara.get_by_label("Name").fill("Blue one")
    mara.get_by_role("button", name="Add the key").click()
    expect(mara.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    with mara.expect_download() as download:
        mara.get_by_role("link", name="Download").click()
    assert re.fullmatch(r"(\d{8}\n){10}", download.value.path().read_text())

    sign_out(mara)
    sign_in(mara)
    expect(mara.get_by_role("heading", level=1)).to_have_text("Second factor")
    mara.get_by_role("button", name="Use a security key").click()
    expect(mara.get_by_role("navigation", name="Main")).to_be_visible()

    mara.goto("/accounts/security/")
    expect(mara.get_by_text("Blue one")).to_be_visible()
    signed_in = Event.objects.filter(action="session.signed-in").latest("id")
    assert signed_in.data["detail"] == {"by": ["password", "webauthn"]}


def test_a_key_that_does_not_answer_is_told(mara: Page) -> None:
    mara.goto("/accounts/2fa/webauthn/add/")
    mara.evaluate("() => { navigator.credentials.create = () => Promise.reject(new Error('gone')); }")

    mara.get_by_role("button", name="Add the key").click()

    expect(mara.get_by_text("The key did not answer. Try once more.")).to_be_visible()


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/security/",
        "/accounts/2fa/totp/activate/",
        "/accounts/2fa/webauthn/add/",
        "/accounts/password/change/",
        "/accounts/reauthenticate/",
    ],
)
def test_own_pages_have_no_fault_that_axe_finds_and_break_no_policy(mara: Page, path: str) -> None:
    refused = []
    mara.on("console", lambda line: refused.append(line.text) if "Content Security Policy" in line.text else None)

    mara.goto(path)

    assert Axe().run(mara).response["violations"] == []
    assert refused == []
