"""Each kind of notice, produced by its cause and delivered once; what moves back, and what is told to whom."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from ivr.changes.apply import change_apply
from ivr.changes.plan import change_plan
from ivr.changes.reconcile import change_check
from ivr.forms import opened_now
from ivr.models import Change, Ivr
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import SYSTEM, Actor
from pbxadmin.audit.log import record
from pbxadmin.batches.models import Batch, BatchState
from pbxadmin.batches.services import Chosen, Pace, batch_plan, move
from pbxadmin.fleet.models import Pbx
from pbxadmin.notices.deliver import mails_slice, notices_work
from pbxadmin.notices.models import Condition, Notice
from pbxadmin.policies.models import Policy, Violation
from pbxadmin.policies.services import policy_add, violation_accept
from pbxadmin.policies.watching import exceptions_expire
from pbxadmin.yeastar.errors import PbxError
from tests.factories import make_pbx, make_user
from tests.mail_server import MailServer, text_in_mail
from tests.pbx_http import PbxDouble, breaks, cannot_be_reached

pytestmark = pytest.mark.django_db(transaction=True)
MARA = "mara@example.com"


@pytest.fixture
def pbx(acme: Customer, pbx_http: PbxDouble) -> Pbx:
    make_user("manager", acme, email=MARA)
    pbx = make_pbx(acme)
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    return pbx


def deliver(after: timedelta = timedelta(0)) -> None:
    """Do twice what tick and workers do, so long after now."""
    with time_machine.travel(timezone.now() + after):
        for _ in range(2):
            notices_work()
            while mails_slice():
                pass


def subjects(server: MailServer) -> list[str]:
    return [str(mail["Subject"]) for mail in server.to(MARA)]


def test_an_outside_change_is_told_once_with_what_moved(pbx, pbx_http, mail_server):
    pbx_http.ivrs["6500"]["digittimeout"] = "9"
    pbx_refresh(pbx=pbx, actor=SYSTEM)

    deliver()

    assert subjects(mail_server) == ["PBX Admin: ACME-HQ, IVR 6500 Main_Menu: changed, outside PBX Admin"]
    said = text_in_mail(mail_server.mails[0])
    assert "3 s → 9 s" in said
    assert f"https://pbx.example.com/outside/?pbx={pbx.pk}" in said


def test_dial_out_is_critical(pbx, pbx_http, mail_server):
    pbx_http.ivrs["6500"]["dialoutboundroutes"] = "on"
    pbx_refresh(pbx=pbx, actor=SYSTEM)

    notice = Notice.objects.get(kind="outside")

    assert notice.get_severity_display() == "Critical"
    assert notice.subject == "ACME-HQ, IVR 6500 Main_Menu: dial-out opened to callers, outside PBX Admin"


def fail(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("ivr/query", cannot_be_reached)
    with pytest.raises(PbxError):
        pbx_refresh(pbx=pbx, actor=SYSTEM)


def come_back(pbx: Pbx) -> None:
    Pbx.objects.update(failures=0, paused_until=None)
    pbx.refresh_from_db()
    pbx_refresh(pbx=pbx, actor=SYSTEM)


def test_a_pbx_that_goes_away_is_told_after_five_minutes_and_that_it_is_back(pbx, pbx_http, mail_server):
    fail(pbx, pbx_http)
    deliver()
    assert subjects(mail_server) == []

    deliver(timedelta(minutes=6))
    assert subjects(mail_server) == ["PBX Admin: ACME-HQ: Reachable → Unreachable"]

    with time_machine.travel(timezone.now() + timedelta(minutes=30)):
        come_back(pbx)
        deliver(timedelta(minutes=6))
    assert subjects(mail_server)[1:] == ["PBX Admin: ACME-HQ: Unreachable → Reachable"]
    assert not Condition.objects.still_open().exists()


def test_a_flap_is_told_to_nobody(pbx, pbx_http, mail_server):
    fail(pbx, pbx_http)
    come_back(pbx)

    deliver(timedelta(minutes=6))

    assert (mail_server.mails, Notice.objects.count()) == ([], 0)


def change_on(pbx: Pbx) -> Change:
    snapshot = Ivr.objects.get(pbx=pbx, number="6500")
    opened = opened_now(pbx, snapshot.settings, snapshot.read_at)
    return change_plan(pbx=pbx, opened=opened, wanted={"response_timeout": "8"}, actor=SYSTEM)


def test_a_change_of_unknown_outcome_is_told_unless_it_is_settled_at_once(pbx, pbx_http, mail_server):
    change = change_on(pbx)
    pbx_http.fail("ivr/query", breaks, after=1)
    change_apply(change=change, actor=Actor(7, "Mara"), confirmed=True)
    change.refresh_from_db()
    assert change.status == Change.Status.UNKNOWN

    deliver(timedelta(minutes=3))
    assert subjects(mail_server) == ["PBX Admin: ACME-HQ, IVR 6500 Main_Menu: a change is unknown"]

    Notice.objects.all().delete()
    Condition.objects.all().delete()
    Pbx.objects.update(failures=0, paused_until=None)
    change_check(change, insist=True)
    deliver(timedelta(minutes=30))
    assert len(subjects(mail_server)) == 1  # nobody knows of the condition any more, so its end is no news


def test_a_broken_policy_is_told_once_for_all_its_ivrs_and_again_when_its_exception_is_over(pbx, pbx_http, mail_server):
    Policy.objects.all().delete()  # the first ones come with the migrations
    asked = {"title": "No dial-out", "reason": "Fraud.", "severity": "high", "tag": "", "field": "dial_outbound"}
    policy = policy_add(customer=None, values={**asked, "comparison": "is", "value": "off"}, actor=SYSTEM)
    pbx_http.add("6501", dialoutboundroutes="on")
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    pbx_http.add("6502", dialoutboundroutes="on")
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    deliver(timedelta(minutes=10))
    said = "".join(map(text_in_mail, mail_server.mails))
    assert said.count(f"“{policy.title}” is broken by 2 IVRs of Acme Logistics") == 2  # as text, and as HTML

    accept: dict[str, Any] = {"value": "on", "reason": "agreed", "ends_on": timezone.localdate() + timedelta(days=20)}
    for violation in Violation.objects.filter(policy=policy):
        violation_accept(violation=violation, actor=Actor(7, "Mara"), **accept)
    deliver(timedelta(minutes=20))
    assert not Condition.objects.still_open().filter(kind="policy").exists()
    before = len(mail_server.mails)
    deliver(timedelta(days=14))
    assert "an exception ends on" in text_in_mail(mail_server.mails[before])
    with time_machine.travel(timezone.now() + timedelta(days=22)):
        assert exceptions_expire() == 2
        deliver(timedelta(minutes=1))
        assert Condition.objects.still_open().filter(kind="policy").exists()
    assert "is broken again" in text_in_mail(mail_server.mails[-1])


def batch_of(pbx: Pbx) -> Batch:
    asked = {"response_timeout": "6"}
    chosen = Chosen(pbx.customer_id, pbx.customer.name, pbx.pk, pbx.name, "6500", "Main_Menu", asked, {})
    batch = batch_plan(chosen=[chosen], wanted=asked, pace=Pace(), actor=SYSTEM)
    Batch.objects.filter(pk=batch.pk).update(state=BatchState.RUNNING)
    return batch


def test_a_batch_that_halts_and_one_that_finishes_are_told(pbx, mail_server):
    halted, finished = batch_of(pbx), batch_of(pbx)
    move(halted, BatchState.HALTED, why="1 not verified.")
    move(finished, BatchState.FINISHED)

    deliver()

    said = text_in_mail(mail_server.mails[0])
    assert subjects(mail_server) == ["PBX Admin: 2 notices"]
    assert f"Batch {halted.pk} halted" in said
    assert f"Batch {finished.pk} finished" in said


def test_a_log_that_is_not_as_sealed_is_told_at_once_to_who_reviews_it(pbx, acme, mail_server):
    make_user("auditor", None, email="ada@example.com")
    make_user("auditor", acme, email="eva@example.com")

    record(EventAction.LOG_REGRESSED, detail={"lost": ["customer:1 7: missing"]})
    deliver()

    assert [mail["To"] for mail in mail_server.mails] == ["ada@example.com"]
    assert mail_server.mails[0]["Subject"] == "PBX Admin: The log is not as it was recorded"


def test_every_action_is_taken_whatever_its_event_says(db):
    """An event of a kind that lacks what its notice tells of is recorded all the same."""
    for action in EventAction:
        record(action)
        record(action, customer=(1, "Acme"), outcome="odd", detail={"targets": 7, "state": [], "was": None, "lost": {}})
