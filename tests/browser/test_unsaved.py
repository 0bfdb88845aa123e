"""What is typed is not lost by leaving the page, and a page that waits for an outcome turns by itself."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Page, expect

from ivr.changes.reconcile import change_check
from ivr.models import Change
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Session, User
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import SYSTEM
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import Fault, SimulatedPbx


def asked_when_leaving(page: Page) -> list[str]:
    """Return the kinds of the dialogs that leaving the page for Home brought up; each is answered with Stay."""
    kinds: list[str] = []

    def stay(dialog: Dialog) -> None:
        kinds.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_role("link", name="Home").first.click(no_wait_after=True)
    page.wait_for_timeout(2000)
    return kinds


@pytest.mark.parametrize("typed", ["number", "switch", "from a plan", "with an error"])
def test_a_form_with_unsaved_values_asks_before_it_is_left(
    signed_in: Callable[..., Page], pbx: Pbx, typed: str
) -> None:
    page = signed_in()
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    if typed == "switch":
        page.locator("#id_dial_extension").click()
    else:
        page.get_by_label("Response timeout").fill("99" if typed == "with an error" else "9")
    if typed in ("from a plan", "with an error"):
        page.get_by_role("button", name="Review change").click()
    if typed == "from a plan":
        page.get_by_role("link", name="Edit again").click()
        expect(page.get_by_label("Response timeout")).to_have_value("9")
        page.get_by_label("Response timeout").click()  # browsers ask only on a page that somebody used
    if typed == "with an error":
        expect(page.locator("[data-error-for=response_timeout]")).to_be_visible()

    assert asked_when_leaving(page) == ["beforeunload"]
    assert page.url.split("?")[0].endswith("/edit/")


def test_a_form_that_could_not_be_sent_still_asks(signed_in: Callable[..., Page], pbx: Pbx) -> None:
    page = signed_in()
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    page.get_by_label("Response timeout").fill("9")
    page.route("**/edit/", lambda route: route.abort())
    page.get_by_role("button", name="Review change").click()
    expect(page.locator("#problems")).not_to_be_empty()

    assert asked_when_leaving(page) == ["beforeunload"]


@pytest.mark.parametrize(
    ("address", "label"),
    [("/people/invite/", "E-mail"), ("/customers/add/", "Name"), ("/pbxs/add/", "Notes")],
)
def test_every_form_to_fill_in_asks(signed_in: Callable[..., Page], address: str, label: str) -> None:
    page = signed_in(Role.MANAGER)
    User.objects.update(is_superuser=True)
    page.goto(address)
    page.get_by_label(label).first.fill("a@example.com")

    assert asked_when_leaving(page) == ["beforeunload"]


def test_whoever_was_signed_out_is_asked_before_what_they_typed_is_gone(
    signed_in: Callable[..., Page], pbx: Pbx
) -> None:
    page = signed_in()
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    page.get_by_label("Response timeout").fill("9")
    Session.objects.all().delete()
    kinds: list[str] = []

    def stay(dialog: Dialog) -> None:
        kinds.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_role("button", name="Review change").click()
    page.wait_for_timeout(2000)

    assert kinds == ["beforeunload"]
    expect(page.get_by_label("Response timeout")).to_have_value("9")


def test_a_restore_that_a_pbx_does_not_answer_says_why_and_keeps_the_reason(
    signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx
) -> None:
    page = signed_in()
    twin.ivrs["6500"]["responsetimeout"] = "8"
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/")
    page.get_by_role("link", name="Restore").click()
    page.get_by_label("Reason").fill("Nobody agreed to it")
    twin.misbehave(Fault.CLOSE, call="ivr/query")

    page.get_by_role("button", name="Apply on ACME-HQ").click()

    expect(page.get_by_role("heading", name="It cannot be restored now")).to_be_visible(timeout=15000)
    expect(page.get_by_text("PBX Admin cannot be reached")).to_be_hidden()
    expect(page.get_by_label("Reason")).to_have_value("Nobody agreed to it")
    assert asked_when_leaving(page) == ["beforeunload"]


@pytest.mark.parametrize("way", ["untouched", "Cancel", "Review"])
def test_whoever_typed_nothing_or_decided_is_not_asked(signed_in: Callable[..., Page], pbx: Pbx, way: str) -> None:
    page = signed_in()
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    asked: list[str] = []

    def note(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", note)
    if way == "untouched":
        page.get_by_label("Response timeout").click()
        page.get_by_role("link", name="Home").first.click()
        expect(page).to_have_url("/")
    else:
        page.get_by_label("Response timeout").fill("9")
        page.locator(f"#edit .bar :is(a, button):has-text('{way}')").click()
        page.wait_for_url("**/ivrs/6500/" if way == "Cancel" else "**/changes/*/")

    assert asked == []


def test_an_unknown_outcome_turns_by_itself(signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx) -> None:
    page = signed_in()
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    page.get_by_label("Response timeout").fill("9")
    page.get_by_role("button", name="Review change").click()
    twin.misbehave(Fault.CLOSE, call="ivr/query", after=1)
    page.get_by_role("button", name="Apply on ACME-HQ").click()
    expect(page.locator("[data-outcome=unknown]")).to_be_visible(timeout=15000)
    expect(page.get_by_text("The next check is at")).to_be_visible()

    change_check(Change.objects.get(), insist=True)

    expect(page.locator("[data-outcome=verified]")).to_be_visible(timeout=15000)
    expect(page.locator("#change")).not_to_have_attribute("hx-trigger", "every 5s")
