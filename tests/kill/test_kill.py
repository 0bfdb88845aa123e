"""Processes killed with SIGKILL while they apply a change: the log ends up true, and nothing is sent twice."""

import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from ivr.changes.apply import change_apply
from ivr.changes.plan import change_plan
from ivr.changes.reconcile import reconcile
from ivr.forms import opened_now
from ivr.models import Change
from pbxadmin.access.roles import Role
from pbxadmin.audit.chain import verify
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.fleet.lease import lease_claim
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from pbxadmin.yeastar.simulator import NOTHING, Fault, SimulatedPbx, instead
from tests.factories import make_pbx, make_user
from tests.kill.processes import Process, let_the_leases_end, log_held, manage, serve
from tests.ops.test_processes import get
from tests.waiting import LIMIT_S, until

pytestmark = [pytest.mark.tls, pytest.mark.django_db(transaction=True)]

Status = Change.Status
MARA = Actor(7, "Mara Lindqvist")
FIRST_CALLS = ["login", "deviceinfo/query", "ivr/query"]
SENDING, SETTLED, OUTCOME = "change.sending", "change.settled", "change.outcome"


@pytest.fixture
def pbx(simulated_pbx: SimulatedPbx) -> Pbx:
    return make_pbx(
        host="127.0.0.1",
        port=simulated_pbx.port,
        username=simulated_pbx.username,
        password=simulated_pbx.password,
        fingerprint=simulated_pbx.fingerprint,
    )


@pytest.fixture
def change(pbx: Pbx, simulated_pbx: SimulatedPbx) -> Change:
    opened = opened_now(pbx, read_ivr(simulated_pbx.ivrs["6500"], ApiVersion.V1_0), timezone.now())
    wanted = {"response_timeout": "6", "prompt_repeat": "2"}
    return change_plan(pbx=pbx, opened=opened, wanted=wanted, actor=MARA)


@pytest.fixture
def applying(change: Change) -> Iterator[Callable[..., Process]]:
    """Starts a process that applies the change."""
    started: list[Process] = []

    def start(*words: str) -> Process:
        started.append(Process("-m", "tests.kill.applying", str(change.pk), *words))
        return started[-1]

    yield start
    for process in started:
        process.close()


class Victim:
    """The process that a PBX kills: orders are given to the PBX before the process is there."""

    def __init__(self) -> None:
        self.process: Process | None = None

    def kill(self) -> None:
        assert self.process
        self.process.kill()

    def freeze(self) -> None:
        assert self.process
        self.process.freeze()


def events(change: Change) -> list[tuple[str, str]]:
    found = Event.objects.filter(change_id=change.pk).order_by("id")
    return list(found.values_list("action", "outcome"))


def settle_in_a_fresh_process(change: Change, *, looks_at: int = 1) -> None:
    """Not while the sender may still be at work; once its lease has ended, by `manage.py reconcile`."""
    assert reconcile() == 0
    let_the_leases_end()
    assert manage("reconcile") == f"{looks_at} change{'' if looks_at == 1 else 's'} looked at.\n"
    change.refresh_from_db()


def assert_true_and_at_rest(change: Change, simulated_pbx: SimulatedPbx, sent: int) -> None:
    """What is recorded is what the PBX holds; nothing was sent twice; the log is whole; the PBX is free."""
    holds = read_ivr(simulated_pbx.ivrs["6500"], ApiVersion.V1_0).values()
    assert change.found == holds
    assert (change.status == Status.VERIFIED) == all(holds[name] == text for name, text in change.wanted.items())
    assert simulated_pbx.count("ivr/update") == sent
    recorded = events(change)
    Change.objects.filter(pk=change.pk).exclude(check_at=None).update(check_at=timezone.now())
    reconcile()
    assert events(change) == recorded
    assert simulated_pbx.count("ivr/update") == sent
    assert verify().faults == []
    held = lease_claim([change.pbx_id], "the test")
    assert held.pbx_ids
    held.release()


