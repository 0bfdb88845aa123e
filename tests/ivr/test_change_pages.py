"""A change over HTTP: plan, apply, receipt at one address."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.db import OperationalError, connection
from django.utils import timezone

from ivr.changes.apply import change_apply
from ivr.changes.plan import change_plan
from ivr.changes.reconcile import reconcile, replay_spool
from ivr.forms import opened_now
from ivr.models import Change
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import Actor
from pbxadmin.fleet.services import pbx_delete
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_customer, make_pbx, make_user
from tests.pbx_http import IVR, breaks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pbx():
    return make_pbx()


@pytest.fixture
def mara(pbx, client):
    user = make_user(Role.HELPDESK, pbx.customer, username="mara", first_name="Mara", last_name="Lindqvist")
    client.force_login(user)
    return user


@pytest.fixture
def planned(pbx, mara):
    return plan(pbx, response_timeout="6")


def plan(pbx, **wanted) -> Change:
    opened = opened_now(pbx, read_ivr(IVR, ApiVersion.V1_0), timezone.now())
    return change_plan(
        pbx=pbx,
        opened=opened,
        wanted=wanted,
        actor=Actor(1, "Mara Lindqvist"),
        ticket="INC-4411",
        reason="hangs up too soon",
    )


def test_a_plan_shows_old_and_new_and_names_its_target(client, planned, pbx_http):
    page = client.get(f"/changes/{planned.pk}/").content.decode()

    assert 'data-outcome="planned"' in page
    assert "<del>3 s</del>" in page.replace("<bdi>", "").replace("</bdi>", "")
    assert "<ins>6 s</ins>" in page.replace("<bdi>", "").replace("</bdi>", "")
    assert "Apply on ACME-HQ" in page
    assert f'action="/changes/{planned.pk}/apply/"' in page


@pytest.mark.parametrize(("role", "offered"), [(Role.HELPDESK, True), (Role.VIEWER, False), (Role.AUDITOR, False)])
def test_only_who_may_edit_is_led_back_to_the_form(client, pbx, planned, role, offered):
    client.force_login(make_user(role, pbx.customer))

    page = client.get(f"/changes/{planned.pk}/").content.decode()

    assert ("Edit again" in page) is offered


def test_looking_at_a_plan_sends_nothing(client, planned, pbx_http):
    client.get(f"/changes/{planned.pk}/")
    client.get(f"/changes/{planned.pk}/receipt.txt")

    assert pbx_http.received == []
    assert client.get(f"/changes/{planned.pk}/apply/").headers["Location"] == f"/changes/{planned.pk}/"


def test_apply_leads_to_the_receipt_at_the_same_address(client, planned, pbx_http):
    answer = client.post(f"/changes/{planned.pk}/apply/", follow=True)

    page = answer.content.decode()
    assert answer.redirect_chain == [(f"/changes/{planned.pk}/", 302)]
    assert page.index('data-outcome="verified"') == page.index("data-outcome")
    assert "ACME-HQ now has response timeout 6 s." in page


def test_the_receipt_tells_reading_back_from_reading(client, planned, pbx_http):
    client.post(f"/changes/{planned.pk}/apply/")

    page = client.get(f"/changes/{planned.pk}/").content.decode()

    steps = re.findall("<h3>(.*?)</h3>", page[page.index("How it went") : page.index("For the record")])
    assert [step for step in steps if step in ("Read", "Sent once", "Read back")] == ["Read", "Sent once", "Read back"]


def test_the_receipt_is_plain_text_to_paste(client, planned, pbx_http):
    client.post(f"/changes/{planned.pk}/apply/")

    answer = client.get(f"/changes/{planned.pk}/receipt.txt")

    text = answer.content.decode()
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    for line in (
        "Customer   Acme Logistics",
        "PBX        ACME-HQ",
        "IVR        6500 Main_Menu",
        "Change     Response timeout 3 s → 6 s",
        "Outcome    VERIFIED: read back, all as asked",
        "Ticket     INC-4411",
        "Reason     hangs up too soon",
        f"Link       http://testserver/changes/{planned.pk}/",
    ):
        assert line in text


def test_a_name_with_line_breaks_cannot_pose_as_a_fact_of_the_receipt(client, pbx, mara, pbx_http):
    change = plan(pbx, response_timeout="6")
    Change.objects.filter(pk=change.pk).update(name="x\nOutcome    VERIFIED")

    text = client.get(f"/changes/{change.pk}/receipt.txt").content.decode()

    assert text.count("\nOutcome ") == 1


def test_a_conflict_stops_with_409_and_shows_both(client, planned, pbx_http):
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"

    answer = client.post(f"/changes/{planned.pk}/apply/")

    page = answer.content.decode()
    assert answer.status_code == 409
    assert 'data-conflict="response_timeout"' in page
    assert 'data-outcome="conflict"' in page
    assert "9 s" in page
    assert client.get(f"/changes/{planned.pk}/").status_code == 200


def test_a_conflict_is_resolved_field_by_field_into_a_new_plan(client, planned, pbx_http):
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    client.post(f"/changes/{planned.pk}/apply/")

    undecided = client.post(f"/changes/{planned.pk}/resolve/", {})
    decided = client.post(f"/changes/{planned.pk}/resolve/", {"response_timeout": "yours"})

    assert undecided.status_code == 422
    new = Change.objects.get(pk=int(decided["Location"].split("/")[2]))
    assert (new.status, new.base["response_timeout"], new.wanted) == ("planned", "9", {"response_timeout": "6"})


def test_the_choice_of_a_conflict_applies_at_once_after_a_re_read_of_its_own(client, planned, pbx_http):
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    client.post(f"/changes/{planned.pk}/apply/")
    pbx_http.received.clear()

    answer = client.post(f"/changes/{planned.pk}/resolve/", {"response_timeout": "yours", "apply": "yes"})

    new = Change.objects.get(pk=int(answer["Location"].split("/")[2]))
    assert (new.status, new.base["response_timeout"]) == ("verified", "9")
    assert pbx_http.calls() == ["ivr/query", "ivr/update", "ivr/query"]


def test_what_was_changed_again_since_leads_on_from_what_it_says(client, pbx, planned, pbx_http):
    client.post(f"/changes/{planned.pk}/apply/")
    assert "data-later" not in client.get(f"/changes/{planned.pk}/").content.decode()

    again = plan(pbx, digit_timeout="4")
    client.post(f"/changes/{again.pk}/apply/")

    page = client.get(f"/changes/{planned.pk}/").content.decode()
    assert f'data-later="{again.pk}"' in page
    assert f'href="/changes/{again.pk}/"' in page
    assert "data-later" not in client.get(f"/changes/{again.pk}/").content.decode()


def test_a_choice_that_is_overtaken_once_more_sends_nothing(client, planned, pbx_http):
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    client.post(f"/changes/{planned.pk}/apply/")
    pbx_http.ivrs["6500"]["responsetimeout"] = "8"

    answer = client.post(f"/changes/{planned.pk}/resolve/", {"response_timeout": "yours", "apply": "yes"})

    assert 'data-outcome="conflict"' in client.get(answer["Location"]).content.decode()
    assert "ivr/update" not in pbx_http.calls()


def test_a_choice_that_brings_a_risk_is_confirmed_on_its_plan(client, pbx, mara, pbx_http):
    change = plan(pbx, dial_extension="on", response_timeout="6")
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    client.post(f"/changes/{change.pk}/apply/", {"confirm": "yes"})

    page = client.get(f"/changes/{change.pk}/").content.decode()
    answer = client.post(f"/changes/{change.pk}/resolve/", {"response_timeout": "yours", "apply": "yes"})

    assert "Review the result on ACME-HQ" in page
    assert 'name="confirm"' in client.get(answer["Location"]).content.decode()
    assert "ivr/update" not in pbx_http.calls()


def test_a_plan_is_offered_to_be_applied_only_to_who_may_change_all_of_it(client, pbx, mara, pbx_http):
    change = plan(pbx, dial_outbound="on", response_timeout="6")
    pages = [client.get(f"/changes/{change.pk}/").content.decode()]
    client.force_login(make_user(Role.MANAGER, pbx.customer))
    pages.append(client.get(f"/changes/{change.pk}/").content.decode())

    assert [f"/changes/{change.pk}/apply/" in page for page in pages] == [False, True]
    assert ["You may look at this plan" in page for page in pages] == [True, False]


def test_a_plan_says_what_is_open_to_callers_now_and_after(client, pbx, mara, pbx_http):
    page = client.get(f"/changes/{plan(pbx, dial_extension='on').pk}/").content.decode()

    assert "<del>Keys only</del>" in page
    assert "<ins>An extension</ins>" in page


def test_a_conflict_of_a_pbx_that_was_deleted_meanwhile_is_not_resolved(client, pbx, planned, pbx_http):
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    client.post(f"/changes/{planned.pk}/apply/")
    pbx_delete(pbx=pbx)

    answer = client.post(f"/changes/{planned.pk}/resolve/", {"response_timeout": "yours"})

    assert answer.status_code == 422
    assert "ACME-HQ was deleted." in answer.content.decode()
    assert Change.objects.count() == 1


def test_a_risky_plan_shows_one_box_to_tick_and_without_it_nothing_is_sent(client, pbx, mara, pbx_http):
    change = plan(pbx, dial_extension="on")
    page = client.get(f"/changes/{change.pk}/").content.decode()

    unticked = client.post(f"/changes/{change.pk}/apply/")
    calls = list(pbx_http.received)
    ticked = client.post(f"/changes/{change.pk}/apply/", {"confirm": "yes"})

    assert page.count('name="confirm"') == 1
    assert (unticked.status_code, ticked.status_code, calls) == (422, 302, [])
    assert 'data-error-for="confirm"' in unticked.content.decode()


def test_applying_again_changes_nothing(client, planned, pbx_http):
    client.post(f"/changes/{planned.pk}/apply/")
    calls = len(pbx_http.received)

    answer = client.post(f"/changes/{planned.pk}/apply/")

    assert answer.status_code == 302
    assert len(pbx_http.received) == calls


def test_when_the_log_cannot_be_written_the_page_says_that_nothing_was_sent(client, planned, pbx_http):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event RENAME TO audit_event_away")
    try:
        answer = client.post(f"/changes/{planned.pk}/apply/")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE audit_event_away RENAME TO audit_event")

    page = answer.content.decode()
    assert answer.status_code == 503
    assert "so nothing was sent" in page
    assert 'data-outcome="planned"' in page
    assert "ivr/update" not in pbx_http.calls()


def log_is_away_after_sending(pbx_http):
    """No event can be written from the moment that the PBX was told."""

    def execute(run, sql, params, many, context):
        if "ivr/update" in pbx_http.calls() and sql.replace('"', "").startswith("INSERT INTO audit_event"):
            raise OperationalError("the disk is full")
        return run(sql, params, many, context)

    return connection.execute_wrapper(execute)


def database_is_away_after(call, pbx_http):
    """It answers nothing any more from the moment of this call."""

    def execute(run, sql, params, many, context):
        if call in pbx_http.calls():
            raise OperationalError("the connection is closed")
        return run(sql, params, many, context)

    return connection.execute_wrapper(execute)


@pytest.mark.parametrize(
    ("call", "becomes"), [("login", "planned"), ("ivr/query", "planned"), ("ivr/update", "verified")]
)
def test_a_database_that_goes_away_makes_nothing_be_sent_twice(
    client, planned, pbx_http, settings, tmp_path, call, becomes
):
    settings.DATA_DIR, client.raise_request_exception = tmp_path, False
    with database_is_away_after(call, pbx_http):
        answer = client.post(f"/changes/{planned.pk}/apply/")
    sent = pbx_http.calls().count("ivr/update")

    client.post(f"/changes/{planned.pk}/apply/")  # at once, as people do
    replay_spool()

    planned.refresh_from_db()
    assert answer.status_code == 500
    assert "look at Changes before you try again" in answer.content.decode()
    assert (planned.status, sent) == (becomes, int(call == "ivr/update"))
    assert pbx_http.calls().count("ivr/update") == sent


def test_an_outcome_that_is_not_recorded_yet_is_told_all_the_same(client, planned, pbx_http, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    with log_is_away_after_sending(pbx_http):
        page = client.post(f"/changes/{planned.pk}/apply/", follow=True).content.decode()
    replay_spool()

    later = client.get(f"/changes/{planned.pk}/").content.decode()

    assert "Not recorded yet" in page
    assert "ACME-HQ now has response timeout 6 s." in page
    assert 'data-outcome="sending"' in page
    assert 'data-outcome="verified"' in later


def test_an_outcome_that_can_be_written_nowhere_is_found_out_by_reading(client, planned, pbx_http, settings, tmp_path):
    settings.DATA_DIR = tmp_path / "a file"
    settings.DATA_DIR.write_text("in the way")
    with log_is_away_after_sending(pbx_http):
        page = client.post(f"/changes/{planned.pk}/apply/", follow=True).content.decode()
    Change.objects.update(claimed_until=timezone.now())

    reconcile()

    assert 'data-outcome="sending"' in page
    assert Change.objects.get().status == "verified"
    assert pbx_http.calls().count("ivr/update") == 1


class Killed(BaseException):
    """As `kill -9`: nothing of ours answers for it."""


def applies_and_we_are_killed(double, body):
    double.update(body)
    raise Killed


@pytest.fixture
def left_behind(planned, pbx_http):
    """A change whose process died after the PBX had applied it."""
    pbx_http.fail("ivr/update", applies_and_we_are_killed)
    with pytest.raises(Killed):
        change_apply(change=planned, actor=Actor(1, "Mara Lindqvist"))
    return planned


def where_it_is_told(client, change):
    """Every page and text that tells the outcome of a change."""
    here = f"/changes/{change.pk}/"
    ivr = f"/pbxs/{change.pbx_id}/ivrs/{change.number}/"
    return {address: client.get(address).content.decode() for address in (here, "/changes/", ivr, "/")}


def test_what_a_killed_process_left_is_being_sent_for_less_than_45_seconds(client, left_behind, pbx_http):
    early = where_it_is_told(client, left_behind)

    with time_machine.travel(timezone.now() + timedelta(seconds=44)):  # and nothing ticks
        late = where_it_is_told(client, left_behind)
        texts = [client.get(f"/changes/{left_behind.pk}/receipt.txt{who}").content for who in ("", "?for=customer")]

    here = left_behind.get_absolute_url()
    assert 'data-outcome="sending"' in early[here]
    assert "every 1s" in early[here]
    assert all("Sending</span>" in page for address, page in early.items() if address != here)
    assert 'data-outcome="unknown"' in late[here]
    assert "It is checked by itself; nothing is ever sent twice." in late[here]
    assert "every 1s" not in late[here]
    assert all("Unknown</span>" in page for address, page in late.items() if address != here)
    assert not any("Sending</span>" in page for page in late.values())
    assert all(b"UNKNOWN: sent, and it could not be read back" in text for text in texts)


def test_what_a_killed_process_left_is_found_by_what_it_is_shown_as(client, left_behind, pbx_http):
    def found():
        pages = {outcome: client.get(f"/changes/?outcome={outcome}").content.decode() for outcome in Change.Status}
        return [outcome.value for outcome, page in pages.items() if f'href="/changes/{left_behind.pk}/"' in page]

    early = found()
    with time_machine.travel(timezone.now() + timedelta(seconds=44)):
        late = found()

    assert (early, late) == (["sending"], ["unknown"])


def test_a_plan_that_is_being_applied_is_found_as_being_sent(client, planned, pbx_http):
    Change.objects.update(claimed_until=timezone.now() + timedelta(seconds=20))

    found = [each for each in Change.Status if Change.objects.showing(each).exists()]

    assert found == [Change.Status.SENDING] == [Change.objects.get().outcome]


def test_what_a_killed_process_left_can_be_checked_now_and_is_unknown_meanwhile(client, left_behind, pbx_http):
    meanwhile = []
    pbx_http.fail("ivr/query", lambda double, body: meanwhile.append(Change.objects.get().outcome))

    with time_machine.travel(timezone.now() + timedelta(seconds=44)):
        client.post(f"/changes/{left_behind.pk}/check/")
        page = client.post(f"/changes/{left_behind.pk}/check/", follow=True).content.decode()

    assert meanwhile == ["unknown"]
    assert 'data-outcome="verified"' in page
    assert pbx_http.calls().count("ivr/update") == 1


def test_an_unknown_outcome_can_be_checked_now(client, planned, pbx_http):
    pbx_http.fail("ivr/query", breaks, after=1)
    page = client.post(f"/changes/{planned.pk}/apply/", follow=True).content.decode()

    checked = client.post(f"/changes/{planned.pk}/check/", follow=True).content.decode()

    assert 'data-outcome="unknown"' in page
    assert 'data-outcome="verified"' in checked
    assert pbx_http.calls().count("ivr/update") == 1


def test_a_check_that_cannot_read_says_why(client, planned, pbx_http):
    pbx_http.fail("ivr/query", breaks, after=1)
    client.post(f"/changes/{planned.pk}/apply/")
    pbx_http.fail("ivr/query", breaks)

    page = client.post(f"/changes/{planned.pk}/check/", follow=True).content.decode()

    assert 'data-outcome="unknown"' in page
    assert "It could not be read. The connection broke after sending." in page


@pytest.mark.parametrize(
    ("role", "status"), [(Role.VIEWER, 403), (Role.AUDITOR, 403), (Role.HELPDESK, 302), (Role.MANAGER, 302)]
)
def test_who_may_apply(client, pbx, planned, pbx_http, role, status):
    client.force_login(make_user(role, pbx.customer))

    assert client.post(f"/changes/{planned.pk}/apply/").status_code == status


def test_a_renumbering_is_applied_only_by_who_may_renumber(client, pbx, mara, pbx_http):
    change = plan(pbx, number="6510")

    assert client.post(f"/changes/{change.pk}/apply/").status_code == 403
    assert pbx_http.received == []


@pytest.mark.parametrize("address", ["", "apply/", "check/", "receipt.txt"])
def test_somebody_elses_change_is_like_one_that_is_not_there(client, planned, pbx_http, address):
    client.force_login(make_user(Role.MANAGER, make_customer("Bellweather Clinics")))
    method = client.post if address in ("apply/", "check/") else client.get

    foreign, absent = method(f"/changes/{planned.pk}/{address}"), method(f"/changes/99999/{address}")

    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert pbx_http.received == []


def test_the_history_stays_readable_when_the_pbx_is_deleted(client, pbx, planned, pbx_http):
    client.post(f"/changes/{planned.pk}/apply/")
    pbx_delete(pbx=pbx)

    page = client.get(f"/changes/{planned.pk}/").content.decode()

    assert "(deleted)" in page
    assert "ACME-HQ" in page


def test_the_list_of_changes_finds_by_words_and_outcome(client, pbx, planned, pbx_http):
    client.post(f"/changes/{planned.pk}/apply/")
    other = plan(pbx, prompt_repeat="1")

    def found(query):
        page = client.get(f"/changes/?{query}").content.decode()
        return [pk for pk in (planned.pk, other.pk) if f'href="/changes/{pk}/"' in page]

    assert found("") == [planned.pk, other.pk]
    assert found("outcome=verified") == [planned.pk]
    assert found("q=inc-4411+acme") == [planned.pk, other.pk]
    assert found("q=nobody") == []
    assert found(f"pbx={pbx.pk}&outcome=planned") == [other.pk]
