"""Reading PBXs in the background, over real TLS: what is read, what is left alone, and what a dead worker loses."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connection
from django.utils import timezone

from ivr.bulk_reading import LAST_S, RUN_S, SLOW_S, BulkReading, Result
from ivr.models import Ivr, Refresh, RefreshItem
from ivr.refresh import (
    RunSource,
    pbx_refresh,
    refresh_rekick,
    refresh_start,
    refresh_work,
    save_results,
    take,
)
from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.fleet.lease import LEASE_S, LONG_AGO, leased
from pbxadmin.fleet.models import Lease, Pbx, PbxState
from pbxadmin.fleet.services import pbx_edit
from pbxadmin.yeastar.client import PAGE_S
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.simulator import Fault, Fleet, SimulatedPbx
from tests.factories import make_pbx, make_user
from tests.waiting import Clock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.tls]
MARA = Actor(7, "Mara Lindqvist")
State = RefreshItem.State
LATE = time.monotonic() + 3600


def recorded(customer: Customer, pbx: SimulatedPbx, **values: Any) -> Pbx:
    right = {key: getattr(pbx, key) for key in ("name", "scheme", "port", "username", "password", "fingerprint")}
    return make_pbx(customer, **{**right, "host": "127.0.0.1", **values})


@pytest.fixture
def pbxs(acme: Customer, fleet: Fleet) -> list[Pbx]:
    """The records of three PBXs."""
    return [recorded(acme, pbx) for pbx in fleet.pbxs]


def run(*pbxs: Pbx) -> Refresh:
    started = refresh_start(pbxs=pbxs, actor=MARA)
    refresh_work.call(started.pk)
    started.refresh_from_db()
    return started


def in_one_look(patch: pytest.MonkeyPatch) -> None:
    """Let a run end at the first PBX that it would have to wait for."""
    patch.setattr("ivr.bulk_reading.time", Clock())
    patch.setattr("ivr.bulk_reading.IN_USE_WAIT_S", RUN_S)


def states(run: Refresh) -> dict[str, str]:
    return dict(run.items.values_list("pbx__name", "state"))


def meanwhile(act: Callable[[], Any]) -> Callable[[], None]:
    """Something that happens in the database just after a PBX did its work: the fleet's loop cannot ask it itself."""

    def in_a_thread() -> None:
        try:
            act()
        finally:
            connection.close()

    def done() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(in_a_thread).result(30)

    return done


def everything_is_free() -> bool:
    return not Lease.objects.exclude(holder="").exists()


def test_one_pbx_is_read_whole_and_its_state_and_token_are_kept(pbxs: list[Pbx], fleet: Fleet) -> None:
    count = pbx_refresh(pbx=pbxs[0], actor=MARA)

    assert count == len(fleet.pbxs[0].ivrs) == Ivr.objects.filter(pbx=pbxs[0]).count()
    kept = Pbx.objects.get(pk=pbxs[0].pk)
    assert (kept.state, kept.ivr_count, bool(kept.token)) == (PbxState.REACHABLE, count, True)
    assert fleet.pbxs[0].calls() == ["login", "deviceinfo/query", "ivr/query", "queue/query"]
    assert fleet.pbxs[1].calls() == []


def test_a_run_reads_each_pbx_of_it_once(pbxs: list[Pbx], fleet: Fleet) -> None:
    done = run(*pbxs)

    assert set(states(done).values()) == {State.DONE}
    assert done.finished_at is not None
    for pbx, simulated in zip(pbxs, fleet.pbxs, strict=True):
        assert set(pbx.ivrs.values_list("number", flat=True)) == set(simulated.ivrs)
        assert simulated.count("ivr/query") == 1
    assert everything_is_free()


def test_a_second_run_uses_the_tokens_of_the_first_each_its_own(pbxs: list[Pbx], fleet: Fleet) -> None:
    run(*pbxs)
    for simulated in fleet.pbxs:
        simulated.received.clear()

    run(*pbxs)

    assert [simulated.calls() for simulated in fleet.pbxs] == [["ivr/query"]] * 3


