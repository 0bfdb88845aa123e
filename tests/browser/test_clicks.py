"""The jobs of helpdesk and MSPs, with their clicks counted from Home. Without JavaScript they take two more at most.

A click is one of the mouse. Typing, and Enter in the search, are none; the search has the focus by its key.
"""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from ivr.refresh import pbx_refresh
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import SYSTEM
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import Fault, SimulatedPbx

both = pytest.mark.parametrize("javascript", [True, False])
MORE_WITHOUT = 2


class Clicks:
    """Counts the clicks of a job."""

    def __init__(self, javascript: bool) -> None:
        self.count, self.javascript = 0, javascript

    def __call__(self, what: Locator) -> None:
        what.click()
        self.count += 1

    def button(self, page: Page, name: str) -> None:
        self(page.get_by_role("button", name=name))

    def link(self, page: Page, name: str) -> None:
        self(page.get_by_role("link", name=name).first)

    def are_at_most(self, most: int) -> None:
        assert self.count <= most + (0 if self.javascript else MORE_WITHOUT), f"{self.count} clicks"


def search(page: Page, typed: str) -> None:
    page.goto("/")
    page.get_by_label("Search everything").fill(typed)
    page.keyboard.press("Enter")


def is_verified(page: Page, sentence: str = "") -> None:
    expect(page.locator("[data-outcome=verified]")).to_be_visible(timeout=15000)
    expect(page.locator(".outcome").first).to_contain_text(sentence)


@both
def test_the_menu_hangs_up_too_soon(signed_in: Callable[..., Page], twin: SimulatedPbx, javascript: bool) -> None:
    page, click = signed_in(java_script_enabled=javascript), Clicks(javascript)
    search(page, "main acme")
    click(page.get_by_role("link", name="Change Response timeout"))
    field = page.get_by_label("Response timeout")
    if javascript:
        expect(field).to_be_focused()
        page.keyboard.type("7")
    else:
        click(field)
        field.fill("7")
    click.button(page, "Review change")
    click.button(page, "Apply on ACME-HQ")
    is_verified(page)
    if javascript:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        click.button(page, "Copy")
        assert "VERIFIED" in page.evaluate("navigator.clipboard.readText()")
    else:
        click.link(page, "As text")
        expect(page.locator("body")).to_contain_text("VERIFIED")

    click.are_at_most(5)
    assert twin.ivrs["6500"]["responsetimeout"] == "7"


@both
def test_who_changed_it_put_it_back(
    signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx, javascript: bool
) -> None:
    before = twin.ivrs["6500"]["responsetimeout"]
    twin.ivrs["6500"]["responsetimeout"] = "9"
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    page, click = signed_in(java_script_enabled=javascript), Clicks(javascript)
    search(page, "main acme")
    expect(page.get_by_text("Changed outside PBX Admin, ")).to_be_visible()
    click.link(page, "Restore")
    page.get_by_label("Reason").fill("Nobody agreed to it")
    click.button(page, "Apply on ACME-HQ")
    is_verified(page)

    click.are_at_most(5)
    assert twin.ivrs["6500"]["responsetimeout"] == before


@both
def test_let_callers_dial_an_extension(
    signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx, javascript: bool
) -> None:
    twin.ivrs["6500"]["dialext"] = "off"
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    page, click = signed_in(java_script_enabled=javascript), Clicks(javascript)
    search(page, "main acme")
    click.link(page, "Turn on Dial an extension")
    click.button(page, "Review change")
    expect(page.locator("ins", has_text="An extension")).to_be_visible()
    click(page.get_by_label("I know the risk"))
    click.button(page, "Apply on ACME-HQ")
    is_verified(page)

    click.are_at_most(4)
    assert twin.ivrs["6500"]["dialext"] == "on"


@both
def test_a_conflict_from_the_plan(
    signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx, javascript: bool
) -> None:
    page, click = signed_in(java_script_enabled=javascript), Clicks(javascript)
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    page.get_by_label("Response timeout").fill("7")
    page.get_by_role("button", name="Review change").click()
    expect(page.locator("[data-outcome=planned]")).to_be_visible()
    twin.ivrs["6500"]["responsetimeout"] = "9"

    click.button(page, "Apply on ACME-HQ")
    click(page.locator("[data-conflict] [value=yours]"))
    click.button(page, "Apply on ACME-HQ")
    is_verified(page)

    click.are_at_most(3)
    assert twin.ivrs["6500"]["responsetimeout"] == "7"


