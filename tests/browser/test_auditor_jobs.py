"""The jobs of an auditor, each with at most so many clicks from Home. Typing is none, and neither is signing in."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from pbxadmin.access.roles import Role
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.review.desk import desk_read
from pbxadmin.review.models import DeskItem, Period
from pbxadmin.review.periods import period_add, quarter
from pbxadmin.web.times import utc_today


class Counted:
    """A page that counts what a person clicks and chooses."""

    def __init__(self, page):
        self.page, self.clicks = page, 0

    def click(self, name, role="link", within="body"):
        self.clicks += 1
        self.page.locator(within).get_by_role(role, name=name, exact=True).first.click()

    def choose(self, name, value):
        self.clicks += 1
        self.page.locator(f"main select[name={name}]").select_option(label=value)

    def saved(self, name, role="link"):
        """Return the content of the file that a click saves."""
        with self.page.expect_download() as saved:
            self.click(name, role)
        return saved.value.path().read_bytes()

    def job(self):
        """Begin another job, on Home."""
        self.page.goto("/")
        self.clicks = 0


def exceptions(pbx, count):
    for _ in range(count):
        record(EventAction.CHANGE_OUTCOME, outcome="unknown", customer=(pbx.customer_id, pbx.customer.name))
    desk_read()


@pytest.fixture
def begun(pbx):
    DeskItem.objects.all().delete()
    exceptions(pbx, 3)
    first, last = quarter(utc_today())
    period_add(customer=pbx.customer, starts_on=first, ends_on=last, by="Ada Raman")


@pytest.mark.parametrize("javascript", [True, False])
def test_each_job_takes_no_more_clicks_than_promised(signed_in, pbx, begun, javascript):
    at = Counted(signed_in(Role.AUDITOR, java_script_enabled=javascript))
    more = 0 if javascript else 2

    export_a_quarter(at, pbx, javascript, 4 + more)
    review_all(at, pbx, 2 + more)
    sign_off(at, pbx, 4 + more)
    prove_it(at, 3 + more)
    access_on_a_day(at, 4 + more)


def export_a_quarter(at, pbx, javascript, most):
    at.job()
    first, _ = quarter(utc_today())
    at.click("Audit")
    at.choose("customer", pbx.customer.name)
    if not javascript:
        at.click("Filter", "button")
    expect(at.page.locator(".chip")).to_contain_text(pbx.customer.name)
    at.click(f"Q{(first.month + 2) // 3} {first.year}")
    expect(at.page).to_have_url(re.compile(rf"customer={pbx.customer_id}&from={first}"))
    assert b"change.outcome" in at.saved(re.compile("^CSV"))
    assert at.clicks <= most


def review_all(at, pbx, most_beside):
    at.job()
    desk_read()  # the export before is one as well
    count = DeskItem.objects.still_open().filter(customer_id=pbx.customer_id).count()
    assert count > 3
    at.click("Audit")
    at.click(re.compile("^Desk"))
    at.clicks += 1
    at.page.locator("#desk tbody a").first.click()
    for _ in range(count):
        at.page.get_by_label("What you found").fill("Asked Mara.")
        at.click("Mark reviewed, next", "button")
    expect(at.page.get_by_role("heading", name="Nothing needs a look")).to_be_visible()
    assert at.clicks <= 2 * count + most_beside


def sign_off(at, pbx, most):
    at.job()
    period = Period.objects.get()
    at.click("Audit")
    at.click("Periods")
    at.click(period.days)
    assert at.page.locator("#evidence").get_by_role("link", name=f"{period.starts_on:%B %Y}").count() == 1
    at.click(f"Sign off for {pbx.customer.name}", "button")
    expect(at.page.get_by_role("heading", name="Signed off")).to_be_visible()
    assert at.clicks <= most


def prove_it(at, most):
    at.job()
    at.click("Audit")
    at.click(re.compile("^Evidence pack"))
    assert at.saved("Make the pack", "button").startswith(b"PK")
    assert at.clicks <= most


def access_on_a_day(at, most):
    at.job()
    at.click("Audit")
    at.click("Access")
    at.page.get_by_label("On the day").fill(str(utc_today() - timedelta(days=1)))
    at.click("Show", "button")
    assert at.saved(re.compile("^CSV")).startswith("\ufeff".encode())
    assert at.clicks <= most
