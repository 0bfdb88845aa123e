"""The change path, from plan to receipt, against a PBX at the HTTP edge. docs/changes.md has the table of outcomes."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import requests
import time_machine
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from ivr.changes.apply import NotConfirmed, apply_claimed, change_apply
from ivr.changes.compare import Status
from ivr.changes.plan import change_plan, change_resolve
from ivr.changes.reconcile import change_check, reconcile, replay_spool
from ivr.forms import opened_now
from ivr.models import Change, Ivr
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.fleet.lease import leased
from pbxadmin.fleet.models import Lease, Pbx, PbxState
from pbxadmin.fleet.pbx_sessions import pause_end
from pbxadmin.fleet.services import pbx_accept_replacement
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_pbx
from tests.pbx_http import PbxDouble, breaks, cannot_be_reached, loses_the_answer, refused, says
from tests.waiting import Clock

pytestmark = pytest.mark.django_db(transaction=True)
MARA = Actor(7, "Mara Lindqvist")
SUCCESS = {"status": "Success"}


@pytest.fixture
def pbx() -> Pbx:
    return make_pbx()


def plan(pbx: Pbx, pbx_http: PbxDouble, **wanted: str) -> Change:
    opened = opened_now(pbx, read_ivr(pbx_http.ivrs["6500"], ApiVersion.V1_0), timezone.now())
    return change_plan(pbx=pbx, opened=opened, wanted=wanted or {"response_timeout": "6"}, actor=MARA)


def apply(change: Change) -> Change:
    change_apply(change=change, actor=MARA, confirmed=True)
    change.refresh_from_db()
    return change


def outcomes(change: Change) -> list[tuple[str, str]]:
    return list(Event.objects.filter(change_id=change.pk).order_by("id").values_list("action", "outcome"))


def test_a_change_is_sent_once_and_verified_by_reading_it_back(pbx, pbx_http):
    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.VERIFIED
    assert pbx_http.ivrs["6500"]["responsetimeout"] == "6"
    assert pbx_http.calls() == ["login", "ivr/query", "ivr/update", "ivr/query"]
    assert outcomes(change) == [("change.sending", "sending"), ("change.outcome", "verified")]


def test_with_a_live_token_a_verified_edit_makes_three_calls(pbx, pbx_http):
    apply(plan(pbx, pbx_http))
    pbx_http.received.clear()

    apply(plan(pbx, pbx_http, response_timeout="7"))

    assert pbx_http.calls() == ["ivr/query", "ivr/update", "ivr/query"]


def test_v1_0_sends_what_it_insists_on_with_its_live_value_and_nothing_else(pbx, pbx_http):
    apply(plan(pbx, pbx_http))

    sent = dict(pbx_http.received)["ivr/update"]
    assert sent == {"ivrid": "6500", "ivrnumber": "6500", "ivrname": "Main_Menu", "responsetimeout": "6"}


def test_v1_1_sends_only_what_changes(pbx, pbx_http):
    pbx.api_version = ApiVersion.V1_1
    pbx.save()

    apply(plan(pbx, pbx_http))

    assert dict(pbx_http.received)["ivr/update"] == {"ivrid": "6500", "responsetimeout": "6"}


def test_a_name_the_pbx_would_not_take_does_not_block_another_field(pbx, pbx_http):
    pbx_http.ivrs["6500"]["ivrname"] = "Main Menu"

    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.VERIFIED
    assert "ivrname" not in dict(pbx_http.received)["ivr/update"]


def test_a_lost_answer_after_applying_is_verified_with_a_note(pbx, pbx_http):
    pbx_http.fail("ivr/update", loses_the_answer)

    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.VERIFIED
    assert "no usable answer" in change.sentence
    assert pbx_http.calls().count("ivr/update") == 1


@pytest.mark.parametrize(
    "body", ["<html>busy</html>", "", '{"status":"Suc', '{"status":"Failed","status":"Success"}', "[]"]
)
def test_an_answer_that_is_none_is_settled_by_reading(pbx, pbx_http, body):
    pbx_http.fail("ivr/update", says(body))

    change = apply(plan(pbx, pbx_http))

    assert (change.status, pbx_http.calls().count("ivr/update")) == (Status.NOT_AS_ASKED, 1)


def test_success_that_was_not_applied_is_not_as_asked_and_looked_at_again(pbx, pbx_http):
    pbx_http.fail("ivr/update", says(SUCCESS))

    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.NOT_AS_ASKED
    assert "said Success but nothing changed" in change.sentence
    assert change.check_at is not None


def test_a_slow_pbx_that_still_applies_is_found_out_by_a_further_event(pbx, pbx_http):
    pbx_http.fail("ivr/update", says(SUCCESS))
    change = apply(plan(pbx, pbx_http))
    pbx_http.ivrs["6500"]["responsetimeout"] = "6"

    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        assert reconcile() == 1

    change.refresh_from_db()
    assert change.status == Status.VERIFIED
    assert outcomes(change)[-1] == ("change.settled", "verified")
    assert pbx_http.calls().count("ivr/update") == 1


def test_a_slow_pbx_that_could_not_be_read_at_first_is_looked_at_again_too(pbx, pbx_http):
    pbx_http.fail("ivr/update", breaks)
    pbx_http.fail("ivr/query", breaks, after=1)
    change = apply(plan(pbx, pbx_http))

    with time_machine.travel(timezone.now() + timedelta(seconds=11)):
        reconcile()
    change.refresh_from_db()
    settled, pbx_http.ivrs["6500"]["responsetimeout"] = change.status, "6"
    with time_machine.travel(timezone.now() + timedelta(seconds=42)):
        reconcile()

    change.refresh_from_db()
    assert (settled, change.status) == (Status.NOT_AS_ASKED, Status.VERIFIED)


def test_a_second_look_that_fails_is_taken_later(pbx, pbx_http):
    pbx_http.fail("ivr/update", says(SUCCESS))
    change = apply(plan(pbx, pbx_http))
    pbx_http.fail("ivr/query", breaks)

    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        reconcile()
    pbx_http.ivrs["6500"]["responsetimeout"] = "6"
    with time_machine.travel(timezone.now() + timedelta(seconds=62)):
        reconcile()

    change.refresh_from_db()
    assert (change.status, change.check_at) == (Status.VERIFIED, None)


def test_partly_applied_is_not_as_asked(pbx, pbx_http):
    def partly(double, body):
        double.ivrs["6500"]["responsetimeout"] = body["responsetimeout"]
        return SUCCESS

    pbx_http.fail("ivr/update", partly)

    change = apply(plan(pbx, pbx_http, response_timeout="6", prompt_repeat="2"))

    assert change.status == Status.NOT_AS_ASKED
    assert change.sentence == "Not as asked. Prompt played: asked 2 times, found 3 times."


def test_a_refusal_that_changed_nothing_is_refused_with_its_code(pbx, pbx_http):
    pbx_http.fail("ivr/update", says(refused("10018")))

    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.REFUSED
    assert "(10018)" in change.sentence


def test_somebody_elses_edit_is_told_also_when_the_pbx_refused_ours(pbx, pbx_http):
    def edited_meanwhile(double, body):
        double.ivrs["6500"]["digittimeout"] = "9"
        return refused("10018")

    pbx_http.fail("ivr/update", edited_meanwhile)

    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.REFUSED
    assert change.sentence.endswith("Meanwhile somebody else changed on ACME-HQ: Digit timeout 9 s.")


def test_what_the_version_in_use_now_cannot_change_is_not_sent(pbx, pbx_http):
    change = plan(pbx, pbx_http, dial_outbound="on")

    apply(change)

    assert change.status == Status.NOT_SENT
    assert change.sentence == "API v1.0.0 cannot change: Dial outbound. Nothing was sent."
    assert outcomes(change) == [("change.outcome", "not-sent")]


def test_a_refusal_although_applied_is_verified_and_says_so(pbx, pbx_http):
    def applies_and_refuses(double, body):
        double.update(body)
        return refused("30001")

    pbx_http.fail("ivr/update", applies_and_refuses)

    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.VERIFIED
    assert "although ACME-HQ refused it (30001)" in change.sentence


def test_when_it_cannot_be_read_back_the_outcome_is_unknown_until_it_can(pbx, pbx_http):
    pbx_http.fail("ivr/query", breaks, after=1)

    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.UNKNOWN
    with time_machine.travel(timezone.now() + timedelta(seconds=11)):
        reconcile()
    change.refresh_from_db()
    assert change.status == Status.VERIFIED
    assert pbx_http.calls().count("ivr/update") == 1
    assert outcomes(change) == [
        ("change.sending", "sending"),
        ("change.outcome", "unknown"),
        ("change.settled", "verified"),
    ]


def test_a_check_that_fails_again_is_put_off_without_another_event(pbx, pbx_http):
    pbx_http.fail("ivr/query", breaks, after=1)
    change = apply(plan(pbx, pbx_http))
    pbx_http.fail("ivr/query", breaks)
    before = len(outcomes(change))

    with time_machine.travel(timezone.now() + timedelta(seconds=11)):
        reconcile()
        change.refresh_from_db()

        assert change.status == Status.UNKNOWN
        assert change.check_at > timezone.now() + timedelta(seconds=25)
    assert len(outcomes(change)) == before


def test_a_pbx_gone_between_form_and_apply_ends_as_not_sent(pbx, pbx_http):
    change = plan(pbx, pbx_http)
    pbx_http.fail("login", cannot_be_reached)

    apply(change)

    assert change.status == Status.NOT_SENT
    assert "Nothing was sent." in change.sentence
    assert pbx_http.calls() == ["login"]
    pbx.refresh_from_db()
    assert pbx.state == PbxState.UNREACHABLE


def test_an_ivr_that_is_gone_is_not_sent(pbx, pbx_http):
    change = plan(pbx, pbx_http)
    del pbx_http.ivrs["6500"]

    apply(change)

    assert change.status == Status.NOT_SENT
    assert change.sentence == "IVR 6500 is not on ACME-HQ any more. Nothing was sent."


def test_an_edit_of_the_same_field_by_somebody_else_is_a_conflict(pbx, pbx_http):
    change = plan(pbx, pbx_http)
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"

    apply(change)

    assert change.status == Status.CONFLICT
    assert "ivr/update" not in pbx_http.calls()
    assert outcomes(change) == [("change.conflict", "conflict")]


def test_an_edit_of_another_field_by_somebody_else_is_kept(pbx, pbx_http):
    change = plan(pbx, pbx_http)
    pbx_http.ivrs["6500"]["promptrepeat"] = "1"

    apply(change)

    assert change.status == Status.VERIFIED
    assert "promptrepeat" not in dict(pbx_http.received)["ivr/update"]
    assert pbx_http.ivrs["6500"]["promptrepeat"] == "1"


def test_what_is_live_already_is_not_sent(pbx, pbx_http):
    change = plan(pbx, pbx_http)
    pbx_http.ivrs["6500"]["responsetimeout"] = "6"

    apply(change)

    assert change.status == Status.NOT_SENT
    assert change.sentence == "ACME-HQ already holds these values. Nothing was sent."


def test_a_token_refused_on_the_update_gets_one_login_and_the_same_request_once_more(pbx, pbx_http):
    pbx_http.fail("ivr/update", says(refused("20006")))

    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.VERIFIED
    assert pbx_http.calls() == ["login", "ivr/query", "ivr/update", "login", "ivr/update", "ivr/query"]


def test_a_login_refused_in_the_middle_proves_that_nothing_was_sent(pbx, pbx_http):
    pbx_http.fail("ivr/update", says(refused("20006")))
    pbx_http.fail("login", says(refused("20003")), after=1)

    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.NOT_SENT
    assert pbx_http.calls() == ["login", "ivr/query", "ivr/update", "login"]
    pbx.refresh_from_db()
    assert pbx.state == PbxState.CREDENTIALS_REJECTED


def test_after_rejected_credentials_nothing_is_sent_by_anybody(pbx, pbx_http):
    pbx_http.password_is_right = False
    apply(plan(pbx, pbx_http))
    pbx_http.received.clear()

    change = apply(plan(pbx, pbx_http, response_timeout="7"))

    assert change.status == Status.NOT_SENT
    assert pbx_http.received == []


def test_applying_twice_sends_once(pbx, pbx_http):
    change = plan(pbx, pbx_http)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(apply_in_thread, change.pk) for _ in range(2)]:
            done.result()

    change.refresh_from_db()
    assert change.status == Status.VERIFIED
    assert pbx_http.calls().count("ivr/update") == 1


def test_a_click_on_a_page_from_before_it_was_applied_changes_nothing(pbx, pbx_http):
    change = plan(pbx, pbx_http)
    as_seen_before = Change.objects.get(pk=change.pk)
    apply(change)
    pbx_http.received.clear()

    change_apply(change=as_seen_before, actor=Actor(8, "Tom Okafor"))

    change.refresh_from_db()
    assert (change.status, change.applied_by_name) == (Status.VERIFIED, "Mara Lindqvist")
    assert pbx_http.received == []


def test_a_second_click_while_the_first_is_at_work_takes_nothing_from_it(pbx, pbx_http):
    change = plan(pbx, pbx_http)
    as_seen_before = Change.objects.get(pk=change.pk)

    def clicks_again(double, body):
        change_apply(change=as_seen_before, actor=Actor(8, "Tom Okafor"))
        return double.carry_out("ivr/query", body, "0" * 32)

    pbx_http.fail("ivr/query", clicks_again)
    apply(change)

    assert (change.status, change.applied_by_name) == (Status.VERIFIED, "Mara Lindqvist")
    assert pbx_http.calls() == ["login", "ivr/query", "ivr/update", "ivr/query"]


def test_a_change_is_not_applied_inside_a_transaction_that_could_take_its_intent_back(pbx, pbx_http):
    change = plan(pbx, pbx_http)

    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        change_apply(change=change, actor=MARA)

    assert "ivr/update" not in pbx_http.calls()


def test_who_lost_the_lease_while_reading_sends_nothing(pbx, pbx_http):
    def somebody_else_takes_it(double, body):
        Lease.objects.update(holder="another process")
        return double.carry_out("ivr/query", body, "0" * 32)

    pbx_http.fail("ivr/query", somebody_else_takes_it)

    change = apply(plan(pbx, pbx_http))

    assert (change.status, change.sent_at) == (Status.NOT_SENT, None)
    assert "ivr/update" not in pbx_http.calls()
    assert Lease.objects.get().holder == "another process"


def apply_in_thread(pk: int) -> None:
    try:
        change_apply(change=Change.objects.get(pk=pk), actor=MARA)
    finally:
        connection.close()


def test_the_same_form_gives_the_same_change(pbx, pbx_http):
    opened = opened_now(pbx, read_ivr(pbx_http.ivrs["6500"], ApiVersion.V1_0), timezone.now())

    changes = [change_plan(pbx=pbx, opened=opened, wanted={"name": "New"}, actor=MARA) for _ in range(2)]
    other = change_plan(pbx=pbx, opened=opened, wanted={"name": "Newer"}, actor=MARA)

    assert changes[0].pk == changes[1].pk != other.pk


def in_the_intent(happens):
    """Once, when the event of an intent is being written."""

    def execute(run, sql, params, many, context):
        if waiting and sql.replace('"', "").startswith("INSERT INTO audit_event"):
            waiting.pop()()
        return run(sql, params, many, context)

    waiting = [happens]
    return connection.execute_wrapper(execute)


def test_a_machine_that_sleeps_before_the_intent_until_its_claim_ran_out_sends_nothing(pbx, pbx_http):
    change = plan(pbx, pbx_http)

    def sleeps(double, body):
        clock.shift(31)
        return double.carry_out("ivr/query", body, "0" * 32)

    pbx_http.fail("ivr/query", sleeps)
    with time_machine.travel(timezone.now(), tick=True) as clock:
        apply(change)

    assert change.status == Status.NOT_SENT
    assert outcomes(change) == [("change.outcome", "not-sent")]
    assert "ivr/update" not in pbx_http.calls()


def test_a_machine_that_sleeps_after_the_intent_until_its_claim_ran_out_sends_nothing(pbx, pbx_http):
    change = plan(pbx, pbx_http)

    with time_machine.travel(timezone.now(), tick=True) as clock, in_the_intent(lambda: clock.shift(31)):
        apply(change)

    assert change.status == Status.NOT_SENT
    assert outcomes(change) == [("change.sending", "sending"), ("change.outcome", "not-sent")]
    assert "ivr/update" not in pbx_http.calls()


def test_a_claim_that_is_almost_over_is_not_enough_to_send_and_read_back(pbx, pbx_http):
    change = plan(pbx, pbx_http)
    change.claimed_until = timezone.now() + timedelta(seconds=9)
    change.save()

    apply_claimed(change, MARA)

    change.refresh_from_db()
    assert change.sentence == "ACME-HQ took too long to be read first. Nothing was sent."
    assert pbx_http.calls() == ["login", "ivr/query"]


def test_an_intent_that_took_so_long_that_it_could_not_be_read_back_is_not_sent(pbx, pbx_http, monkeypatch):
    change, clock = plan(pbx, pbx_http), time.monotonic

    with in_the_intent(lambda: monkeypatch.setattr(time, "monotonic", lambda: clock() + 11)):
        apply(change)

    assert outcomes(change) == [("change.sending", "sending"), ("change.outcome", "not-sent")]
    assert "ivr/update" not in pbx_http.calls()


def test_a_sender_whose_plan_was_claimed_by_another_leaves_it_to_that_one(pbx, pbx_http):
    change = plan(pbx, pbx_http)
    later = timezone.now() + timedelta(seconds=40)

    def is_claimed_by_another(double, body):
        Change.objects.update(claimed_until=later)
        return double.carry_out("ivr/query", body, "0" * 32)

    pbx_http.fail("ivr/query", is_claimed_by_another)
    apply(change)

    assert (change.status, change.claimed_until) == (Status.PLANNED, later)
    assert outcomes(change) == []
    assert "ivr/update" not in pbx_http.calls()


def test_when_the_log_cannot_be_written_nothing_is_sent(pbx, pbx_http):
    change = plan(pbx, pbx_http)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event RENAME TO audit_event_away")
    try:
        with pytest.raises(DatabaseError):
            change_apply(change=change, actor=MARA)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE audit_event_away RENAME TO audit_event")

    change.refresh_from_db()
    assert (change.status, change.is_being_applied) == (Status.PLANNED, False)
    assert "ivr/update" not in pbx_http.calls()


def test_an_outcome_that_cannot_be_written_is_spooled_and_brought_in_later(pbx, pbx_http, settings, tmp_path):
    settings.DATA_DIR = tmp_path

    def applied_and_then_the_log_is_away(double, body):
        rename("audit_event", "audit_event_away")
        return double.update(body)

    pbx_http.fail("ivr/update", applied_and_then_the_log_is_away)
    change = apply(plan(pbx, pbx_http))
    meanwhile = change.status
    rename("audit_event_away", "audit_event")

    assert replay_spool() == 1

    change.refresh_from_db()
    assert (meanwhile, change.status) == (Status.SENDING, Status.VERIFIED)
    assert outcomes(change) == [("change.sending", "sending"), ("change.outcome", "verified")]
    assert pbx_http.calls().count("ivr/update") == 1
    assert replay_spool() == 0


def test_a_spooled_outcome_that_cannot_be_recorded_keeps_no_other_back(pbx, pbx_http, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    change = plan(pbx, pbx_http)
    Change.objects.filter(pk=change.pk).update(status=Status.SENDING)
    verdict = {"status": "verified", "sentence": "", "look_again": False}
    good = {"change": change.pk, "answer": {}, "verdict": verdict, "calls": [], "at": timezone.now().isoformat()}
    for name, kept in (("1", good | {"verdict": {}}), ("2", good)):
        (tmp_path / "spool").mkdir(exist_ok=True)
        (tmp_path / "spool" / f"{name}.json").write_text(json.dumps(kept))

    assert replay_spool() == 1

    change.refresh_from_db()
    assert change.status == Status.VERIFIED
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["1.json"]


def test_a_spooled_outcome_ends_what_became_unknown_meanwhile(pbx, pbx_http, settings, tmp_path):
    settings.DATA_DIR = tmp_path

    def applied_and_then_the_log_is_away(double, body):
        rename("audit_event", "audit_event_away")
        return double.update(body)

    pbx_http.fail("ivr/update", applied_and_then_the_log_is_away)
    change = apply(plan(pbx, pbx_http))
    rename("audit_event_away", "audit_event")
    pbx_http.fail("ivr/query", cannot_be_reached)
    with time_machine.travel(timezone.now() + timedelta(seconds=46)):
        reconcile()  # on another machine, which cannot see the spool

        assert replay_spool() == 1

    change.refresh_from_db()
    assert change.status == Status.VERIFIED
    assert outcomes(change)[1:] == [("change.settled", "unknown"), ("change.settled", "verified")]


def rename(table: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {name}")


def test_a_renumbering_is_verified_when_the_new_number_answers_and_the_old_one_is_gone(pbx, pbx_http):
    change = apply(plan(pbx, pbx_http, name="Hello"))
    change = apply(renumbering(pbx, pbx_http))

    assert change.status == Status.VERIFIED
    assert list(pbx_http.ivrs) == ["6510"]
    assert list(Ivr.objects.values_list("number", flat=True)) == ["6510"]


def test_the_history_of_a_number_goes_on_under_the_next(pbx, pbx_http):
    before = apply(plan(pbx, pbx_http))
    moved = apply(renumbering(pbx, pbx_http))

    assert list(Change.objects.of_ivr(pbx.pk, "6510")) == [moved, before]
    assert list(Change.objects.of_ivr(pbx.pk, "6500")) == [moved, before]
    assert Change.objects.newest_of_ivr(pbx.pk, "6510", 8) == [moved, before]
    assert Change.objects.newest_of_ivr(pbx.pk, "6510", 1) == [moved]


def renumbering(pbx: Pbx, pbx_http: PbxDouble, old: str = "6500", new: str = "6510") -> Change:
    opened = opened_now(pbx, read_ivr(pbx_http.ivrs[old], ApiVersion.V1_0), timezone.now())
    return change_plan(pbx=pbx, opened=opened, wanted={"number": new}, actor=MARA)


def test_a_renumbering_that_leaves_both_numbers_is_not_as_asked(pbx, pbx_http):
    def copies(double, body):
        double.add("6510")
        return SUCCESS

    pbx_http.fail("ivr/update", copies)

    change = apply(renumbering(pbx, pbx_http))

    assert change.status == Status.NOT_AS_ASKED
    assert change.sentence == "Not as asked. ACME-HQ answers to both 6500 and 6510."


def test_both_numbers_are_not_as_asked_also_when_that_is_found_later(pbx, pbx_http):
    def copies_and_is_lost(double, body):
        double.add("6510", ivrname="Main_Menu")
        return requests.ConnectionError("broken")

    change = renumbering(pbx, pbx_http)
    pbx_http.fail("ivr/update", copies_and_is_lost)
    pbx_http.fail("ivr/query", breaks, after=1)
    apply(change)

    with time_machine.travel(timezone.now() + timedelta(seconds=11)):
        reconcile()

    change.refresh_from_db()
    assert change.status == Status.NOT_AS_ASKED
    assert change.sentence == "Not as asked. ACME-HQ answers to both 6500 and 6510."


@pytest.mark.parametrize("fault", [{"ivr/query": breaks}, {"ivr/update": says(SUCCESS)}])
def test_an_ivr_is_not_renumbered_before_it_is_known_what_an_earlier_change_came_to(pbx, pbx_http, fault):
    for name, happens in fault.items():
        pbx_http.fail(name, happens, after=int(name == "ivr/query"))
    open_one = apply(plan(pbx, pbx_http))
    too_early = apply(renumbering(pbx, pbx_http))
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        reconcile()

        later = apply(renumbering(pbx, pbx_http))

    assert open_one.status in (Status.UNKNOWN, Status.NOT_AS_ASKED)
    assert too_early.status == Status.NOT_SENT
    assert too_early.sentence.startswith("What an earlier change of IVR 6500 came to is not known yet.")
    assert later.status == Status.VERIFIED


def test_a_number_is_not_taken_before_it_is_known_whether_an_earlier_change_frees_it(pbx, pbx_http):
    pbx_http.add("6501")
    pbx_http.fail("ivr/query", breaks, after=1)
    freeing = apply(renumbering(pbx, pbx_http))
    too_early = apply(renumbering(pbx, pbx_http, "6501", "6500"))
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        reconcile()

        later = apply(renumbering(pbx, pbx_http, "6501", "6500"))

    assert freeing.status == Status.UNKNOWN
    assert (too_early.status, later.status) == (Status.NOT_SENT, Status.VERIFIED)
    assert too_early.sentence.startswith("What an earlier change of IVR 6500 came to is not known yet.")
    assert Change.objects.get(pk=freeing.pk).status == Status.VERIFIED


def test_what_was_not_as_asked_stays_so_when_a_later_change_brings_what_it_asked_for(pbx, pbx_http):
    pbx_http.fail("ivr/update", says(SUCCESS))
    first = apply(plan(pbx, pbx_http))
    second = apply(plan(pbx, pbx_http))

    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        reconcile()

    first.refresh_from_db()
    assert (first.status, second.status) == (Status.NOT_AS_ASKED, Status.VERIFIED)
    assert first.check_at is None
    assert outcomes(first)[1:] == [("change.outcome", "not-as-asked")]


def test_what_is_over_is_not_checked_again(pbx, pbx_http):
    pbx_http.fail("ivr/update", says({"status": "Success"}))
    change = apply(plan(pbx, pbx_http))
    Change.objects.update(check_at=None)
    pbx_http.ivrs["6500"]["responsetimeout"] = "6"
    calls = len(pbx_http.received)

    change_check(Change.objects.get(pk=change.pk), insist=True)

    change.refresh_from_db()
    assert change.status == Status.NOT_AS_ASKED
    assert len(pbx_http.received) == calls


def test_an_ivr_that_seems_to_be_gone_is_looked_for_once_more(pbx, pbx_http):
    pbx_http.fail("ivr/query", says(refused("10012")), after=1)
    gone = apply(plan(pbx, pbx_http))
    found_gone = gone.sentence

    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        reconcile()

    gone.refresh_from_db()
    assert found_gone == "Not as asked. ACME-HQ has no IVR of that number any more."
    assert gone.status == Status.VERIFIED
    assert outcomes(gone)[1:] == [("change.outcome", "not-as-asked"), ("change.settled", "verified")]
    assert not Event.objects.filter(action="ivr.changed-outside").exists()


def test_a_number_that_was_taken_meanwhile_is_not_sent(pbx, pbx_http):
    change = renumbering(pbx, pbx_http)
    pbx_http.add("6510")

    apply(change)

    assert change.status == Status.NOT_SENT
    assert change.sentence == "The number 6510 is already used on ACME-HQ. Nothing was sent."
    assert "ivr/update" not in pbx_http.calls()


def test_a_lost_answer_to_a_renumbering_is_settled_under_the_new_number(pbx, pbx_http):
    pbx_http.fail("ivr/update", loses_the_answer)

    assert apply(renumbering(pbx, pbx_http)).status == Status.VERIFIED


def test_whoever_holds_the_pbx_is_named_when_the_wait_is_over(pbx, pbx_http, monkeypatch):
    change, clock = plan(pbx, pbx_http), Clock()
    monkeypatch.setattr("pbxadmin.fleet.lease.time", clock)

    with leased(pbx.pk, "Tom Okafor is changing IVR 6501"):
        apply(change)

    assert change.status == Status.NOT_SENT
    assert "Tom Okafor is changing IVR 6501" in change.sentence
    assert 4 < clock.slept < 8


RISKY = [
    ({"dial_extension": "on"}, "any extension"),
    ({"check_voicemail": "on"}, "voicemail"),
    ({"number": "6510"}, "Inbound routes"),
]


@pytest.mark.parametrize(("wanted", "words"), RISKY)
def test_a_risk_is_confirmed_first_and_kept_with_the_intent(pbx, pbx_http, wanted, words):
    change = plan(pbx, pbx_http, **wanted)

    with pytest.raises(NotConfirmed):
        change_apply(change=change, actor=MARA)

    assert pbx_http.received == []
    assert apply(change).status == Status.VERIFIED
    intent = Event.objects.get(change_id=change.pk, action="change.sending")
    assert words in " ".join(intent.data["detail"]["confirmed"])


def test_closing_a_switch_needs_no_confirmation(pbx, pbx_http):
    pbx_http.ivrs["6500"]["dialext"] = "on"
    change = plan(pbx, pbx_http, dial_extension="off")

    change_apply(change=change, actor=MARA)

    change.refresh_from_db()
    assert change.status == Status.VERIFIED


def test_a_conflict_resolved_to_ours_goes_through_the_whole_path_again(pbx, pbx_http):
    change = plan(pbx, pbx_http, response_timeout="6", prompt_repeat="2")
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    apply(change)

    resolved = change_resolve(change=change, yours=["response_timeout"], actor=MARA)

    assert resolved.pk != change.pk
    assert apply(resolved).status == Status.VERIFIED
    assert pbx_http.ivrs["6500"]["responsetimeout"] == "6"
    assert pbx_http.calls().count("ivr/update") == 1


def test_a_conflict_resolved_to_theirs_sends_only_the_rest(pbx, pbx_http):
    change = plan(pbx, pbx_http, response_timeout="6", prompt_repeat="2")
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    apply(change)

    resolved = change_resolve(change=change, yours=[], actor=MARA)

    assert resolved.wanted == {"prompt_repeat": "2"}


def test_a_conflict_with_nothing_left_makes_no_plan(pbx, pbx_http):
    change = plan(pbx, pbx_http, response_timeout="6")
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    apply(change)

    assert change_resolve(change=change, yours=[], actor=MARA) is None


def test_another_device_behind_the_address_is_read_and_not_written(pbx, pbx_http):
    apply(plan(pbx, pbx_http))
    pbx_http.serial, pbx_http.tokens = "999", set()
    pbx_http.received.clear()

    change = apply(plan(pbx, pbx_http, response_timeout="7"))

    assert change.status == Status.NOT_SENT
    assert "Another device answers" in change.sentence
    assert "ivr/update" not in pbx_http.calls()
    assert Event.objects.filter(action="pbx.stranger").count() == 1


def test_another_device_met_in_the_middle_of_a_send_is_not_written(pbx, pbx_http):
    apply(plan(pbx, pbx_http))

    def replaced(double, body):
        double.serial = "999"
        return refused("20006")

    pbx_http.fail("ivr/update", replaced)

    change = apply(plan(pbx, pbx_http, response_timeout="7"))

    assert change.status == Status.NOT_SENT
    assert pbx_http.ivrs["6500"]["responsetimeout"] == "6"


def test_an_accepted_replacement_is_written_again(pbx, pbx_http):
    apply(plan(pbx, pbx_http))
    pbx_http.serial, pbx_http.tokens = "999", set()
    apply(plan(pbx, pbx_http, response_timeout="7"))
    pbx.refresh_from_db()

    pbx_accept_replacement(pbx=pbx, reason="Swapped by the vendor")

    assert apply(plan(pbx, pbx_http, response_timeout="8")).status == Status.VERIFIED
    assert Event.objects.get(action="pbx.replaced").data["reason"] == "Swapped by the vendor"


def test_three_failures_in_a_row_pause_a_pbx_and_a_good_call_ends_the_count(pbx, pbx_http):
    for turn in range(3):
        pbx_http.fail("login", cannot_be_reached)
        apply(plan(pbx, pbx_http, response_timeout=str(5 + turn)))
    calls = len(pbx_http.received)

    paused = apply(plan(pbx, pbx_http, response_timeout="8"))
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        later = apply(plan(pbx, pbx_http, response_timeout="9"))

    assert "is paused until" in paused.sentence
    assert len(pbx_http.received) > calls == 3
    assert later.status == Status.VERIFIED
    pbx.refresh_from_db()
    assert (pbx.failures, pbx.paused_until) == (0, None)


def test_pauses_grow_to_a_quarter_of_an_hour():
    now = timezone.now()

    ends = [pause_end(failures, now) for failures in range(1, 12)]

    assert ends[:2] == [None, None]
    lengths = [(end - now).total_seconds() for end in ends[2:]]
    assert 24 <= lengths[0] <= 30
    assert 720 <= lengths[-1] <= 900


def test_a_plan_ends_after_a_day(pbx, pbx_http):
    change = plan(pbx, pbx_http)

    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        apply(change)

    assert change.status == Status.NOT_SENT
    assert pbx_http.received == []


def killed_after_the_intent(pbx: Pbx, pbx_http: PbxDouble, *, applied: bool) -> Change:
    """The row as a process leaves it that dies between the intent and the answer."""
    change = plan(pbx, pbx_http)
    Change.objects.filter(pk=change.pk).update(
        status=Status.SENDING,
        live=change.base,
        sent_at=timezone.now(),
        claimed_until=timezone.now() + timedelta(seconds=45),
    )
    if applied:
        pbx_http.ivrs["6500"]["responsetimeout"] = "6"
    return change


@pytest.mark.parametrize(("applied", "outcome"), [(True, Status.VERIFIED), (False, Status.NOT_AS_ASKED)])
def test_a_change_whose_sender_died_is_settled_by_reading_and_never_sent_again(pbx, pbx_http, applied, outcome):
    change = killed_after_the_intent(pbx, pbx_http, applied=applied)

    assert reconcile() == 0  # its sender may still be at work
    with time_machine.travel(timezone.now() + timedelta(seconds=46)):
        assert reconcile() == 1

    change.refresh_from_db()
    assert change.status == outcome
    assert outcomes(change) == [("change.settled", outcome)]
    assert "ivr/update" not in pbx_http.calls()


def test_a_change_that_cannot_be_settled_keeps_no_other_from_it(pbx, pbx_http):
    stuck = killed_after_the_intent(pbx, pbx_http, applied=True)
    Change.objects.filter(pk=stuck.pk).update(answer={"nonsense": 1})
    change = killed_after_the_intent(pbx, pbx_http, applied=True)

    with time_machine.travel(timezone.now() + timedelta(seconds=46)):
        assert reconcile() == 2

    change.refresh_from_db()
    assert change.status == Status.VERIFIED


def test_a_change_of_a_deleted_pbx_is_not_checked_for_ever(pbx, pbx_http):
    pbx_http.fail("ivr/query", breaks, after=1)
    change = apply(plan(pbx, pbx_http))
    pbx.delete()

    with time_machine.travel(timezone.now() + timedelta(seconds=11)):
        reconcile()

    change.refresh_from_db()
    assert (change.status, change.check_at) == (Status.UNKNOWN, None)


def test_a_password_whose_key_is_gone_is_told_and_nothing_is_sent(pbx, pbx_http, settings):
    settings.PBX_KEYS = [b"another key of the 32 bytes here"]

    change = apply(plan(pbx, pbx_http))

    assert change.status == Status.NOT_SENT
    assert "The password of ACME-HQ does not open." in change.sentence
    assert pbx_http.received == []


def test_an_answer_to_an_old_connection_is_not_said_of_the_new_one(pbx, pbx_http):
    """Somebody corrects the password while a call with the old one is on its way."""

    def corrected_meanwhile(double, body):
        Pbx.objects.filter(pk=pbx.pk).update(revision=pbx.revision + 1)
        return refused("20003")

    pbx_http.fail("login", corrected_meanwhile)

    apply(plan(pbx, pbx_http))

    pbx.refresh_from_db()
    assert pbx.state == PbxState.NEVER_CHECKED