def test_a_value_that_moved_is_kept_and_the_rest_gets_the_time(pbxs: list[Pbx], fleet: Fleet) -> None:
    run(pbxs[0])
    before = Ivr.objects.filter(pbx=pbxs[0]).latest("read_at").read_at
    first, *others = fleet.pbxs[0].ivrs
    fleet.pbxs[0].ivrs[first]["promptrepeat"] = "5"
    del fleet.pbxs[0].ivrs[others[0]]

    run(pbxs[0])

    assert Ivr.objects.get(pbx=pbxs[0], number=first).prompt_repeat == "5"
    assert not Ivr.objects.filter(pbx=pbxs[0], number=others[0]).exists()
    assert not Ivr.objects.filter(pbx=pbxs[0], read_at__lte=before).exists()
    assert Pbx.objects.get(pk=pbxs[0].pk).ivr_count == len(fleet.pbxs[0].ivrs)


def test_two_workers_on_one_run_never_send_two_requests_to_a_pbx_at_a_time(
    acme: Customer, make_fleet: Callable[..., Fleet]
) -> None:
    fleet = make_fleet(8)
    for pbx in fleet.pbxs:
        pbx.latency_s, pbx.one_at_a_time = 0.05, True
    started = refresh_start(pbxs=[recorded(acme, pbx) for pbx in fleet.pbxs], actor=MARA)

    workers = [meanwhile(lambda: refresh_work.call(started.pk)) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda work: work(), workers))

    assert set(states(started).values()) == {State.DONE}
    assert [(pbx.count("ivr/query"), pbx.max_in_flight) for pbx in fleet.pbxs] == [(1, 1)] * 8


def test_a_pbx_that_fails_ends_as_failed_with_an_event_and_the_others_go_on(pbxs: list[Pbx], fleet: Fleet) -> None:
    fleet.pbxs[1].misbehave(Fault.HTML, call="ivr/query", times=9)

    done = run(*pbxs)

    assert [states(done)[pbx.name] for pbx in pbxs] == [State.DONE, State.FAILED, State.DONE]
    event = Event.objects.get(action="refresh.failed")
    assert (event.pbx_id, event.data["detail"]["why"]) == (pbxs[1].pk, done.items.get(pbx=pbxs[1]).sentence)
    assert Pbx.objects.get(pk=pbxs[1].pk).state == PbxState.UNREACHABLE
    assert everything_is_free()


def test_a_read_of_one_that_fails_keeps_what_was_known(pbxs: list[Pbx], fleet: Fleet) -> None:
    pbx_refresh(pbx=pbxs[0], actor=MARA)
    known = set(Ivr.objects.values_list("number", "read_at"))
    fleet.switch_off(fleet.pbxs[0])

    with pytest.raises(PbxError):
        pbx_refresh(pbx=pbxs[0], actor=MARA)

    assert set(Ivr.objects.values_list("number", "read_at")) == known
    assert Event.objects.filter(action="refresh.failed", pbx_id=pbxs[0].pk).count() == 1


LATER = timedelta(minutes=10)
LEFT_ALONE = {
    "disabled": {"is_enabled": False},
    "rejected": {"state": PbxState.CREDENTIALS_REJECTED},
    "locked": {"state": PbxState.LOCKED, "locked_until": LATER},
    "paused": {"paused_until": LATER, "failures": 3},
    "untrusted": {"state": PbxState.UNTRUSTED},
    "without a password": {"password_digest": ""},
    "without a pin": {"fingerprint": ""},
}


@pytest.mark.parametrize("columns", LEFT_ALONE.values(), ids=list(LEFT_ALONE))
def test_nothing_is_sent_to_a_pbx_that_has_to_be_left_alone(
    pbxs: list[Pbx], fleet: Fleet, columns: dict[str, Any]
) -> None:
    now = timezone.now()
    values = {name: now + value if isinstance(value, timedelta) else value for name, value in columns.items()}
    Pbx.objects.filter(pk=pbxs[0].pk).update(**values)

    done = run(*pbxs)

    assert fleet.pbxs[0].connections == 0
    assert [states(done)[pbx.name] for pbx in pbxs] == [State.FAILED, State.DONE, State.DONE]
    assert pbxs[0].name in done.items.get(pbx=pbxs[0]).sentence or "fingerprint" in columns
    assert everything_is_free()


