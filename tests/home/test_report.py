"""The report of a customer: one month, to be printed."""

import re
from datetime import date, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from ivr.changes.restore import outside_accept
from ivr.models import Ivr
from pbxadmin.fleet.models import ContactHour, ContactSample
from pbxadmin.home import report
from pbxadmin.home.report import ReportMonth, month_chosen, months_to_choose
from pbxadmin.policies.models import Policy, PolicyException, Violation
from tests.factories import make_change, make_outside, make_pbx, make_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.get_fixed_timezone(0))
IN_OCTOBER = NOW - timedelta(days=30)


@pytest.fixture(autouse=True)
def in_november():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def policy():
    return Policy.objects.create(title="Played often", reason="Why.", field="prompt_repeat", value="3")


def page_of(client, customer, month="", role="viewer"):
    client.force_login(make_user(role, customer))
    answer = client.get(f"/customers/{customer.pk}/report/", {"month": month})
    assert answer.status_code == 200
    return answer.content.decode()


def marks(page, name):
    return re.findall(rf'data-{name}="([^"]+)"', page)


def section(page, name):
    return " ".join(re.sub("<[^>]+>", " ", page.split(f'id="report-{name}">')[1].split("</section>")[0]).split())


def make_exception(policy, pbx, **fields):
    names = {"policy_title": policy.title, "customer_name": "Acme", "pbx_name": pbx.name}
    given = {"number": "6500", "field": "prompt_repeat", "value": "1", "reason": "A night line.", "by_id": 1}
    ids = {"policy": policy, "customer_id": pbx.customer_id, "pbx_id": pbx.pk}
    day = {"ends_on": date(2026, 12, 1), "by_name": "Mara"}
    return PolicyException.objects.create(**names, **given, **ids, **day, **fields)


def make_violation(policy, pbx, number="6500", **fields):
    Ivr.objects.get_or_create(pbx=pbx, number=number, defaults={"prompt_repeat": "1", "read_at": NOW})
    return Violation.objects.create(policy=policy, pbx=pbx, number=number, value="1", until=NOW, **fields)


def test_changes_of_the_month_stand_with_outcome_and_receipt(client, acme, bellweather):
    pbx = make_pbx(acme)
    made = [make_change(pbx, status) for status in ("verified", "unknown", "verified")]
    make_change(pbx, planned_at=IN_OCTOBER)
    make_change(make_pbx(bellweather, name="BELL-HQ"))

    page = page_of(client, acme)

    assert marks(page, "change") == [str(change.pk) for change in made]
    assert f'href="/changes/{made[0].pk}/"' in page
    assert section(page, "changes").startswith("Changes 3 2 verified 1 unknown")
    assert "http://testserver/changes/" in page
    assert "BELL" not in page


def test_what_a_table_leaves_out_is_counted_and_linked_and_what_is_not_verified_stays(client, acme, monkeypatch):
    monkeypatch.setattr(report, "MOST_REPORTED", 2)
    pbx = make_pbx(acme)
    first, _, unknown = (make_change(pbx, status) for status in ("verified", "verified", "unknown"))
    for number in ("6500", "6501", "6502"):
        make_outside(pbx, number, "ivr.vanished")

    page = page_of(client, acme)

    assert marks(page, "change") == [str(first.pk), str(unknown.pk)]
    assert "1 more are not named here" in section(page, "changes")
    query = re.search(r'href="/changes/\?([^"]+)">', page)[1].replace("&amp;", "&")
    assert query == f"customer={acme.pk}&from=2026-11-01&to=2026-11-30&times=utc"
    assert client.get(f"/changes/?{query}").content.decode().count('class="main" href="/changes/') == 3
    assert len(marks(page, "outside")) == 2
    assert "1 more are not named here" in section(page, "outside")


def test_outside_changes_say_what_became_of_them(client, acme):
    pbx = make_pbx(acme)
    gone, other = make_outside(pbx, "6501", "ivr.vanished"), make_outside(pbx, "6502", "ivr.vanished")
    outside_accept(event=gone, note="Agreed by phone.")

    page = page_of(client, acme)

    assert marks(page, "outside") == [str(gone.pk), str(other.pk)]
    said = section(page, "outside")
    assert "1 open 1 accepted" in said
    assert "Agreed by phone." in said


