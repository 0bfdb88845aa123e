"""The whole job of a batch in the browser, with its clicks counted from Home: eight at most, the pause included."""

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from pbxadmin.access.roles import Role
from pbxadmin.batches.models import Batch
from pbxadmin.batches.work import batch_work
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import SimulatedPbx

MOST_CLICKS = 8


def work() -> None:
    """Do what a worker would do now."""
    batch_work.call(Batch.objects.get().pk)


def test_a_timeout_on_every_ivr(signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx) -> None:
    clicks = 0

    def click(what: Locator) -> None:
        nonlocal clicks
        what.click()
        clicks += 1

    page = signed_in(Role.MANAGER)
    page.goto("/")
    click(page.get_by_role("navigation", name="Main").get_by_role("link", name="IVRs"))
    page.locator("#filter-q").press_sequentially("ACME-HQ")
    expect(page.get_by_role("link", name="Remove “ACME-HQ”")).to_be_visible()
    count = len(twin.ivrs)
    sent_before = twin.count("ivr/update")

    click(page.get_by_label(f"Select all {count} that match"))
    click(page.get_by_role("button", name="Change these"))
    click(page.get_by_label("Response timeout"))
    page.keyboard.type("10")
    page.get_by_label("Change first").fill("1")
    click(page.get_by_role("button", name="Preview"))
    expect(page.locator("[data-batch-state=previewing]")).to_be_visible()
    work()
    expect(page.locator("[data-batch-state=ready]")).to_be_visible(timeout=15000)
    assert twin.count("ivr/update") == sent_before
    click(page.get_by_role("button", name="Start with 1"))
    work()
    expect(page.locator("[data-batch-state=paused]")).to_be_visible(timeout=15000)
    assert twin.count("ivr/update") == sent_before + 1
    click(page.get_by_role("button", name="Go on with"))
    for _ in range(count):
        work()
        if Batch.objects.get().is_over:
            break
    expect(page.locator("[data-batch-state=finished]")).to_be_visible(timeout=15000)
    expect(page).to_have_title(re.compile("Finished"))

    assert clicks <= MOST_CLICKS
    assert {ivr["responsetimeout"] for ivr in twin.ivrs.values()} == {"10"}


def test_with_the_keyboard_one_is_at_the_box_for_all_without_going_through_the_rows(
    signed_in: Callable[..., Page], pbx: Pbx
) -> None:
    page = signed_in(Role.MANAGER)
    page.goto("/ivrs/")

    page.keyboard.press("a")
    page.keyboard.press("Space")

    expect(page.get_by_label("Select all")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Change these")).to_be_focused()


def test_a_row_is_ticked_where_its_link_covers_the_row(
    signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx
) -> None:
    page = signed_in(Role.MANAGER)
    page.goto(f"/pbxs/{pbx.pk}/ivrs/")

    box = page.locator("[name=ivr]").first
    box.click()

    expect(box).to_be_checked()
