"""Batches in real processes: killed, told to end, and several at once. Nothing is lost, and nothing is sent twice."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from threading import Lock
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from ivr.changes.reconcile import reconcile
from ivr.models import Change
from pbxadmin.access.models import User
from pbxadmin.access.roles import Role
from pbxadmin.audit.chain import verify
from pbxadmin.audit.context import Actor
from pbxadmin.batches.models import Batch, BatchState
from pbxadmin.batches.services import Chosen, Pace, batch_continue, batch_plan, batch_start
from pbxadmin.batches.work import batch_work
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import ALWAYS, Fleet
from tests.factories import make_customer, make_pbx, make_user
from tests.kill.processes import START_S, Process, let_the_leases_end, serve
from tests.waiting import until

pytestmark = [pytest.mark.tls, pytest.mark.django_db(transaction=True)]

MARA = "Mara Lindqvist"
VALUES = {"response_timeout": "9"}


class Sent:
    """What the PBXs of a fleet were told, by PBX and number. `at(count, do)` calls `do` when so many updates came."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.lock, self.count = fleet, Lock(), 0
        self.orders: dict[int, Callable[[], None]] = {}
        for pbx in fleet.pbxs:
            pbx.misbehave(call="ivr/update", times=ALWAYS, before=self.came)

    def at(self, count: int, do: Callable[[], None]) -> None:
        self.orders[count] = do

    def came(self) -> None:
        with self.lock:
            self.count += 1
            order = self.orders.pop(self.count, None)
        if order:
            order()

    @property
    def by_target(self) -> Counter[tuple[int, str]]:
        return Counter(
            (pbx.port, received.body["ivrid"])
            for pbx in self.fleet.pbxs
            for received in pbx.received
            if received.call == "ivr/update"
        )


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    with ExitStack() as closing:
        for process in started:
            closing.callback(process.close)


def filled(fleet: Fleet, ivrs: int) -> None:
    """Give each PBX so many IVRs."""
    for pbx in fleet.pbxs:
        first = pbx.ivrs["6500"] | {"responsetimeout": "3"}
        pbx.ivrs = {str(number): first | {"ivrnumber": str(number)} for number in range(6500, 6500 + ivrs)}


def planned(fleet: Fleet, manager: User, *, each: int, canary: int, pbxs_at_once: int) -> Batch:
    """Plan a batch over so many IVRs of each PBX. No reading is due meanwhile."""
    customer = make_customer()
    chosen = []
    for place, simulated in enumerate(fleet.pbxs):
        pbx = make_pbx(
            customer,
            name=f"PBX-{place}",
            host="127.0.0.1",
            port=simulated.port,
            username=simulated.username,
            password=simulated.password,
            fingerprint=simulated.fingerprint,
        )
        row = customer.pk, customer.name, pbx.pk, pbx.name
        chosen += [Chosen(*row, str(6500 + number), "", VALUES, {}) for number in range(each)]
    Pbx.objects.update(next_refresh_at=timezone.now() + timedelta(days=1))
    pace = Pace(canary=canary, pbxs_at_once=pbxs_at_once, halt_after=1000)
    return batch_plan(chosen=chosen, wanted=VALUES, pace=pace, actor=Actor(manager.pk, MARA))


def all_killed(processes: Sequence[Process]) -> None:
    for process in processes:
        process.kill()


def reached(batch: Batch, *states: BatchState) -> None:
    until(lambda: Batch.objects.filter(pk=batch.pk, state__in=states).exists(), 120, every=0.1)
    batch.refresh_from_db()