@both
def test_renumber(signed_in: Callable[..., Page], twin: SimulatedPbx, javascript: bool) -> None:
    page, click = signed_in(Role.MANAGER, java_script_enabled=javascript), Clicks(javascript)
    search(page, "main acme")
    click.link(page, "Change Number")
    page.get_by_label("Number", exact=True).fill("6599")
    click.button(page, "Review change")
    expect(page.locator("[data-outcome=planned]")).to_be_visible()
    confirm = page.locator("#confirm")
    if confirm.get_attribute("type") == "checkbox":
        click(confirm)
    else:
        click(confirm)
        confirm.fill("6500")
    click.button(page, "Apply on ACME-HQ")
    is_verified(page)

    click.are_at_most(7)
    assert "6599" in twin.ivrs


@both
def test_monday_what_moved(signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx, javascript: bool) -> None:
    for number in ("6500", "6501"):
        twin.ivrs[number]["responsetimeout"] = "9"
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    page, click = signed_in(java_script_enabled=javascript), Clicks(javascript)
    page.goto("/")
    click(page.get_by_role("navigation", name="Main").get_by_role("link", name="Outside"))
    click(page.get_by_role("button", name=re.compile("Accept on ACME-HQ")).first)
    expect(page.locator("[data-state=accepted]")).to_have_count(1)
    if javascript:
        expect(page.locator("[data-state=open] button")).to_be_focused()
    click(page.get_by_role("button", name=re.compile("Accept on ACME-HQ")).first)
    expect(page.locator("[data-state=accepted]")).to_have_count(2)

    click.are_at_most(3)


@both
def test_no_answer(signed_in: Callable[..., Page], twin: SimulatedPbx, javascript: bool) -> None:
    page, click = signed_in(java_script_enabled=javascript), Clicks(javascript)
    search(page, "main acme")
    twin.misbehave(Fault.CLOSE, call="ivr/query")
    click.link(page, "Edit")
    expect(page.get_by_role("heading", name="It cannot be edited now")).to_be_visible(timeout=15000)
    expect(page.locator("#engineer")).to_contain_text(re.compile(r"Attempt +.+\nAnswered", re.DOTALL))
    if javascript:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        click.button(page, "Copy")
        assert "ACME-HQ, Acme Logistics" in page.evaluate("navigator.clipboard.readText()")

    click.are_at_most(3)


@both
def test_add_a_pbx_that_signs_its_own_certificate(
    signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx, javascript: bool
) -> None:
    Pbx.objects.filter(pk=pbx.pk).update(name="ACME-OLD")
    page, click = signed_in(Role.MANAGER, java_script_enabled=javascript), Clicks(javascript)
    click(page.get_by_role("navigation", name="Main").get_by_role("link", name="PBXs"))
    click.link(page, "Add PBX")
    page.get_by_label("Customer", exact=True).select_option("Acme Logistics")
    for label, text in {
        "Name": "ACME-NEW",
        "Host": "127.0.0.1",
        "Port": str(twin.port),
        "API user": twin.username,
        "API password": twin.password,
    }.items():
        page.get_by_label(label, exact=True).fill(text)
    click(page.get_by_role("button", name="Add PBX"))
    click.button(page, "Test ACME-NEW")
    click.button(page, "Pin it for ACME-NEW")
    if not javascript:
        click.button(page, "Read the IVRs of ACME-NEW")
    expect(page.get_by_text("ACME-NEW was read: ")).to_be_visible(timeout=15000)

    click.are_at_most(6)


@both
def test_where_may_callers_dial_out_and_accept_it_until(
    signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx, javascript: bool
) -> None:
    twin.ivrs["6500"]["dialoutboundroutes"] = "on"
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    page, click = signed_in(Role.MANAGER, java_script_enabled=javascript), Clicks(javascript)
    page.goto("/")
    click(page.get_by_role("navigation", name="Main").get_by_role("link", name="Policies"))
    click.link(page, "Dial-out is off")
    click.link(page, "Accept ACME-HQ")
    page.get_by_label("Why it may stay").fill("Night line, agreed")
    click.button(page, "Accept")
    expect(page.locator("[data-violation][data-state=accepted]").first).to_be_visible()

    click.are_at_most(4)
