"""The desk: what comes onto it, who sees it, and how it is marked."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from pbxadmin.access.models import Customer, User
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_remove
from pbxadmin.review import desk
from pbxadmin.review.desk import desk_read
from pbxadmin.review.kinds import LOOKED_AT
from pbxadmin.review.models import DeskItem
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db
HQ = (501, "ACME-HQ")
MENU = ("6500", "Main_Menu")
OPENED = {"before": "off", "asked": "on", "found": "on"}


@pytest.fixture
def auditor(client):
    client.force_login(make_user("auditor", first_name="Ada", last_name="Raman"))
    DeskItem.objects.all().delete()
    return client


def of(customer):
    return (customer.pk, customer.name)


def outcome(customer, word, **more):
    facts: dict[str, Any] = {"pbx": HQ, "ivr": MENU, "change_id": 1} | more
    return record(EventAction.CHANGE_OUTCOME, customer=of(customer), outcome=word, **facts)


def kinds(event):
    desk_read()
    item = DeskItem.objects.filter(event_id=event.pk).first()
    return item.kind_names if item else []


@pytest.mark.parametrize("word", ["not-as-asked", "unknown"])
def test_an_outcome_that_nobody_wanted_comes_onto_the_desk(acme, word):
    assert kinds(outcome(acme, word)) == [word]


@pytest.mark.parametrize("word", ["verified", "refused", "not-sent"])
def test_an_outcome_as_it_should_be_does_not(acme, word):
    assert kinds(outcome(acme, word)) == []


def test_the_second_refusal_of_the_same_ivr_within_a_day_does(acme):
    outcome(acme, "refused", ivr=("6501", "Sales"))
    first = outcome(acme, "refused")
    second = outcome(acme, "refused")

    assert (kinds(first), kinds(second)) == ([], ["refused-twice"])


def test_two_refusals_more_than_a_day_apart_do_not(acme):
    with time_machine.travel(timezone.now() - timedelta(hours=25)):
        outcome(acme, "refused")

    assert kinds(outcome(acme, "refused")) == []


@pytest.mark.parametrize(("field", "kind"), [("dial_outbound", "dial-out"), ("dial_extension", "dial-extension")])
def test_a_switch_that_was_turned_on_does_whatever_the_outcome(acme, field, kind):
    verified = outcome(acme, "verified", fields={field: OPENED})
    unknown = outcome(acme, "unknown", fields={field: OPENED | {"found": None}})
    turned_off = outcome(acme, "verified", fields={field: {"before": "on", "asked": "off", "found": "off"}})
    not_applied = outcome(acme, "refused", fields={field: OPENED | {"found": "off"}}, ivr=("6509", "Other"))

    assert (kinds(verified), kinds(unknown)) == ([kind], ["unknown", kind])
    assert (kinds(turned_off), kinds(not_applied)) == ([], [])


@pytest.mark.parametrize(
    ("action", "more", "kind"),
    [
        (EventAction.PBX_PINNED, {}, "certificate"),
        (EventAction.PBX_REPLACED, {}, "certificate"),
        (EventAction.PBX_EDITED, {"fields": {"password": {"asked": "changed"}}}, "credentials"),
        (EventAction.PBX_EDITED, {"fields": {"username": {"before": "api", "asked": "web"}}}, "credentials"),
        (EventAction.MEMBERSHIP_GRANTED, {}, "role"),
        (EventAction.MEMBERSHIP_ENDED, {}, "role"),
        (EventAction.PERSON_ADMIN_GIVEN, {}, "role"),
        (EventAction.SECOND_FACTOR_RESET, {}, "credentials"),
        (EventAction.LOG_EXPORTED, {}, "export"),
        (EventAction.EVIDENCE_MADE, {}, "export"),
        (EventAction.PBXS_EXPORTED, {}, "export"),
        (EventAction.IVRS_EXPORTED, {}, "export"),
        (EventAction.LOG_REGRESSED, {}, "log"),
        (EventAction.BACKUP_RESTORED, {}, "restored"),
    ],
)
def test_what_opens_doors_does(acme, action, more, kind):
    assert kinds(record(action, customer=of(acme), **more)) == [kind]


@pytest.mark.parametrize(
    ("when", "found"),
    [("2026-03-20 08:30", []), ("2026-03-20 17:30", ["out-of-hours"]), ("2026-03-21 08:30", ["out-of-hours"])],
)
def test_a_change_out_of_the_customers_own_hours_does(acme, when, found):
    hours = {"time_zone": "Europe/Berlin", "hours_from": "09:00", "hours_to": "18:00", "working_days": "12345"}
    Customer.objects.filter(pk=acme.pk).update(**hours)

    with time_machine.travel(datetime.fromisoformat(f"{when}+00:00"), tick=False):
        event = record(EventAction.CHANGE_SENDING, customer=of(acme), outcome="sending", pbx=HQ, ivr=MENU, change_id=1)

    assert kinds(event) == found


def test_a_change_without_the_reason_that_its_customer_wants_does(acme):
    Customer.objects.filter(pk=acme.pk).update(reason_rule="required")
    without, given = (
        record(EventAction.CHANGE_SENDING, customer=of(acme), outcome="sending", change_id=1, reason=reason)
        for reason in ("", "callers said so")
    )

    assert (kinds(without), kinds(given)) == (["no-reason"], [])


def test_every_action_that_is_looked_at_is_one_that_the_log_knows():
    assert set(EventAction) >= LOOKED_AT - EventGroup.OUTSIDE.actions


def test_an_edit_of_notes_does_not(acme):
    assert kinds(record(EventAction.PBX_EDITED, customer=of(acme), fields={"notes": {"asked": "x"}})) == []


def test_the_desk_goes_on_where_it_stopped(acme, bellweather, django_assert_num_queries):
    outcome(acme, "unknown")
    desk_read()
    DeskItem.objects.all().delete()

    new = outcome(bellweather, "unknown")

    assert desk_read() == 1
    assert list(DeskItem.objects.values_list("event_id", flat=True)) == [new.pk]
    assert desk_read() == 0


def test_a_chain_longer_than_a_batch_is_read_to_its_end(acme, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.desk.EVENTS_AT_A_TIME", 2)
    events = [outcome(acme, "unknown") for _ in range(5)]

    desk_read()

    assert set(DeskItem.objects.values_list("event_id", flat=True)) == {event.pk for event in events}


def test_the_desk_shows_open_exceptions_and_why(auditor, acme):
    event = outcome(acme, "not-as-asked", detail={"sentence": "Not as asked. Response timeout: asked 8 s, found 5 s."})
    outcome(acme, "verified")

    page = auditor.get("/audit/desk/")

    assert page.status_code == 200
    text = page.content.decode()
    assert f'data-event="{event.pk}" data-state="open"' in text
    assert "asked 8 s, found 5 s" in text
    assert text.count("data-event=") == DeskItem.objects.count()


def test_what_is_reviewed_already_is_not_offered_to_be_marked(auditor, acme):
    outcome(acme, "unknown")
    desk_read()
    DeskItem.objects.update(reviewed_at=timezone.now(), reviewed_by_name="Ada Raman")

    page = auditor.get("/audit/desk/?state=reviewed").content.decode()

    assert "Ada Raman" in page
    assert "Mark reviewed" not in page
    assert "All on this page" not in page


def test_an_empty_desk_says_so(client):
    client.force_login(make_user("auditor", make_customer("Quiet Ltd")))
    desk_read()
    DeskItem.objects.all().delete()

    assert "Nothing needs a look" in client.get("/audit/desk/").content.decode()


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "manager"])
@pytest.mark.parametrize("path", ["/audit/desk/", "/audit/periods/", "/audit/periods/1/"])
def test_who_reviews_nothing_is_refused(client, acme, role, path):
    client.force_login(make_user(role, acme))

    assert client.get(path).status_code == 403
    assert Event.objects.filter(action="access.denied").exists()


def test_an_auditor_of_one_customer_sees_nothing_of_another(client, acme, bellweather):
    client.force_login(make_user("auditor", acme))
    outcome(bellweather, "unknown", pbx=(9, "BELL-HQ"))
    record(EventAction.MEMBERSHIP_GRANTED, detail={"user": "somebody", "role": "auditor"})

    page = client.get("/audit/desk/?state=all").content.decode()

    assert "BELL-HQ" not in page
    assert "Bellweather" not in page
    assert "Installation" not in page


def test_marking_needs_a_note_and_keeps_the_choice(auditor, acme):
    event = outcome(acme, "unknown")
    desk_read()

    answer = auditor.post("/audit/desk/review/", {"event": [event.pk], "note": " "})

    assert answer.status_code == 422
    assert f'value="{event.pk}" checked' in answer.content.decode()
    assert DeskItem.objects.get(event_id=event.pk).reviewed_at is None


def test_a_mark_is_an_event_and_takes_it_off_the_desk(auditor, acme):
    event = outcome(acme, "unknown", change_id=77)
    desk_read()

    answer = auditor.post(
        "/audit/desk/review/?kind=unknown", {"event": [event.pk], "note": "Called the site: it is on."}
    )

    assert (answer.status_code, answer["Location"]) == (302, "/audit/desk/?kind=unknown")
    mark = Event.objects.get(action="desk.reviewed")
    assert (mark.customer_id, mark.pbx_id, mark.change_id, mark.actor_name) == (acme.pk, 501, 77, "Ada Raman")
    assert mark.data["detail"] == {"event": event.pk, "kinds": ["unknown"]}
    assert mark.data["reason"] == "Called the site: it is on."
    assert f'data-event="{event.pk}"' not in auditor.get("/audit/desk/").content.decode()
    assert "Called the site" in auditor.get("/audit/desk/?state=reviewed").content.decode()


def test_a_second_mark_changes_nothing(auditor, acme):
    event = outcome(acme, "unknown")
    desk_read()

    for note in ("first", "second"):
        auditor.post("/audit/desk/review/", {"event": [event.pk], "note": note})

    assert DeskItem.objects.get(event_id=event.pk).note == "first"
    assert Event.objects.filter(action="desk.reviewed").count() == 1


def test_mixed_ids_refuse_the_whole_request(client, acme, bellweather):
    client.force_login(make_user("auditor", acme))
    mine, foreign = outcome(acme, "unknown"), outcome(bellweather, "unknown")
    desk_read()

    for ids in ([mine.pk, foreign.pk], [mine.pk, 10**9], ["x"], [10**30]):
        assert client.post("/audit/desk/review/", {"event": ids, "note": "x"}).status_code in (404, 422)

    assert not DeskItem.objects.exclude(reviewed_at=None).exists()


def test_filters_narrow_and_nonsense_finds_nothing(auditor, acme, bellweather):
    first = outcome(acme, "unknown")
    second = record(EventAction.PBX_PINNED, customer=of(bellweather))

    def listed(query):
        page = auditor.get(f"/audit/desk/?{query}").content.decode()
        return [event.pk for event in (first, second) if f'data-event="{event.pk}"' in page]

    assert listed("kind=unknown") == [first.pk]
    assert listed(f"customer={bellweather.pk}") == [second.pk]
    assert listed("kind=nonsense") == []
    assert listed("customer=999999") == []


def test_the_desk_asks_as_much_however_many_customers_there_are(auditor, django_assert_max_num_queries):
    for number in range(20):
        outcome(make_customer(f"Customer {number}"), "unknown")
    desk_read()

    with django_assert_max_num_queries(20):  # 75 when it looked into each chain
        assert auditor.get("/audit/desk/").status_code == 200


def test_htmx_gets_the_desk_alone(auditor):
    answer = auditor.get("/audit/desk/", headers={"HX-Request": "true"})

    assert answer.content.decode().lstrip().startswith('<div id="desk"')


def tamper(event, statement, *values):
    triggers_remove(connection)
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, event.pk])
    triggers_install(connection)


@pytest.mark.parametrize("text", ["garbage", "[]", "{}", '{"fields":{"a":1},"detail":{}}', "[" * 100_000])
def test_an_altered_event_comes_onto_the_desk_and_blinds_no_page(auditor, acme, bellweather, text):
    altered = outcome(acme, "verified")
    tamper(altered, "UPDATE audit_event SET text = %s WHERE id = %s", text)
    other = outcome(bellweather, "unknown")

    assert kinds(altered) == ["log"]
    assert kinds(other) == ["unknown"]
    for path in ("/audit/desk/", "/audit/", f"/audit/{altered.pk}/"):
        assert "Altered or removed" in auditor.get(path).content.decode()


def test_an_event_that_was_taken_out_of_the_log_stays_on_the_desk(auditor, acme):
    gone, other = outcome(acme, "unknown"), outcome(acme, "not-as-asked")
    desk_read()
    tamper(gone, "DELETE FROM audit_event WHERE id = %s")

    page = auditor.get("/audit/desk/").content.decode()
    auditor.post("/audit/desk/review/", {"event": [gone.pk, other.pk], "note": "Told the owner."})

    assert "Gone from the log" in page
    marks = Event.objects.filter(action="desk.reviewed")
    assert {mark.customer_name for mark in marks} == {"Acme Logistics"}
    assert {mark.data["detail"]["event"] for mark in marks} == {gone.pk, other.pk}


@pytest.mark.parametrize("later", [1, 3])
def test_events_that_come_after_a_cut_tail_are_taken_up_and_the_cut_is_told(acme, later):
    kept, *cut = [outcome(acme, "verified") for _ in range(3)]
    desk_read()
    for event in cut:
        tamper(event, "DELETE FROM audit_event WHERE id = %s")
    new = [outcome(acme, "unknown") for _ in range(later)]

    assert [kinds(event) for event in new] == [["unknown"]] * later
    told = Event.objects.get(action="log.regressed")
    assert (told.customer_id, kinds(told), kinds(kept)) == (acme.pk, ["log"], [])
    assert f"up to number {cut[-1].sequence}, which is gone or another event" in told.data["detail"]["sentence"]


def test_a_chain_that_is_read_anew_keeps_its_marks_and_is_told_once(auditor, acme):
    first = outcome(acme, "unknown")
    cut = outcome(acme, "verified")
    desk_read()
    auditor.post("/audit/desk/review/", {"event": [first.pk], "note": "Asked Mara."})
    desk_read()
    tamper(cut, "DELETE FROM audit_event WHERE sequence >= 2 AND %s > 0")

    for _ in range(3):
        outcome(acme, "verified")
        desk_read()

    assert DeskItem.objects.get(event_id=first.pk).note == "Asked Mara."
    assert Event.objects.filter(action="log.regressed").count() == 1


def test_a_chain_that_cannot_be_read_keeps_no_other_from_the_desk(acme, bellweather, monkeypatch, caplog):
    broken, other = outcome(acme, "unknown"), outcome(bellweather, "unknown")
    customer_of = desk.customer_of_chain
    with monkeypatch.context() as patch:
        patch.setattr(desk, "customer_of_chain", lambda chain: 1 / 0 if str(acme.pk) in chain else customer_of(chain))

        assert kinds(other) == ["unknown"]

    assert "could not be read" in caplog.text
    assert kinds(broken) == ["unknown"]


@pytest.mark.parametrize("path", ["/audit/", "/audit/desk/", "/audit/periods/", "/audit/access/"])
def test_every_tab_says_how_many_are_open(auditor, acme, path):
    record(EventAction.CHANGE_OUTCOME, outcome="unknown", customer=(acme.pk, acme.name), change_id=1)
    desk_read()
    count = DeskItem.objects.visible_to(User.objects.get()).still_open().count()

    assert count
    assert f'<span class="n">{count} open</span>' in auditor.get(path).content.decode()
