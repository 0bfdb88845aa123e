"""Periods: added by an auditor, signed off when nothing is open, reopened by what comes late."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.db import connection, connections

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import checkpoint_make, checkpoints_path
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_remove
from pbxadmin.review import desk
from pbxadmin.review.desk import chain_read, desk_read
from pbxadmin.review.models import DeskItem, Period
from pbxadmin.review.periods import NotReady, month, period_add, period_sign, quarter
from tests.factories import make_customer, make_user
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.django_db
MARCH = "2026-03-01/2026-03-31"


@pytest.fixture
def clock():
    with time_machine.travel(datetime(2026, 3, 20, 12, tzinfo=UTC)) as travelling:
        yield travelling


@pytest.fixture
def acme(clock):
    return make_customer("Acme Logistics")


@pytest.fixture
def auditor(client, acme):
    client.force_login(make_user("auditor", acme, first_name="Ada", last_name="Raman"))
    desk_read()
    DeskItem.objects.all().delete()
    return client


@pytest.fixture
def march(acme):
    return period_add(customer=acme, starts_on=date(2026, 3, 1), ends_on=date(2026, 3, 31), by="Ada Raman")


def outcome(customer, word, action=EventAction.CHANGE_OUTCOME, change_id=1):
    named = (customer.pk, customer.name)
    return record(action, customer=named, pbx=(5, "ACME-HQ"), ivr=("6500", "Menu"), outcome=word, change_id=change_id)


def page_of(client, period):
    return client.get(f"/audit/periods/{period.pk}/").content.decode()


def cut_tail(chain):
    Event.objects.filter(pk=Event.objects.filter(chain=chain).order_by("sequence").last().pk).delete()


def alter_last(chain):
    Event.objects.filter(pk=Event.objects.filter(chain=chain).order_by("sequence").last().pk).update(hash="f" * 64)


def sign(client, period):
    answer = client.post(f"/audit/periods/{period.pk}/sign/")
    period.refresh_from_db()
    return answer


@pytest.mark.parametrize(
    ("day", "of_month", "of_quarter"),
    [
        (date(2026, 2, 14), (date(2026, 2, 1), date(2026, 2, 28)), (date(2026, 1, 1), date(2026, 3, 31))),
        (date(2028, 2, 29), (date(2028, 2, 1), date(2028, 2, 29)), (date(2028, 1, 1), date(2028, 3, 31))),
        (date(2026, 12, 31), (date(2026, 12, 1), date(2026, 12, 31)), (date(2026, 10, 1), date(2026, 12, 31))),
    ],
)
def test_months_and_quarters_end_on_their_last_day(day, of_month, of_quarter):
    assert (month(day), quarter(day)) == (of_month, of_quarter)


def test_an_auditor_adds_a_month(auditor, acme):
    answer = auditor.post("/audit/periods/", {"customer": acme.pk, "span": MARCH})

    period = Period.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/audit/periods/{period.pk}/")
    assert (period.starts_on, period.ends_on) == (date(2026, 3, 1), date(2026, 3, 31))
    assert Event.objects.get(action="period.added").data["detail"]["to"] == "2026-03-31"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({}, "starts_on"),
        ({"starts_on": "2026-03-10", "ends_on": "2026-03-09"}, "ends_on"),
        ({"starts_on": "x", "ends_on": "2026-03-09"}, "starts_on"),
        ({"span": "2020-01-01/2020-01-31"}, "span"),
    ],
)
def test_days_that_make_no_sense_are_told_beside_the_field(auditor, acme, more, field):
    answer = auditor.post("/audit/periods/", {"customer": acme.pk, "span": "own"} | more)

    assert answer.status_code == 422
    assert f'data-error-for="{field}"' in answer.content.decode()


def test_a_period_of_one_day_is_that_day(auditor, acme):
    day = period_add(customer=acme, starts_on=date(2026, 3, 1), ends_on=date(2026, 3, 1), by="Ada Raman")

    page = auditor.get(day.get_absolute_url()).content.decode()
    row = auditor.get("/audit/periods/").content.decode().partition(f'data-period="{day.pk}"')[2].partition("</tr>")[0]

    assert "<h1>2026-03-01</h1>" in page
    assert "2026-03-01 to 2026-03-01" not in page
    assert row.count("2026-03-01") == 1


def test_the_same_period_is_not_added_twice(auditor, acme, march):
    answer = auditor.post("/audit/periods/", {"customer": acme.pk, "span": MARCH})

    assert answer.status_code == 422
    assert "has this period already" in answer.content.decode()


def test_a_period_of_a_foreign_customer_is_not_there(auditor, acme):
    other = make_customer("Bellweather Clinics")
    theirs = period_add(customer=other, starts_on=date(2026, 3, 1), ends_on=date(2026, 3, 2), by="x")

    assert auditor.post("/audit/periods/", {"customer": other.pk, "span": MARCH}).status_code == 422
    assert auditor.get(f"/audit/periods/{theirs.pk}/").status_code == 404
    assert sign(auditor, theirs).status_code == 404
    assert "Bellweather" not in auditor.get("/audit/periods/").content.decode()
    assert theirs.state == "open"


def test_nothing_is_signed_while_an_exception_is_open(auditor, acme, march):
    outcome(acme, "unknown")

    answer = sign(auditor, march)

    assert answer.status_code == 409
    assert "1 exception of this period is still open" in answer.content.decode()
    assert (march.state, Event.objects.filter(action="period.signed").exists()) == ("open", False)


def test_a_reviewed_period_is_signed_by_name_with_its_figures(auditor, acme, march):
    event = outcome(acme, "unknown")
    outcome(acme, "verified")
    desk_read()
    auditor.post("/audit/desk/review/", {"event": [event.pk], "note": "settled"})

    answer = sign(auditor, march)

    assert answer.status_code == 302
    assert (march.state, march.signed_by_name) == ("signed", "Ada Raman")
    signed = Event.objects.get(action="period.signed")
    assert (signed.pk, signed.actor_name) == (march.signed_event_id, "Ada Raman")
    assert (signed.data["detail"]["events"]["unknown"], signed.data["detail"]["events"]["verified"]) == (1, 1)
    page = page_of(auditor, march)
    assert "Signed off" in page
    assert "2026-03-20 12:00 UTC</time>: every exception was reviewed" in " ".join(page.split())


def test_its_page_counts_as_many_events_as_the_log(auditor, acme, march):
    event = outcome(acme, "unknown")
    desk_read()
    auditor.post("/audit/desk/review/", {"event": [event.pk], "note": "settled"})

    context = auditor.get(f"/audit/periods/{march.pk}/").context
    days = f"customer={acme.pk}&from=2026-03-01&to=2026-03-31"
    of_log = auditor.get(f"/audit/figures/?{days}").context["figures"].total

    assert (context["total"], context["reviews"]) == (of_log, 2)  # added, and one reviewed


def test_what_was_being_sent_is_no_outcome_among_the_figures(auditor, acme, march):
    outcome(acme, "sending", action=EventAction.CHANGE_SENDING)
    outcome(acme, "verified")

    context = auditor.get(f"/audit/periods/{march.pk}/").context

    assert context["counts"] == [("verified", 1)]
    assert context["others"] == context["total"] - context["reviews"] - 1


def test_what_auditors_do_about_a_period_is_counted_apart(auditor, acme, march):
    event = outcome(acme, "unknown")
    desk_read()

    def shown():
        context = auditor.get(f"/audit/periods/{march.pk}/").context
        return context["total"] - context["reviews"]

    before = shown()

    auditor.post("/audit/desk/review/", {"event": [event.pk], "note": "settled"})
    sign(auditor, march)

    assert shown() == before
    assert sum(Event.objects.get(action="period.signed").data["detail"]["events"].values()) == before


def test_its_page_says_how_far_the_chain_goes_and_where_its_checkpoint_is(auditor, acme, march):
    assert "no event yet" not in (page := page_of(auditor, march))
    assert "not yet" in page
    checkpoint_make("daily")
    number = outcome(acme, "verified").sequence - 1
    checkpoint_make("export", ["customer:77"])

    page = page_of(auditor, march)

    assert f"{number + 1} events so far" in page
    assert f"up to number {number}, checkpoint 1 of 2026-03-20 12:00 UTC" in page
    assert "As in the checkpoint" in page


@pytest.mark.parametrize("alter", [cut_tail, alter_last])
def test_its_page_says_when_the_chain_differs_from_its_checkpoint(auditor, acme, march, alter):
    checkpoint_make("daily")
    triggers_remove(connection)
    alter(f"customer:{acme.pk}")
    triggers_install(connection)

    assert "Not as in the checkpoint" in page_of(auditor, march)


def test_an_altered_checkpoint_says_nothing_of_a_chain(auditor, acme, march):
    checkpoint_make("daily")
    checkpoints_path().write_text(checkpoints_path().read_text().replace('"daily"', '"daily "'))

    assert "not yet" in page_of(auditor, march)


def test_an_altered_chain_is_not_signed(auditor, acme, march):
    event = outcome(acme, "verified")
    triggers_remove(connection)
    Event.objects.filter(pk=event.pk).update(outcome="refused")
    triggers_install(connection)

    answer = sign(auditor, march)

    assert answer.status_code == 409
    assert "has 1 fault" in answer.content.decode()
    assert march.state == "open"


def test_a_chain_that_was_cut_is_not_signed(auditor, acme, march):
    record(EventAction.PBX_TESTED, customer=(acme.pk, acme.name))
    checkpoint_make("daily")
    triggers_remove(connection)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_event WHERE action = 'pbx.tested'")
    triggers_install(connection)

    answer = sign(auditor, march)

    assert march.state != "signed"
    assert "cut off since checkpoint 1 of" in answer.content.decode()


def test_nothing_is_signed_by_checkpoints_that_were_altered(auditor, acme, march):
    checkpoint_make("daily")
    checkpoints_path().write_text(checkpoints_path().read_text().replace('"daily"', '"dayly"'))

    answer = sign(auditor, march)

    assert answer.status_code == 409
    assert "The checkpoints of the log are not whole. First: heads.jsonl line 1: altered" in answer.content.decode()
    assert march.state == "open"


def test_what_comes_late_reopens_it_and_says_why(auditor, acme, march):
    sign(auditor, march)

    late = outcome(acme, "verified")
    auditor.get("/audit/desk/")

    march.refresh_from_db()
    assert march.state == "reopened"
    assert f"Event {late.pk} (Change ended)" in march.reopened_why
    reopened = Event.objects.get(action="period.reopened")
    assert (reopened.actor_name, reopened.data["detail"]["event"]) == ("PBX Admin", late.pk)
    assert reopened.data["address"] == ""  # not of whose page made the desk look
    assert march.reopened_why.split(" (")[0] in auditor.get(f"/audit/periods/{march.pk}/").content.decode()


def test_an_outcome_after_the_period_reopens_it_when_the_change_was_sent_in_it(auditor, acme, march, clock):
    outcome(acme, "sending", action=EventAction.CHANGE_SENDING, change_id=44)
    sign(auditor, march)
    clock.move_to(datetime(2026, 4, 2, tzinfo=UTC))
    outcome(acme, "verified", change_id=45)
    desk_read()
    march.refresh_from_db()
    assert march.state == "signed"

    outcome(acme, "verified", action=EventAction.CHANGE_SETTLED, change_id=44)
    desk_read()

    march.refresh_from_db()
    assert march.state == "reopened"


def test_what_an_auditor_does_at_the_desk_does_not_reopen_it(auditor, acme, march):
    sign(auditor, march)

    period_add(customer=acme, starts_on=date(2026, 2, 1), ends_on=date(2026, 2, 28), by="Ada Raman")
    desk_read()

    march.refresh_from_db()
    assert march.state == "signed"


def test_a_reopened_period_can_be_signed_again(auditor, acme, march):
    sign(auditor, march)
    outcome(acme, "verified")
    desk_read()

    assert sign(auditor, march).status_code == 302

    assert march.state == "signed"
    assert Event.objects.filter(action="period.signed").count() == 2


def test_a_signature_needs_reauthentication(auditor, march, clock):
    clock.shift(timedelta(minutes=16))

    answer = sign(auditor, march)

    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert march.state == "open"


def test_signing_twice_signs_once(auditor, march):
    sign(auditor, march)

    assert sign(auditor, march).status_code == 302
    assert Event.objects.filter(action="period.signed").count() == 1


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "manager"])
def test_who_does_not_review_signs_nothing(client, acme, march, role):
    client.force_login(make_user(role, acme))

    assert sign(client, march).status_code == 403
    assert march.state == "open"


def test_a_get_signs_nothing(auditor, march):
    assert auditor.get(f"/audit/periods/{march.pk}/sign/").headers["Location"] == f"/audit/periods/{march.pk}/"


def test_looking_at_it_makes_no_key_for_seals(auditor, march, settings, tmp_path):
    settings.DATA_DIR = tmp_path

    assert auditor.get(f"/audit/periods/{march.pk}/").status_code == 200

    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_no_exception_slips_in_while_a_worker_reads_the_same_chain(monkeypatch):
    customer, today = make_customer("Acme Logistics"), datetime.now(UTC).date()
    period = period_add(customer=customer, starts_on=today, ends_on=today + timedelta(days=1), by="Ada Raman")
    is_reading, items_of = threading.Event(), desk.items_of

    def slowly(*given):
        is_reading.set()
        time.sleep(0.7)
        return items_of(*given)

    def worker():
        chain_read(f"customer:{customer.pk}")
        connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(desk, "items_of", slowly)
        reading = pool.submit(worker)
        assert is_reading.wait(LIMIT_S)
        monkeypatch.setattr(desk, "items_of", items_of)
        outcome(customer, "unknown")

        with pytest.raises(NotReady, match="1 exception"):
            period_sign(period=period, by="Ada Raman")
        reading.result(60)