def test_killed_before_the_intent_nothing_was_sent_and_it_can_be_applied_again(change, simulated_pbx, applying):
    victim = Victim()
    simulated_pbx.misbehave(call="ivr/query", then=victim.kill)
    victim.process = applying()
    assert victim.process.dead.wait(LIMIT_S)

    settle_in_a_fresh_process(change, looks_at=0)

    assert (change.status, change.is_being_applied, events(change)) == (Status.PLANNED, False, [])
    change_apply(change=change, actor=MARA)
    assert events(change) == [(SENDING, "sending"), (OUTCOME, "verified")]
    assert_true_and_at_rest(change, simulated_pbx, sent=1)


def test_killed_while_the_intent_is_not_committed_nothing_was_sent(change, simulated_pbx, applying):
    with log_held() as held:
        simulated_pbx.misbehave(call="ivr/query", then=held.take)
        process = applying()
        held.wait_for_somebody()
        process.kill()

    settle_in_a_fresh_process(change, looks_at=0)

    assert (change.status, events(change)) == (Status.PLANNED, [])
    assert simulated_pbx.calls() == FIRST_CALLS
    assert lease_claim([change.pbx_id], "the test").pbx_ids


def called(host: str, change: Change) -> None:
    """The PBX by this host, as if it had been so when the change was planned."""
    Pbx.objects.update(host=host)
    Change.objects.filter(pk=change.pk).update(address=Pbx.objects.get().endpoint.base)


def test_killed_after_the_intent_and_before_connecting_nothing_was_sent(change, simulated_pbx, applying):
    called("localhost", change)
    process = applying("3")  # one question for each call before the update
    process.says("asked")
    process.kill()
    called("127.0.0.1", change)
    assert events(change) == [(SENDING, "sending")]

    settle_in_a_fresh_process(change)

    assert change.status == Status.NOT_AS_ASKED
    assert events(change) == [(SENDING, "sending"), (SETTLED, "not-as-asked")]
    assert_true_and_at_rest(change, simulated_pbx, sent=0)


def test_killed_after_connecting_and_before_sending_nothing_was_sent(change, simulated_pbx, applying):
    simulated_pbx.misbehave(Fault.SILENT_ON_ACCEPT, after=3)
    process = applying()
    until(lambda: simulated_pbx.connections == 4)
    process.kill()

    settle_in_a_fresh_process(change)

    assert change.status == Status.NOT_AS_ASKED
    assert events(change) == [(SENDING, "sending"), (SETTLED, "not-as-asked")]
    assert_true_and_at_rest(change, simulated_pbx, sent=0)


AFTER_SENDING = {
    "the PBX does nothing with it": ("before", {"stores": NOTHING}, Status.NOT_AS_ASKED),
    "the PBX applies it afterwards": ("before", {}, Status.VERIFIED),
    "the PBX had applied it": ("then", {}, Status.VERIFIED),
    "the PBX had applied half of it": ("then", {"stores": instead(promptrepeat="5")}, Status.NOT_AS_ASKED),
}


@pytest.mark.parametrize(("moment", "order", "outcome"), AFTER_SENDING.values(), ids=AFTER_SENDING)
def test_killed_after_sending(change, simulated_pbx, applying, moment, order, outcome):
    victim = Victim()
    simulated_pbx.misbehave(call="ivr/update", **order, **{moment: victim.kill})
    victim.process = applying()
    assert victim.process.dead.wait(LIMIT_S)
    until(lambda: simulated_pbx.in_flight == 0)

    settle_in_a_fresh_process(change)

    assert change.status == outcome
    assert events(change) == [(SENDING, "sending"), (SETTLED, outcome)]
    assert_true_and_at_rest(change, simulated_pbx, sent=1)


def test_killed_after_the_pbx_answered(change, simulated_pbx, applying):
    victim = Victim()
    simulated_pbx.misbehave(call="ivr/query", after=1, before=victim.kill)
    victim.process = applying()
    assert victim.process.dead.wait(LIMIT_S)

    settle_in_a_fresh_process(change)

    assert change.status == Status.VERIFIED
    assert events(change) == [(SENDING, "sending"), (SETTLED, "verified")]
    assert_true_and_at_rest(change, simulated_pbx, sent=1)


