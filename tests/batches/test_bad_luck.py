"""What goes wrong around a batch: each target ends in one true outcome, and nothing is sent twice."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError
from django.db.models.signals import post_save
from django.test import Client
from django.utils import timezone

from ivr.bulk_reading import LAST_S, BulkReading, Result
from ivr.changes.apply import change_apply
from ivr.changes.plan import change_plan
from ivr.changes.reconcile import reconcile, replay_spool
from ivr.forms import opened_now
from ivr.models import Change, Ivr
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import User
from pbxadmin.access.services import customer_archive, membership_end
from pbxadmin.audit.chain import verify
from pbxadmin.audit.context import SYSTEM, Actor
from pbxadmin.batches.models import Batch, BatchState
from pbxadmin.batches.preview import PreviewSource
from pbxadmin.batches.services import batch_start, batch_stop
from pbxadmin.batches.work import NOT_NOW_TRIES, batch_settle, batches_kick, target_plan
from pbxadmin.fleet.lease import LeaseHandle, is_leased, lease_claim
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.api.conftest import Script
from tests.batches.database import database, log_watched
from tests.batches.job import NUMBERS, PACE, added, outcomes, page_of, press, previewed, updates, work
from tests.factories import make_pbx
from tests.kill.processes import let_the_leases_end
from tests.pbx_http import PbxDouble, cannot_be_reached, refused, says
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

MARA = Actor(7, "Mara Lindqvist")
ALL_AT_ONCE = {"canary": "6"}


class Died(BaseException):
    """The process that was talking to the PBX is gone."""


def applies_and_dies(pbx: PbxDouble, body: dict[str, Any]) -> Any:
    pbx.update(body)
    raise Died


def all_settles(batch: Batch, *minutes: int) -> Batch:
    """Let so much time pass, and do each time what ticks and workers do."""
    for minute in minutes or (2, 4):
        with time_machine.travel(timezone.now() + timedelta(minutes=minute)):
            replay_spool()
            reconcile()
            batches_kick()
            work(batch)
    return batch


def assert_true(batch: Batch, pbx_http: PbxDouble) -> None:
    """Each outcome is what its change came to; nothing was sent twice; the log is whole."""
    assert len(updates(pbx_http)) == len(set(updates(pbx_http)))
    for target in batch.targets.exclude(change_id=None):
        change = Change.objects.get(pk=target.change_id)
        assert target.outcome == change.status
        if change.status == "verified":
            assert pbx_http.ivrs[target.number]["responsetimeout"] == "9"
    assert verify().faults == []


# A process dies


def test_what_was_being_sent_when_its_batch_was_stopped_gets_its_outcome(
    client: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    batch = previewed(client, **ALL_AT_ONCE)
    pbx_http.fail("ivr/update", applies_and_dies, after=1)
    press(client, batch, "start")
    press(client, batch, "stop")

    all_settles(batch)

    assert batch.state == BatchState.STOPPED
    assert sorted(outcomes(batch).values()) == ["", "", "", "", "verified", "verified"]
    assert len(updates(pbx_http)) == 2
    assert_true(batch, pbx_http)


@pytest.mark.parametrize("what", ["the role", "the customer", "the PBX"])
def test_what_was_sent_before_the_right_ended_gets_its_outcome_all_the_same(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, manager: User, what: str
) -> None:
    batch = previewed(client, **ALL_AT_ONCE)
    pbx_http.fail("ivr/update", applies_and_dies)
    press(client, batch, "start")
    if what == "the role":
        membership_end(membership=manager.memberships.get())
    elif what == "the customer":
        customer_archive(customer=pbx.customer)
    else:
        with time_machine.travel(timezone.now() + timedelta(minutes=1)):
            reconcile()
        pbx.delete()

    all_settles(batch)

    assert batch.state == BatchState.HALTED
    assert sorted(outcomes(batch).values()) == ["", "", "", "", "not-sent", "verified"]
    assert len(updates(pbx_http)) == 1


def test_what_was_sent_as_patience_ended_gets_its_outcome(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    until = timezone.now() + timedelta(minutes=30)
    batch = previewed(client, keep_trying_until=f"{until:%Y-%m-%dT%H:%M}", canary="1")
    pbx_http.fail("ivr/query", cannot_be_reached)
    press(client, batch, "start")
    assert batch.targets.filter(outcome="waiting").exists()
    pbx_http.fail("ivr/update", applies_and_dies)
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        batches_kick()
        work(batch)
    assert len(updates(pbx_http)) == 1

    all_settles(batch, 40, 45)

    assert batch.state == BatchState.PAUSED
    assert sorted(outcomes(batch).values()) == ["", "", "", "", "", "verified"]
    assert_true(batch, pbx_http)


def test_nothing_waits_in_a_batch_that_was_stopped(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    until = timezone.now() + timedelta(hours=2)
    batch = previewed(client, keep_trying_until=f"{until:%Y-%m-%dT%H:%M}", canary="1")
    pbx_http.fail("ivr/query", cannot_be_reached)
    press(client, batch, "start")

    press(client, batch, "stop")

    assert sorted(outcomes(batch).values()) == ["", "", "", "", "", "not-sent"]
    assert_true(batch, pbx_http)


@pytest.mark.parametrize("way", ["page", "API"])
def test_nobody_else_sends_what_a_stopped_batch_had_planned(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, way: str
) -> None:
    batch = previewed(client, canary="1")
    batch_start(batch=batch, actor=MARA, confirmed=True)
    change = target_plan(batch, batch.targets.get(is_canary=True), pbx)  # then its PBX was in use
    batch_stop(batch=batch, actor=MARA)

    if way == "page":
        page = client.get(change.get_absolute_url()).content.decode()
        client.post(f"{change.get_absolute_url()}apply/", {"confirm": "on"})
        assert f"{change.get_absolute_url()}apply/" not in page
        assert f"batch {batch.pk}</a> sends this change" in page
    else:
        refused = Script(User.objects.get()).post(f"/changes/{change.pk}/apply")
        assert (refused.status_code, refused.json()["type"].rsplit("/", 1)[-1]) == (409, "of-batch")

    change.refresh_from_db()
    assert change.status == Change.Status.PLANNED
    assert not updates(pbx_http)


def test_who_dies_before_the_halt_leaves_it_to_whoever_settles_the_stage(client: Client, pbx: Pbx) -> None:
    batch = previewed(client, canary="1")
    Batch.objects.update(state=BatchState.RUNNING, resumed_at=timezone.now(), started_at=timezone.now())
    batch.targets.filter(is_canary=True).update(outcome="refused", finished_at=timezone.now())

    batch_settle(batch)

    assert batch.state == BatchState.HALTED


def test_a_pbx_that_was_closed_for_the_stage_before_is_opened_again(
    client: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    batch = previewed(client)
    press(client, batch, "start")
    client.post(f"/batches/{batch.pk}/continue/")
    batch.units.update(is_open=False)  # by a worker that was at the end of the first stage just then

    batches_kick()
    work(batch)

    assert batch.state == BatchState.FINISHED
    assert sorted(updates(pbx_http)) == NUMBERS


def test_a_preview_that_comes_too_late_changes_nothing(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = added(client)
    frozen = PreviewSource(batch)
    (late,) = frozen.take(1, time.monotonic() + 20)
    let_the_leases_end()
    work(batch)
    press(client, batch, "start")
    pbx_http.ivrs.clear()

    frozen.save([Result(late, late.read())])

    assert set(batch.targets.values_list("klass", flat=True)) == {"would-change"}


def test_a_pbx_that_a_preview_has_no_time_left_for_is_read_by_the_next_worker(client: Client, pbx: Pbx) -> None:
    batch = added(client)
    reading = BulkReading(PreviewSource(batch))
    reading.take()
    reading.until = time.monotonic() + LAST_S

    reading.work()

    assert not is_leased(pbx.pk)
    assert work(batch).state == BatchState.READY
    assert set(batch.targets.values_list("klass", flat=True)) == {"would-change"}


def test_a_preview_that_fails_is_made_by_the_next_worker(client: Client, pbx: Pbx, monkeypatch: Any) -> None:
    batch = added(client)
    with monkeypatch.context() as patch:
        patch.setattr(PreviewSource, "store", lambda *_: 1 / 0)
        work(batch)
    assert batch.state == BatchState.PREVIEWING
    assert not is_leased(pbx.pk)

    with time_machine.travel(timezone.now() + timedelta(seconds=6)):
        work(batch)

    assert set(batch.targets.values_list("klass", flat=True)) == {"would-change"}


def test_a_preview_waits_for_a_pbx_that_is_in_use(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = added(client)
    held = lease_claim([pbx.pk], "Jonas is editing IVR 6500")
    source = PreviewSource(batch)
    assert source.take(8, time.monotonic() + 20) == []
    assert source.waits_for_others()
    assert set(batch.targets.values_list("klass", flat=True)) == {""}

    held.release()
    with time_machine.travel(timezone.now() + timedelta(seconds=2)):
        work(batch)

    assert set(batch.targets.values_list("klass", flat=True)) == {"would-change"}


# The PBX


def test_a_pbx_that_dies_between_preview_and_send(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client)
    for _ in range(20):
        pbx_http.fail("ivr/query", cannot_be_reached)

    press(client, batch, "start")

    assert batch.state == BatchState.HALTED
    assert sorted(outcomes(batch).values()) == ["", "", "", "", "", "not-sent"]
    assert updates(pbx_http) == []
    assert "not verified. The last: ACME-HQ" in page_of(client, batch)


def test_a_pbx_that_dies_in_the_middle_of_its_targets(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, halt_after="100")
    press(client, batch, "start")
    for _ in range(20):
        pbx_http.fail("ivr/query", cannot_be_reached)

    press(client, batch, "continue")

    assert batch.state == BatchState.FINISHED
    assert sorted(outcomes(batch).values()) == ["not-sent"] * 4 + ["verified"] * 2
    assert_true(batch, pbx_http)


def test_a_wrong_password_that_the_batch_finds_is_tried_once(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, halt_after="100")
    press(client, batch, "start")
    Pbx.objects.update(token="")
    pbx_http.password_is_right = False
    before = pbx_http.calls().count("login")

    press(client, batch, "continue")

    assert pbx_http.calls().count("login") == before + 1
    assert Pbx.objects.get().state == PbxState.CREDENTIALS_REJECTED
    assert sorted(outcomes(batch).values()) == ["not-sent"] * 4 + ["verified"] * 2
    assert_true(batch, pbx_http)


# Other people


@pytest.mark.parametrize(("value", "outcome"), [("9", "not-sent"), ("7", "conflict")])
def test_two_batches_over_the_same_ivrs(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, value: str, outcome: str
) -> None:
    first, second = previewed(client), previewed(client, response_timeout=value, canary="1")
    press(client, first, "start")
    press(client, first, "continue")

    press(client, second, "start")
    press(client, second, "continue", reason="As expected")

    assert outcome in outcomes(second).values()
    assert {ivr["responsetimeout"] for ivr in pbx_http.ivrs.values()} == {"9"}
    assert sorted(updates(pbx_http)) == NUMBERS
    again = work(added(client, response_timeout="9"))
    assert set(again.targets.values_list("klass", flat=True)) == {"already-so"}


def edit(pbx: Pbx, pbx_http: PbxDouble, number: str) -> Change:
    opened = opened_now(pbx, read_ivr(pbx_http.ivrs[number], ApiVersion.V1_0), timezone.now())
    change = change_plan(pbx=pbx, opened=opened, wanted={"response_timeout": "5"}, actor=MARA)
    change_apply(change=change, actor=MARA)
    return change


def test_a_person_who_edits_a_target_meanwhile_is_not_overwritten(
    client: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    batch = previewed(client, halt_after="2")
    press(client, batch, "start")
    left = next(number for number, outcome in outcomes(batch).items() if not outcome)
    assert edit(pbx, pbx_http, left).status == "verified"

    press(client, batch, "continue")

    assert outcomes(batch)[left] == "conflict"
    assert pbx_http.ivrs[left]["responsetimeout"] == "5"
    assert sorted(outcomes(batch).values()) == ["conflict"] + ["verified"] * 5


def test_a_customer_that_is_archived_ends_the_rest(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, halt_after="100")
    press(client, batch, "start")
    client.post(f"/batches/{batch.pk}/continue/")
    customer_archive(customer=pbx.customer)

    work(batch)

    assert batch.state == BatchState.FINISHED
    assert sorted(outcomes(batch).values()) == ["not-sent"] * 4 + ["verified"] * 2
    assert set(batch.targets.filter(outcome="not-sent").values_list("sentence", flat=True)) == {
        "Acme Logistics is archived."
    }


# The log, the database, the clock


def test_nothing_is_sent_while_the_log_cannot_be_written(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, **ALL_AT_ONCE)
    client.post(f"/batches/{batch.pk}/start/")

    with log_watched() as log:
        log.is_away = True
        with suppress(DatabaseError):
            work(batch)
    assert updates(pbx_http) == []
    assert batch.state == BatchState.RUNNING

    all_settles(batch, 1, 2)

    assert batch.state == BatchState.FINISHED
    assert sorted(updates(pbx_http)) == NUMBERS
    assert_true(batch, pbx_http)


def test_a_log_that_is_lost_after_sending_hears_of_it_later(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, settings: Any, tmp_path: Any
) -> None:
    settings.DATA_DIR = tmp_path
    batch = previewed(client, **ALL_AT_ONCE)
    real = pbx_http.update
    with log_watched() as log:

        def leaves(double: PbxDouble, body: dict[str, Any]) -> Any:
            log.is_away = True
            return real(body)

        pbx_http.fail("ivr/update", leaves, after=2)
        with suppress(DatabaseError):
            press(client, batch, "start")
    assert len(updates(pbx_http)) == 3

    all_settles(batch)

    assert batch.state == BatchState.FINISHED
    assert sorted(updates(pbx_http)) == NUMBERS
    assert_true(batch, pbx_http)


def test_a_database_that_goes_away_for_a_while_loses_nothing(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, settings: Any, tmp_path: Any
) -> None:
    settings.DATA_DIR = tmp_path
    batch = previewed(client, **ALL_AT_ONCE)
    client.post(f"/batches/{batch.pk}/start/")
    real = pbx_http.update
    with database() as server:

        def goes_away(double: PbxDouble, body: dict[str, Any]) -> Any:
            server.goes_away()
            return real(body)

        pbx_http.fail("ivr/update", goes_away, after=2)
        for _ in range(3):
            with suppress(DatabaseError):
                work(batch)
    assert len(updates(pbx_http)) == 3

    all_settles(batch)

    assert batch.state == BatchState.FINISHED
    assert sorted(updates(pbx_http)) == NUMBERS
    assert set(outcomes(batch).values()) == {"verified"}
    assert_true(batch, pbx_http)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_sends_nothing_twice_and_still_halts(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, hours: int
) -> None:
    batch = previewed(client)
    press(client, batch, "start")
    real = pbx_http.update
    with time_machine.travel(timezone.now()) as clock:

        def jumps(double: PbxDouble, body: dict[str, Any]) -> Any:
            clock.shift(timedelta(hours=hours))
            return real(body)

        pbx_http.fail("ivr/update", jumps)
        for _ in range(3):
            pbx_http.fail("ivr/update", says(refused("10018")))
        press(client, batch, "continue")
        for _ in range(3):
            clock.shift(timedelta(minutes=2))
            reconcile()
            batches_kick()
            work(batch)

    assert batch.state == BatchState.HALTED
    assert sorted(outcomes(batch).values()) == ["refused"] * 3 + ["verified"] * 3
    assert sorted(updates(pbx_http)) == NUMBERS


def test_what_was_gone_on_from_does_not_halt_again(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    """Not even when it becomes another outcome by a later reading."""
    batch = previewed(client)
    pbx_http.fail("ivr/update", says({"status": "Success"}))
    press(client, batch, "start")
    assert batch.state == BatchState.HALTED
    press(client, batch, "continue", reason="Known")
    assert batch.state == BatchState.PAUSED
    odd = batch.targets.get(outcome="not-as-asked")
    Change.objects.filter(pk=odd.change_id).update(status="refused")
    batches_kick()
    assert outcomes(batch)[odd.number] == "refused"
    batch.refresh_from_db()

    Batch.objects.update(halt_after=1)
    press(client, batch, "continue")

    assert batch.state == BatchState.FINISHED


def test_a_pbx_that_somebody_has_in_hand_is_changed_after_that(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client)
    held = lease_claim([pbx.pk], "a reading that takes long")

    press(client, batch, "start")
    assert batch.state == BatchState.RUNNING
    assert set(outcomes(batch).values()) == {""}
    assert updates(pbx_http) == []

    held.release()
    with time_machine.travel(timezone.now() + timedelta(seconds=2)):
        work(batch)
    assert batch.state == BatchState.PAUSED
    assert len(updates(pbx_http)) == 2


@contextmanager
def just_taken(pbx: Pbx) -> Iterator[list[LeaseHandle]]:
    """Let somebody take the PBX whenever a change was planned, before it is sent."""
    taken: list[LeaseHandle] = []

    def take(**_: Any) -> None:
        taken.append(lease_claim([pbx.pk], "a reading that takes long"))

    post_save.connect(take, Change)
    try:
        yield taken
    finally:
        post_save.disconnect(take, Change)


def test_a_pbx_that_is_taken_just_before_the_send_is_changed_after_that(
    client: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    batch = previewed(client)
    with just_taken(pbx) as taken:
        press(client, batch, "start")
    assert set(outcomes(batch).values()) == {""}
    assert updates(pbx_http) == []

    taken[0].release()
    with time_machine.travel(timezone.now() + timedelta(seconds=2)):
        work(batch)

    assert batch.state == BatchState.PAUSED
    assert len(updates(pbx_http)) == 2
    assert Change.objects.count() == 2


def test_a_pbx_that_is_slow_for_a_moment_is_changed_after_that(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, canary="1")
    with time_machine.travel(timezone.now()) as clock:

        def is_slow(double: PbxDouble, body: dict[str, Any]) -> Any:
            clock.shift(timedelta(seconds=40))  # the lease ends meanwhile
            return double.carry_out("ivr/query", body, max(double.tokens))

        pbx_http.fail("ivr/query", is_slow)
        press(client, batch, "start")
        assert set(outcomes(batch).values()) == {""}
        assert updates(pbx_http) == []
        clock.shift(timedelta(seconds=2))
        work(batch)

    assert batch.state == BatchState.PAUSED
    assert len(updates(pbx_http)) == 1
    assert not batch.units.exclude(tries=0).exists()


def test_a_pbx_that_stays_slow_ends_its_target(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, canary="1")
    batch.units.update(tries=NOT_NOW_TRIES)
    with time_machine.travel(timezone.now()) as clock:

        def is_slow(double: PbxDouble, body: dict[str, Any]) -> Any:
            clock.shift(timedelta(seconds=40))
            return double.carry_out("ivr/query", body, max(double.tokens))

        pbx_http.fail("ivr/query", is_slow)
        press(client, batch, "start")

    assert batch.state == BatchState.HALTED
    assert batch.targets.get(outcome="not-sent").sentence.startswith("ACME-HQ took too long to be read first.")


# Many


@pytest.mark.in_shares
def test_five_thousand(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    for number in range(6506, 6600):
        pbx_http.add(str(number))
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    listed = list(Ivr.objects.all())
    for place in range(49):
        other = make_pbx(pbx.customer, name=f"ACME-{place}")
        Ivr.objects.bulk_create(copied(ivr, pk=None, pbx=other) for ivr in listed)
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    del pbx_http.ivrs["6501"]
    answer = client.post("/batches/add/", {"all": "on", "query": "", "response_timeout": "9", **PACE})
    assert answer.status_code == 302

    batch = Batch.objects.get()
    until(lambda: work(batch).state != BatchState.PREVIEWING)

    page = page_of(client, batch)
    assert (batch.size, batch.state) == (5_000, BatchState.READY)
    assert 'data-class="would-change" data-count="4900"' in page
    assert 'data-class="already-so" data-count="50"' in page
    assert 'data-class="gone" data-count="50"' in page
    assert pbx_http.calls().count("ivr/query") == 2 + 50
    lines = b"".join(client.get(f"/batches/{batch.pk}/results.csv")).decode("utf-8-sig").splitlines()
    assert len(lines) == 5_001


def copied(ivr: Ivr, **fields: Any) -> Ivr:
    another = copy(ivr)
    for name, value in fields.items():
        setattr(another, name, value)
    another._state.adding = True
    return another
