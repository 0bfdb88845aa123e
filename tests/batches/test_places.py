"""The places of a batch: how many PBXs it has in hand, which worker has them, and who is kicked for the rest."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from ivr.models import Ivr
from pbxadmin.access.models import Customer
from pbxadmin.audit.context import Actor
from pbxadmin.batches.models import Batch, BatchState, TargetClass
from pbxadmin.batches.selectors import chosen_of
from pbxadmin.batches.services import Pace, batch_plan
from pbxadmin.batches.units import share_of, units_claim
from pbxadmin.batches.work import batches_kick, changes_work
from pbxadmin.fleet.models import WorkerProcess
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_pbx, make_snapshots
from tests.pbx_http import IVR, PbxDouble

pytestmark = pytest.mark.django_db(transaction=True)

PBXS = 5


@pytest.fixture
def batch(acme: Customer, pbx_http: PbxDouble) -> Batch:
    """A batch over as many PBXs, none of which can be reached, that may have four in hand."""
    for place in range(PBXS):
        make_snapshots(make_pbx(acme, name=f"PBX {place}", port=9000 + place), read_ivr(IVR, ApiVersion.V1_0))
    wanted = {"response_timeout": "9"}
    rows = Ivr.objects.select_related("pbx__customer")
    return batch_plan(chosen=chosen_of(rows, wanted), wanted=wanted, pace=Pace(1, 4, PBXS + 1), actor=Actor(7, "Mara"))


def workers(*seconds_ago: int) -> None:
    for ago in seconds_ago:
        at = timezone.now() - timedelta(seconds=ago)
        WorkerProcess.objects.create(name=f"host-{ago}", threads=3, refresh_threads=64, started_at=at, seen_at=at)


def running(batch: Batch) -> Batch:
    batch.targets.update(klass=TargetClass.WOULD_CHANGE)
    Batch.objects.update(state=BatchState.RUNNING, is_canary_done=True)
    batch.refresh_from_db()
    return batch


def test_nobody_is_kicked_while_all_places_are_in_hand(batch: Batch) -> None:
    assert batches_kick() == 1
    units_claim(batch, 3)
    assert batches_kick() == 1

    units_claim(batch, 1)

    assert batches_kick() == 0
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):  # whoever had them died
        assert batches_kick() == 1


def test_processes_that_work_have_as_many_places_each(batch: Batch) -> None:
    assert share_of(batch) == 4

    workers(1, 2)
    assert share_of(batch) == 2

    workers(3, 61)  # of the last one nothing was heard for a minute
    assert share_of(batch) == 2


@pytest.mark.parametrize(("seen", "kicked"), [((1,), 0), ((1, 2), 1)])
def test_who_has_his_share_in_hand_kicks_the_others(batch: Batch, seen: tuple[int, ...], kicked: int) -> None:
    running(batch)
    workers(*seen)

    changes_work(batch)

    assert DBTaskResult.objects.ready().count() == kicked
    assert not batch.targets.left().exists()
