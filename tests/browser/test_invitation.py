"""An invitation in a browser, from the form to the first sign-in. With JavaScript on and off."""

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core import mail
from playwright.sync_api import expect

from pbxadmin.access.roles import Role
from pbxadmin.accounts.invitations import invitation_create
from tests.factories import make_user


@pytest.mark.parametrize("javascript", [True, False])
def test_a_manager_invites_somebody_who_makes_an_account_and_signs_in(signed_in, browser, live_server, javascript):
    """From a page under "no-referrer" a browser sends a form without an origin; that the form is on no such page shows
    in a browser only.
    """
    page = signed_in(Role.MANAGER, java_script_enabled=javascript)
    page.get_by_role("link", name="People").click()
    page.get_by_role("link", name="Invite somebody").click()
    page.get_by_label("E-mail").fill("nora@example.com")
    page.get_by_label("Name", exact=True).fill("Nora Quist")
    page.get_by_label("Customer").select_option("Acme Logistics")
    page.get_by_label("Role").select_option("Helpdesk")
    page.get_by_role("button", name="Send invitation").click()
    expect(page.get_by_text("on its way to nora@example.com")).to_be_visible()

    theirs = browser.new_context(base_url=live_server.url, java_script_enabled=javascript).new_page()
    theirs.goto(re.findall(r"/invitations/\S+/", str(mail.outbox[-1].body))[0])
    expect(theirs).to_have_url(re.compile("/invitations/$"))
    theirs.get_by_label("User name").fill("nora")
    theirs.get_by_label("Password", exact=True).fill("plenty of horses")
    theirs.get_by_label("Password once more").fill("plenty of horses")
    theirs.get_by_role("button", name="Make my account").click()
    theirs.get_by_role("link", name="Sign in").click()
    theirs.get_by_label("Username").fill("nora")
    theirs.get_by_label("Password").fill("plenty of horses")
    theirs.get_by_role("button", name="Sign in").click()

    theirs.goto("/ivrs/")
    expect(theirs.get_by_role("link", name="Main_Menu")).to_be_visible()


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_people_fit_and_can_be_used_by_everybody(signed_in, pbx, size, scheme):
    mara = make_user("helpdesk", pbx.customer, username="mara", email="mara.lindqvist@voice.example.com")
    manager = make_user("manager", pbx.customer, username="sue")
    offer: dict[str, Any] = {"email": "nora@example.com", "name": "Nora Quist", "role": Role.VIEWER, "ends_on": None}
    invitation_create(by=manager, customer=pbx.customer, **offer)
    page = signed_in(Role.MANAGER, viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)

    for path in ("/people/", "/people/invite/", "/people/invitations/", f"/people/{mara.pk}/"):
        page.goto(path)
        check(page)


def check(page):
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