def test_credentials_rejected_by_a_run_are_tried_once_and_never_again(acme: Customer, fleet: Fleet) -> None:
    pbx = recorded(acme, fleet.pbxs[0], password="Wrong-Passw0rd")

    run(pbx)
    run(pbx)

    assert fleet.pbxs[0].calls() == ["login"]
    assert Pbx.objects.get(pk=pbx.pk).state == PbxState.CREDENTIALS_REJECTED


def test_a_refused_login_is_remembered_also_when_the_log_cannot_be_written(pbxs: list[Pbx], fleet: Fleet) -> None:
    for pbx in fleet.pbxs:
        pbx.password = "changed on the PBX"
    with log_away(), pytest.raises(DatabaseError):
        run(*pbxs)
    time_has_passed()

    refresh_work.call(Refresh.objects.get().pk)

    assert set(Pbx.objects.values_list("state", flat=True)) == {PbxState.CREDENTIALS_REJECTED}
    assert [pbx.calls() for pbx in fleet.pbxs] == [["login"]] * 3


@contextmanager
def log_away() -> Iterator[None]:
    """No event can be written during the block."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event RENAME TO audit_event_away")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE audit_event_away RENAME TO audit_event")


def time_has_passed() -> None:
    """As if whoever had PBXs in hand had lost them, and the tick had found out."""
    Lease.objects.update(until=LONG_AGO)
    RefreshItem.objects.filter(state=State.READING).update(claimed_until=LONG_AGO)
    refresh_rekick()


def test_what_another_device_lists_is_not_kept(pbxs: list[Pbx], fleet: Fleet) -> None:
    run(pbxs[0])
    fleet.pbxs[0].serial, fleet.pbxs[0].ivrs = "999", {}
    Pbx.objects.update(token="")

    done = run(pbxs[0])

    assert "Another device answers" in done.items.get().sentence
    assert Ivr.objects.filter(pbx=pbxs[0]).exists()
    assert Event.objects.filter(action="pbx.stranger").count() == 1


def test_what_a_dead_worker_had_in_hand_is_read_by_the_next(pbxs: list[Pbx], fleet: Fleet) -> None:
    started = refresh_start(pbxs=pbxs[:1], actor=MARA)
    soon = timezone.now() + timedelta(seconds=LEASE_S)
    RefreshItem.objects.update(state=State.READING, claimed_until=soon)
    Lease.objects.filter(pbx=pbxs[0]).update(holder="a dead worker", until=soon)

    assert refresh_rekick() == 0  # it may still be at work
    with time_machine.travel(soon + timedelta(seconds=1)):
        assert refresh_rekick() == 1
        refresh_work.call(started.pk)

    assert states(started) == {pbxs[0].name: State.DONE}
    assert fleet.pbxs[0].count("ivr/query") == 1


def test_what_was_read_by_a_worker_that_lost_its_lease_meanwhile_is_not_kept(pbxs: list[Pbx], fleet: Fleet) -> None:
    """It was frozen for longer than its lease; whoever had the PBX since may have changed it."""

    lease = Lease.objects.filter(pbx=pbxs[0])
    fleet.pbxs[0].misbehave(call="ivr/query", then=meanwhile(lambda: lease.update(holder="somebody else")))
    started = refresh_start(pbxs=pbxs[:1], actor=MARA)

    with pytest.MonkeyPatch.context() as patch:
        in_one_look(patch)
        refresh_work.call(started.pk)

    assert states(started) == {pbxs[0].name: State.WAITING}
    assert not Ivr.objects.exists()
    assert Lease.objects.get(pbx=pbxs[0]).holder == "somebody else"


def test_what_was_read_at_an_address_that_was_edited_meanwhile_is_read_anew(pbxs: list[Pbx], fleet: Fleet) -> None:
    record = Pbx.objects.get(pk=pbxs[0].pk)
    edit = meanwhile(lambda: pbx_edit(pbx=record, values={"host": "localhost"}))
    fleet.pbxs[0].misbehave(call="ivr/query", then=edit)

    done = run(pbxs[0])

    assert states(done) == {pbxs[0].name: State.DONE}
    assert fleet.pbxs[0].count("ivr/query") == 2


def test_a_pbx_in_somebodys_hands_does_not_hold_up_the_others(pbxs: list[Pbx], fleet: Fleet) -> None:
    with leased(pbxs[0].pk, "Tom Okafor is changing IVR 6500"), pytest.MonkeyPatch.context() as patch:
        in_one_look(patch)
        done = run(*pbxs)

    assert [states(done)[pbx.name] for pbx in pbxs] == [State.WAITING, State.DONE, State.DONE]
    assert done.finished_at is None
    assert fleet.pbxs[0].connections == 0


@pytest.mark.parametrize(
    ("answered", "young", "slow", "free"),
    [
        (0, 0, 0, 4),
        (0, 3, 0, 1),
        (0, 4, 0, 0),
        (9, 4, 1, 0),
        (9, 1, 4, 4),
        (8, 4, 4, 2),
        (9, 4, 16, 0),
        (0, 0, 4, 8),
        (0, 0, 15, 5),
    ],
)
def test_a_pbx_that_takes_long_does_not_keep_others_from_being_read(
    pbxs: list[Pbx], settings: Any, answered: int, young: int, slow: int, free: int
) -> None:
    """Of the next ones as many are expected to be slow; four times as many as are read at once may be slow by now."""
    settings.REFRESH_THREADS = 4
    reading, now = BulkReading(RunSource(refresh_start(pbxs=pbxs[:1], actor=MARA))), time.monotonic()

    reading.answered = answered
    reading.begun = dict(enumerate([now + RUN_S] * young + [now - SLOW_S] * slow))

    assert reading.free == free


@pytest.mark.parametrize(("answered_in", "free"), [([0.1, 0.1, 0.1, 9.0], 8), ([2.0, 2.0, 0.1, 0.1], 0)])
def test_a_pbx_is_slow_that_takes_longer_than_three_of_four_did(
    pbxs: list[Pbx], settings: Any, answered_in: list[float], free: int
) -> None:
    """Where all take long since this machine is busy, beginning more would make it busier."""
    settings.REFRESH_THREADS = 4
    started = refresh_start(pbxs=pbxs[:1], actor=MARA)
    work, reading = take(started, 1, LATE)[0], BulkReading(RunSource(started))
    for seconds in answered_in:
        reading.begun[work.row_id] = time.monotonic() - seconds
        reading.end(Result(work))

    reading.begun = dict.fromkeys(range(4), time.monotonic() - SLOW_S)

    assert reading.free == free


@pytest.mark.parametrize(
    ("ready", "begun", "slow_s", "wanted"),
    [(0, 0, 0.3, 8), (4, 4, 0.3, 0), (0, 4, 0.3, 4), (1, 1, 0.3, 6), (0, 20, 0.3, 4), (0, 4, 0.6, 2), (0, 4, 10.0, 0)],
)
def test_some_pbxs_are_kept_ready_so_that_the_next_begins_at_once(
    pbxs: list[Pbx], settings: Any, ready: int, begun: int, slow_s: float, wanted: int
) -> None:
    """Fewer where PBXs take longer: a person would wait for one that is leased and not read."""
    settings.REFRESH_THREADS = 4
    started = refresh_start(pbxs=pbxs[:1], actor=MARA)
    work, reading = take(started, 1, LATE)[0], BulkReading(RunSource(started))
    young = time.monotonic() + RUN_S

    reading.slow_s = slow_s
    reading.ready.extend([work] * ready)
    reading.begun = dict.fromkeys(range(min(begun, 4)), young) | dict.fromkeys(range(4, begun), 0.0)

    assert reading.wanted == wanted


def test_a_thread_whose_pbx_has_answered_begins_the_next_one_that_is_ready(
    pbxs: list[Pbx], settings: Any, fleet: Fleet
) -> None:
    """Nobody has to store what was read before."""
    settings.REFRESH_THREADS = 1
    started = refresh_start(pbxs=pbxs, actor=MARA)
    reading = BulkReading(RunSource(started))
    reading.ready.extend(take(started, 3, LATE))

    reading.read_ready()

    assert [pbx.count("ivr/query") for pbx in fleet.pbxs] == [1, 1, 1]
    assert (reading.ended.qsize(), reading.begun, list(reading.ready)) == (3, {}, [])


def test_what_is_ready_when_no_time_is_left_for_it_is_given_back_and_not_called_unreachable(
    pbxs: list[Pbx], fleet: Fleet
) -> None:
    started = refresh_start(pbxs=pbxs, actor=MARA)
    reading = BulkReading(RunSource(started))
    reading.take()
    assert len(reading.ready) == len(pbxs)
    reading.until = time.monotonic() + LAST_S

    reading.read_ready()
    reading.read_all()

    assert {item.state for item in started.items.all()} == {RefreshItem.State.WAITING}
    assert not Lease.objects.filter(until__gt=timezone.now()).exists()
    assert [pbx.calls() for pbx in fleet.pbxs] == [[]] * len(fleet.pbxs)


def test_the_time_of_a_pbx_counts_from_when_it_is_begun_and_not_from_when_it_was_leased(
    pbxs: list[Pbx], fleet: Fleet
) -> None:
    work = take(refresh_start(pbxs=pbxs[:1], actor=MARA), 1, LATE)[0]

    assert work.client.until == LATE
    began = time.monotonic()
    work.read()

    assert began + PAGE_S <= work.client.until <= time.monotonic() + PAGE_S


def test_readings_that_answered_are_remembered_and_those_that_failed_are_not(pbxs: list[Pbx], fleet: Fleet) -> None:
    fleet.pbxs[0].misbehave(Fault.HTML, call="ivr/query", times=9)
    reading = BulkReading(RunSource(refresh_start(pbxs=pbxs, actor=MARA)))

    reading.work()

    assert len(reading.answered_in) == len(pbxs) - 1


def test_a_pbx_deleted_during_the_run_does_not_stop_it(pbxs: list[Pbx], fleet: Fleet) -> None:
    record = Pbx.objects.filter(pk=pbxs[0].pk)
    fleet.pbxs[0].misbehave(call="ivr/query", then=meanwhile(record.delete))

    done = run(*pbxs)

    assert states(done) == {pbx.name: State.DONE for pbx in pbxs[1:]}
    assert done.finished_at is not None


@pytest.mark.parametrize("count", [5, 20])
def test_pbxs_that_answer_together_take_as_many_statements_as_one(
    acme: Customer, make_fleet: Callable[..., Fleet], django_assert_max_num_queries: Any, count: int
) -> None:
    pbxs = [recorded(acme, pbx) for pbx in make_fleet(count).pbxs]
    run(*pbxs)  # signs in
    started = refresh_start(pbxs=pbxs, actor=MARA)

    with django_assert_max_num_queries(10):
        works = take(started, count, LATE)
    results = [Result(work, work.read()) for work in works]
    with django_assert_max_num_queries(14 + len({len(result.read.ivrs) for result in results})):
        save_results(results, is_scheduled=False)

    assert set(states(started).values()) == {State.DONE}


def test_the_page_of_a_run_tells_how_far_it_has_come(
    client: Any, acme: Customer, pbxs: list[Pbx], fleet: Fleet
) -> None:
    client.force_login(make_user(Role.HELPDESK, acme))
    fleet.switch_off(fleet.pbxs[2])
    where = client.post("/ivrs/refresh/").headers["Location"]
    waiting = client.get(where).content.decode()

    refresh_work.call(Refresh.objects.get().pk)

    page = client.get(where).content.decode()
    assert "<b>0 of 3</b> read so far" in waiting
    assert "<b>3 of 3</b> read · 1 failed" in page
    assert ("every 1s" in waiting, "every 1s" in page) == (True, False)