def assert_true(batch: Batch, sent: Sent) -> None:
    """Each target has the outcome that its PBX holds; nothing was sent twice; sums and the log are right."""
    ports = dict(Pbx.objects.values_list("pk", "port"))
    held = {(pbx.port, number): ivr for pbx in sent.fleet.pbxs for number, ivr in pbx.ivrs.items()}
    assert set(sent.by_target.values()) == {1}
    for target in batch.targets.all():
        at = (ports[target.pbx_id], target.number)
        is_verified = target.outcome == "verified"
        assert is_verified == (held[at]["responsetimeout"] == "9"), (at, target.outcome, target.sentence)
        assert is_verified or target.outcome == "not-as-asked", target.sentence
        assert is_verified == (sent.by_target[at] == 1)
        assert Change.objects.get(pk=target.change_id).status == target.outcome
    assert sum(Counter(batch.targets.values_list("outcome", flat=True)).values()) == batch.size
    assert Change.objects.filter(batch_id=batch.pk).count() == batch.size
    assert {pbx.max_in_flight for pbx in sent.fleet.pbxs} == {1}
    assert verify().faults == []


def test_a_web_and_a_worker_process_that_are_killed_lose_nothing(
    make_fleet: Callable[..., Fleet], processes: list[Process], tmp_path: Any
) -> None:
    fleet = make_fleet(30)
    filled(fleet, 100)
    sent = Sent(fleet)
    batch = planned(fleet, make_user(Role.MANAGER), each=2, canary=3, pbxs_at_once=16)
    processes += [Process("manage.py", "work", DATA_DIR=str(tmp_path)), serve(tmp_path)[0]]
    first = list(processes)
    sent.at(10, lambda: all_killed(first))
    reached(batch, BatchState.READY)
    assert batch_start(batch=batch, actor=Actor(batch.planned_by_id, MARA), confirmed=False)
    reached(batch, BatchState.PAUSED)
    assert batch_continue(batch=batch)
    for process in first:
        assert process.dead.wait(START_S)
    assert 10 <= sent.count < batch.size

    let_the_leases_end()
    processes += [Process("manage.py", "work", DATA_DIR=str(tmp_path)), serve(tmp_path)[0]]

    reached(batch, BatchState.FINISHED)
    assert_true(batch, sent)
    cut_off = batch.targets.exclude(outcome="verified").count()
    assert sent.count == batch.size - cut_off


def test_a_worker_that_is_told_to_end_finishes_what_it_sends_and_leaves_the_rest(
    make_fleet: Callable[..., Fleet], processes: list[Process], tmp_path: Any
) -> None:
    fleet = make_fleet(3)
    filled(fleet, 8)
    sent = Sent(fleet)
    batch = planned(fleet, make_user(Role.MANAGER), each=8, canary=24, pbxs_at_once=3)
    processes.append(Process("manage.py", "work", DATA_DIR=str(tmp_path)))
    sent.at(4, lambda: processes[0].running.send_signal(signal.SIGTERM))
    reached(batch, BatchState.READY)
    assert batch_start(batch=batch, actor=Actor(batch.planned_by_id, MARA), confirmed=False)

    assert processes[0].ended() == 0

    count = sent.count
    assert 4 <= count < batch.size  # how many more depends on how soon the process hears of it
    assert sorted(batch.targets.values_list("outcome", flat=True)) == [""] * (24 - count) + ["verified"] * count
    assert not batch.units.exclude(claimed_until=None).exists()
    assert not Change.objects.exclude(status="verified").exists()
    Batch.objects.update(pbxs_at_once=1)
    batch_work.call(batch.pk)
    assert sent.count > count
    assert set(sent.by_target.values()) == {1}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="workers on several machines share a PostgreSQL")
def test_three_workers_share_a_batch(make_fleet: Callable[..., Fleet], processes: list[Process], tmp_path: Any) -> None:
    fleet = make_fleet(12)
    filled(fleet, 3)
    sent = Sent(fleet)
    batch = planned(fleet, make_user(Role.MANAGER), each=3, canary=36, pbxs_at_once=4)
    processes += [Process("manage.py", "work", DATA_DIR=str(tmp_path / str(place))) for place in range(3)]
    reached(batch, BatchState.READY)
    assert batch_start(batch=batch, actor=Actor(batch.planned_by_id, MARA), confirmed=False)

    reached(batch, BatchState.FINISHED)

    reconcile()
    assert_true(batch, sent)
    assert sent.count == batch.size
