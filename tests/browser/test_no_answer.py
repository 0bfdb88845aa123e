"""What a person sees when the server fails them: in sight, in our words, and gone once something goes well."""

from collections.abc import Callable

import pytest
from django.db import connection
from playwright.sync_api import Page, expect

from pbxadmin.fleet.models import Pbx

PHONE = {"viewport": {"width": 390, "height": 600}}


@pytest.fixture
def editing(signed_in: Callable[..., Page], pbx: Pbx) -> Page:
    """The form of an IVR on a small screen, scrolled to its end."""
    page = signed_in(**PHONE)
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    page.get_by_label("Response timeout").fill("7")
    page.get_by_label("Reason").fill("callers say so")
    return page


def test_a_lost_network_is_told_and_nothing_typed_is_lost(editing: Page) -> None:
    editing.context.set_offline(True)
    editing.get_by_role("button", name="Review change").click()

    expect(editing.get_by_text("PBX Admin cannot be reached")).to_be_in_viewport()
    expect(editing.get_by_label("Reason")).to_have_value("callers say so")

    editing.context.set_offline(False)
    editing.get_by_role("button", name="Review change").click()
    expect(editing.locator("[data-outcome=planned]")).to_be_visible()
    expect(editing.get_by_text("PBX Admin cannot be reached")).to_be_hidden()


def test_a_form_that_is_refused_says_so_where_the_person_looks(editing: Page) -> None:
    editing.context.clear_cookies(name="csrf")

    editing.get_by_role("button", name="Review change").click()

    expect(editing.get_by_text("The form was not accepted.")).to_be_in_viewport()


def test_what_we_answer_ourselves_is_said_in_its_place(editing: Page) -> None:
    editing.get_by_role("button", name="Review change").click()
    apply = editing.get_by_role("button", name="Apply on ACME-HQ")
    expect(apply).to_be_visible()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event RENAME TO audit_event_away")
    try:
        apply.click()
        expect(editing.get_by_text("The audit log could not be written, so nothing was sent.")).to_be_visible()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE audit_event_away RENAME TO audit_event")

    expect(editing.get_by_text("PBX Admin cannot be reached")).to_be_hidden()
    expect(apply).to_be_visible()


def test_the_page_of_another_server_is_not_shown_as_ours(signed_in: Callable[..., Page]) -> None:
    page = signed_in()
    page.goto("/ivrs/")
    page.route("**/ivrs/?q=after*", lambda route: route.fulfill(status=502, body="<html><h1>nginx</h1></html>"))

    page.locator("#filter-q").fill("after")
    expect(page.get_by_text("PBX Admin cannot be reached")).to_be_visible()
    expect(page.get_by_text("nginx")).to_be_hidden()

    page.locator("#filter-q").fill("main")
    expect(page.locator("[data-ivr]")).to_have_count(1)
    expect(page.get_by_text("PBX Admin cannot be reached")).to_be_hidden()
