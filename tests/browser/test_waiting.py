"""A PBX takes its time: what is waited for is said after a second, and goes with the answer."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from pbxadmin.access.roles import Role
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import SimulatedPbx
from tests.waiting import until


def word_of(element: Locator) -> str:
    """What stands on the page while this is waited for; "" while nothing does."""
    script = "e => { const s = getComputedStyle(e, '::after'); return s.visibility === 'visible' ? s.content : '' }"
    return str(element.evaluate(script)).strip('"').removeprefix("none")


def test_a_slow_apply_says_what_happens_after_a_second(
    signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx
) -> None:
    page = signed_in()
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    page.get_by_label("Response timeout").fill("7")
    page.get_by_role("button", name="Review change").click()
    form = page.locator("form[action$='/apply/']")
    twin.latency_s = 4.0
    animations = page.context.new_cdp_session(page)
    animations.send("Animation.enable")
    animations.send("Animation.setPlaybackRate", {"playbackRate": 0})  # no second passes for the style sheet

    page.get_by_role("button", name="Apply on ACME-HQ").click()

    expect(page.locator("#said")).to_have_text("Reading ACME-HQ, sending once, reading back …")
    assert word_of(form) == ""
    animations.send("Animation.setPlaybackRate", {"playbackRate": 1})
    until(lambda: word_of(form))
    assert word_of(form) == "Reading ACME-HQ, sending once, reading back …"
    twin.latency_s = 0.0
    expect(page.locator("[data-outcome=verified]")).to_be_visible(timeout=15000)


def test_a_slow_reading_is_said_and_its_link_is_followed_once(
    signed_in: Callable[..., Page], pbx: Pbx, twin: SimulatedPbx
) -> None:
    page = signed_in()
    page.goto(f"/pbxs/{pbx.pk}/ivrs/6500/")
    twin.latency_s = 4.0
    edit = page.get_by_role("link", name="Edit")

    edit.evaluate(  # the page itself looks: a test that asks it waits for where the link leads
        "e => setTimeout(() => sessionStorage.setItem('word', getComputedStyle(e, '::after').content), 1200)"
    )
    edit.dblclick(no_wait_after=True)

    expect(page.get_by_role("heading", name="Edit 6500")).to_be_visible(timeout=15000)
    assert page.evaluate("sessionStorage.getItem('word')") == '"Reading ACME-HQ …"'
    assert twin.count("ivr/query") == 2  # with the first reading, of the fixture


def test_a_list_that_is_being_loaded_is_greyed(signed_in: Callable[..., Page], pbx: Pbx) -> None:
    page = signed_in()
    page.goto("/ivrs/")
    waiting = []
    page.route("**/ivrs/?q=after*", lambda route: waiting.append(route))

    page.locator("#filter-q").fill("after")

    expect(page.locator(".table")).to_have_css("opacity", "0.6")
    waiting[0].continue_()
    expect(page.locator("[data-ivr]")).to_have_count(1)
    expect(page.locator(".table")).to_have_css("opacity", "1")


def test_a_form_that_gives_a_file_can_be_sent_once_more(signed_in: Callable[..., Page], pbx: Pbx) -> None:
    page = signed_in(Role.AUDITOR)
    page.clock.install()
    page.goto("/audit/evidence/")
    button = page.get_by_role("button", name="Make the pack")
    with page.expect_download():
        button.click()

    page.clock.fast_forward(31_000)

    with page.expect_download():
        button.click()
