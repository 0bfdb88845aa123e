"""An exception is reviewed on the page of its event, and the next one of the desk opens."""

from datetime import UTC, datetime

import pytest

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.review.desk import desk_read
from pbxadmin.review.models import DeskItem
from pbxadmin.review.periods import period_add
from pbxadmin.web.times import utc_today
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor(client, acme):
    client.force_login(make_user("auditor", acme, first_name="Ada", last_name="Raman"))
    desk_read()
    DeskItem.objects.all().delete()
    return client


def exception(customer, outcome="unknown"):
    return record(EventAction.CHANGE_OUTCOME, outcome=outcome, customer=(customer.pk, customer.name), change_id=1).pk


@pytest.fixture
def three(auditor, acme, bellweather):
    found = [exception(acme), exception(acme, "not-as-asked"), exception(acme)]
    exception(bellweather)
    desk_read()
    return found


def review(client, pk, query="", note="Asked Mara."):
    return client.post(f"/audit/{pk}/review/{query}", {"note": note})


def test_each_leads_to_the_next_and_the_last_to_the_desk(auditor, three):
    first, second, third = three
    assert b"Mark reviewed, next" in auditor.get(f"/audit/{third}/").content

    answers = [review(auditor, pk)["Location"] for pk in (third, second, first)]

    assert answers == [f"/audit/{second}/", f"/audit/{first}/", "/audit/desk/"]
    item = DeskItem.objects.get(event_id=second)
    assert (item.reviewed_by_name, item.note) == ("Ada Raman", "Asked Mara.")
    page = auditor.get(f"/audit/{second}/").content.decode()
    assert "Asked Mara." in page
    assert "Mark reviewed" not in page


def test_the_next_one_is_of_the_filter_that_the_desk_had(auditor, three):
    first, _, third = three

    assert review(auditor, third, "?kind=unknown")["Location"] == f"/audit/{first}/?kind=unknown"
    assert review(auditor, first, "?kind=unknown")["Location"] == "/audit/desk/?kind=unknown"


def test_from_the_oldest_one_the_newest_follows(auditor, three):
    first, _, third = three

    assert review(auditor, first)["Location"] == f"/audit/{third}/"


def test_without_a_note_nothing_is_marked(auditor, three):
    answer = review(auditor, three[0], note=" ")

    assert answer.status_code == 422
    assert b'data-error-for="note"' in answer.content
    assert DeskItem.objects.get(event_id=three[0]).reviewed_at is None


def test_what_is_no_exception_or_of_another_customer_has_no_form_and_takes_none(auditor, three, acme, bellweather):
    plain = record(EventAction.PBX_TESTED, customer=(acme.pk, acme.name)).pk
    theirs = DeskItem.objects.get(customer_id=bellweather.pk).event_id

    assert b"What you found" not in auditor.get(f"/audit/{plain}/").content
    assert [review(auditor, pk).status_code for pk in (plain, theirs)] == [404, 404]
    assert DeskItem.objects.get(event_id=theirs).reviewed_at is None


def test_the_next_one_is_of_the_period_and_the_last_leads_back_to_it(auditor, three, acme):
    first, second, third = three
    DeskItem.objects.filter(event_id=third).update(at=datetime(2020, 1, 1, tzinfo=UTC))
    today = utc_today()
    period = period_add(customer=acme, starts_on=today, ends_on=today, by="Ada Raman")
    page = auditor.get(period.get_absolute_url()).content.decode()
    assert f"/audit/{second}/?period={period.pk}" in page
    assert f"/audit/{third}/" not in page

    answers = [review(auditor, pk, f"?period={period.pk}")["Location"] for pk in (second, first)]

    assert answers == [f"/audit/{first}/?period={period.pk}", period.get_absolute_url()]
    page = auditor.get(answers[-1]).content.decode()
    assert "0 exceptions left to review in this period." in page
    assert page.partition('id="reviewed"')[2].count("Asked Mara.") == 2


def test_the_desk_is_narrowed_to_a_period(auditor, three, acme, bellweather):
    today = utc_today()
    period = period_add(customer=acme, starts_on=today, ends_on=today, by="Ada Raman")
    theirs = period_add(customer=bellweather, starts_on=today, ends_on=today, by="x")

    page = auditor.get(f"/audit/desk/?period={period.pk}").content.decode()
    assert "3 open exceptions" in page
    assert f'name="period" value="{period.pk}"' in page
    assert "No exception matches" in auditor.get(f"/audit/desk/?period={theirs.pk}").content.decode()


@pytest.mark.parametrize("query", ["", "?kind=unknown"])
def test_the_permanent_address_has_no_query(auditor, three, query):
    for page in (auditor.get(f"/audit/{three[0]}/{query}"), review(auditor, three[0], query, note=" ")):
        assert f'id="address">http://testserver/audit/{three[0]}/</span>' in page.content.decode()