def test_exceptions_that_counted_in_the_month_and_what_is_open_now(client, acme, bellweather, policy):
    pbx, other = make_pbx(acme), make_pbx(bellweather, name="BELL-HQ")
    accepted_at = {"accepted_at": IN_OCTOBER}
    lasting = make_exception(policy, pbx, **accepted_at)
    make_exception(policy, pbx, ended_at=IN_OCTOBER, **accepted_at)
    ended = make_exception(policy, pbx, ended_at=NOW, ended_why="The value moved.", **accepted_at)
    make_exception(policy, other)
    make_violation(policy, pbx, exception=lasting)
    make_violation(policy, pbx, "6501")
    make_violation(policy, other)

    page = page_of(client, acme)

    assert marks(page, "exception") == [str(lasting.pk), str(ended.pk)]
    assert "The value moved." in section(page, "exceptions")
    assert marks(page, "violation") == [f"{pbx.pk}/6501"]
    assert "BELL" not in page


def test_health_adds_up_the_hours_of_the_month_and_what_is_not_counted_yet(client, acme, bellweather):
    well, ill, other = make_pbx(acme), make_pbx(acme, name="ACME-ILL"), make_pbx(bellweather)
    hour = NOW.replace(hour=3)
    ContactHour.objects.create(pbx=well, hour=hour, answered=9, times={"20": 9})
    ContactHour.objects.create(pbx=well, hour=hour - timedelta(days=1), answered=9, times={"20": 8, "40": 1})
    ContactHour.objects.create(pbx=ill, hour=hour, answered=1, failures={"busy": 2, "no-answer": 1}, times={"20": 1})
    ContactHour.objects.create(pbx=ill, hour=IN_OCTOBER, answered=100, times={"20": 100})
    ContactHour.objects.create(pbx=other, hour=hour, answered=1000, times={"20": 1000})
    ContactSample.objects.create(pbx=ill, at=NOW, ms=100, failure="locked")

    page = page_of(client, acme)

    assert marks(page, "health") == [str(ill.pk), str(well.pk)]
    said = section(page, "health")
    assert "23 contacts 82.6 % answered" in said
    assert "2 busy, 1 no usable answer, 1 locked out" in said
    assert "ACME-ILL 5 20 % 87 ms 87 ms" in said
    assert "ACME-HQ 18 100 % 87 ms 7500 ms none" in said


def test_counts_that_are_forgotten_are_not_taken_for_no_contact(client, acme):
    make_pbx(acme)

    assert "are no longer counted" in section(page_of(client, acme, "2026-08"), "health")
    assert "are no longer counted" not in section(page_of(client, acme, "2026-10"), "health")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("2026-02", date(2026, 2, 1)),
        ("2019-12", date(2019, 12, 1)),
        ("", date(2026, 11, 1)),
        ("2026-13", date(2026, 11, 1)),
        ("2027-01", date(2026, 11, 1)),
        ("x\0", date(2026, 11, 1)),
    ],
)
def test_a_month_that_is_none_or_to_come_is_the_one_that_runs(text, first):
    assert month_chosen(text, NOW.date()) == ReportMonth(first)


def test_months_are_chosen_by_name(client, acme):
    page = page_of(client, acme, "2019-12")

    assert '<option value="2026-11">November 2026</option>' in page
    assert '<option value="2019-12" selected>December 2019</option>' in page
    assert len(months_to_choose(ReportMonth(date(2026, 10, 1)), NOW.date())) == 24


def test_a_report_takes_as_many_queries_however_much_there_is(client, acme, policy, django_assert_num_queries):
    for place in range(30):
        pbx = make_pbx(acme, name=f"ACME-{place}")
        make_change(pbx, "unknown")
        make_outside(pbx, action="ivr.vanished")
        make_violation(policy, pbx)
        make_exception(policy, pbx)
        ContactHour.objects.create(pbx=pbx, hour=NOW, answered=1, times={"20": 1})
    client.force_login(make_user("viewer", acme))

    with django_assert_num_queries(18):
        client.get(f"/customers/{acme.pk}/report/")


def test_both_pages_of_a_customer_lead_to_the_report(client, acme):
    make_pbx(acme)
    client.force_login(make_user("viewer", acme))

    for address in (f"/customers/{acme.pk}/", f"/customers/{acme.pk}/home/"):
        assert f'href="/customers/{acme.pk}/report/"' in client.get(address).content.decode()