def test_killed_before_the_outcome_is_committed(change, simulated_pbx, applying):
    with log_held() as held:
        simulated_pbx.misbehave(call="ivr/query", after=1, then=held.take)
        process = applying()
        held.wait_for_somebody()
        process.kill()
    assert events(change) == [(SENDING, "sending")]

    settle_in_a_fresh_process(change)

    assert change.status == Status.VERIFIED
    assert events(change) == [(SENDING, "sending"), (SETTLED, "verified")]
    assert_true_and_at_rest(change, simulated_pbx, sent=1)


def test_killed_after_the_outcome_is_committed(change, simulated_pbx, applying):
    process = applying()
    until(lambda: Change.objects.filter(pk=change.pk, status=Status.VERIFIED).exists(), every=0.001)
    process.kill()

    settle_in_a_fresh_process(change, looks_at=0)

    assert events(change) == [(SENDING, "sending"), (OUTCOME, "verified")]
    assert_true_and_at_rest(change, simulated_pbx, sent=1)


def test_frozen_before_the_intent_until_somebody_else_applied_it_sends_and_says_nothing(
    change, simulated_pbx, applying
):
    victim = Victim()
    simulated_pbx.misbehave(call="ivr/query", then=victim.freeze)
    victim.process = applying()
    assert victim.process.frozen.wait(LIMIT_S)
    let_the_leases_end()
    change_apply(change=change, actor=MARA)

    victim.process.thaw()
    victim.process.says("applied")

    change.refresh_from_db()
    assert change.status == Status.VERIFIED
    assert events(change) == [(SENDING, "sending"), (OUTCOME, "verified")]
    assert_true_and_at_rest(change, simulated_pbx, sent=1)


def test_frozen_after_sending_until_it_was_settled_adds_no_second_outcome(change, simulated_pbx, applying):
    victim = Victim()
    simulated_pbx.misbehave(call="ivr/query", after=1, then=victim.freeze)
    victim.process = applying()
    assert victim.process.frozen.wait(LIMIT_S)
    settle_in_a_fresh_process(change)

    victim.process.thaw()
    victim.process.says("applied")

    change.refresh_from_db()
    assert change.status == Status.VERIFIED
    assert events(change) == [(SENDING, "sending"), (SETTLED, "verified")]
    assert_true_and_at_rest(change, simulated_pbx, sent=1)


def test_a_served_page_that_is_killed_is_settled_by_the_next_server_within_45_s(
    change, simulated_pbx, client: Client, tmp_path
):
    client.force_login(make_user(Role.MANAGER))
    victim = Victim()
    simulated_pbx.misbehave(call="ivr/update", then=victim.kill)
    victim.process, address = serve(tmp_path)
    pressing = threading.Thread(target=press_apply, args=[address, change, client.cookies["session"].value])
    try:
        pressing.start()
        assert victim.process.dead.wait(LIMIT_S)
    finally:
        pressing.join()
        victim.process.close()
    assert events(change) == [(SENDING, "sending")]

    following, _ = serve(tmp_path)
    try:
        until(lambda: events(change)[1:], 60, every=0.2)
        following.stop()  # a reading of the tick would hold the PBX for a dead server
    finally:
        following.close()

    change.refresh_from_db()
    assert events(change) == [(SENDING, "sending"), (SETTLED, "verified")]
    assert change.finished_at - change.sent_at < timedelta(seconds=45)
    assert_true_and_at_rest(change, simulated_pbx, sent=1)


def press_apply(address: str, change: Change, session: str) -> None:
    """Open the page of a change and press the button, as a person does; the answer may never come."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.addheaders = [("Cookie", f"session={session}")]
    page = get(f"{address}{change.get_absolute_url()}", opener)[1]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    opener.addheaders = [("Cookie", f"session={session}; csrf={csrf_of(opener)}")]
    form = urllib.parse.urlencode({"csrfmiddlewaretoken": token}).encode()
    get(urllib.request.Request(f"{address}{change.get_absolute_url()}apply/", form), opener)
    connection.close()


def csrf_of(opener: Any) -> str:
    (handler,) = (each for each in opener.handlers if isinstance(each, urllib.request.HTTPCookieProcessor))
    return next(cookie.value or "" for cookie in handler.cookiejar if cookie.name == "csrf")
