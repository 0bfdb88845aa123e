"""The pages of the demo alone: accessible and within the window, and a PBX that breaks while one watches."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from pbxadmin.yeastar.simulator import Fleet
from tests.browser.test_every_page import page_of
from tests.factories import make_pbx, make_user
from tests.matrix.world import client_for


@pytest.fixture
def fleet(settings, tmp_path):
    settings.DEMO_CONTROLS = tmp_path / "fleet.sock"
    with Fleet(6, controls=settings.DEMO_CONTROLS) as fleet:
        yield fleet


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_cards_and_switches_have_no_fault(browser, live_server, acme, fleet, width, scheme):
    for pbx in fleet.pbxs:
        make_pbx(acme, name=pbx.name)
    person, viewport = make_user(is_superuser=True), {"width": width, "height": 844}
    page = page_of(browser, live_server.url, client_for(person), color_scheme=scheme, viewport=viewport)

    for path in ("/", "/demo/"):
        page.goto(path)
        assert Axe().run(page).violations_count == 0, path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path

    page.get_by_label("How ACME-HQ behaves", exact=True).select_option("off")
    page.get_by_role("button", name="Set how ACME-HQ behaves").click()
    expect(page.get_by_role("status").filter(has_text="ACME-HQ: off from now on")).to_be_visible()
    assert fleet.pbxs[0].switch == "off"
