"""300 IVRs of 100 PBXs in one batch, against what one PBX takes alone: a preview, and the changes with their pauses.

Real `manage.py work` processes carry them out: one, and on PostgreSQL two as well.
"""

import time
from collections import Counter

from django.db import connection

from ivr.models import Ivr
from ivr.refresh import refresh_start, refresh_work
from pbxadmin.access.models import User
from pbxadmin.audit.context import SYSTEM, Actor, AuditContext, acting, current
from pbxadmin.batches.asked import batch_begin, batch_go_on
from pbxadmin.batches.models import AT_WORK, Batch, BatchState
from pbxadmin.batches.selectors import chosen_of
from pbxadmin.batches.services import Pace, batch_plan
from pbxadmin.batches.work import batches_kick
from pbxadmin.fleet.models import Pbx, PbxQuerySet
from tests.factories import make_customer, make_pbx
from tests.waiting import until

from .figures import goal, heading
from .fleet import DistantFleet, distant_fleet
from .refresh_run import record_of
from .sweep import work

PBXS, EACH, LATENCY_S, AT_ONCE = 100, 3, 0.2, 64
LONGEST_S = 300


def main() -> None:
    with distant_fleet(PBXS, LATENCY_S) as fleet:
        customer = make_customer()
        for pbx in fleet.pbxs:
            make_pbx(customer, **record_of(pbx))
        one_reading(Pbx.objects.all())  # signs in, and lists the IVRs
        admin = User.objects.create_superuser("bench-batch", password="only-for-the-bench")
        with acting(AuditContext(actor=Actor(admin.pk, admin.username))):
            took = [measured(fleet, processes) for processes in ((1, 2) if connection.vendor == "postgresql" else (1,))]
    if took[1:]:
        print(f"changes by two processes, x by one: {took[1] / took[0]:.2f}")


def measured(fleet: DistantFleet, processes: int) -> float:
    """Print what so many processes take, against their limits. Return the seconds of the changes."""
    heading(f"{PBXS * EACH} IVRs on {PBXS} PBXs, {LATENCY_S:g} s each call, {AT_ONCE} at once, processes: {processes}")
    reading = timed_reading()
    with work(processes):
        alone = run(Pbx.objects.all()[:1], value="1")  # no IVR holds it
        fleet.counted()
        preview, changes = run(Pbx.objects.all(), value=str(1 + processes))
    most = max(pbx["max_in_flight"] for pbx in fleet.counted())
    print(f"{'':<26}{'preview s':>10}{'changes s':>11}")
    print(f"{'one PBX alone':<26}{alone[0]:>10.2f}{alone[1]:>11.2f}")
    print(f"{f'{PBXS} PBXs':<26}{preview:>10.2f}{changes:>11.2f}")
    goal(f"preview, x one reading of each PBX ({reading:.2f} s)", preview / reading, 2.0)
    goal("changes, x those of one PBX alone", changes / alone[1], 2.0)
    goal("requests at one time to one PBX", most, 1)
    return changes


def one_reading(pbxs: PbxQuerySet) -> None:
    refresh_work.call(refresh_start(pbxs=pbxs, actor=SYSTEM).pk)


def timed_reading() -> float:
    """Return the seconds of one reading of each PBX, with tokens held and the same threads."""
    began = time.perf_counter()
    one_reading(Pbx.objects.all())
    return time.perf_counter() - began


def run(pbxs: PbxQuerySet, value: str) -> tuple[float, float]:
    """Return the seconds of a preview and of the changes of EACH IVRs of each of these PBXs."""
    numbers = sorted(set(Ivr.objects.values_list("number", flat=True)))[:EACH]
    rows = (
        Ivr.objects.filter(pbx__in=pbxs, number__in=numbers).select_related("pbx__customer").order_by("pbx", "number")
    )
    wanted = {"response_timeout": value}
    pace = Pace(1, AT_ONCE, 1)
    batch = batch_plan(chosen=chosen_of(rows, wanted), wanted=wanted, pace=pace, actor=current().actor)
    batches_kick()
    preview = worked(batch)
    batch_begin(batch, confirmed=True, typed="")
    changes = worked(batch)
    if batch.state == BatchState.PAUSED:
        batch_go_on(batch, reason="")
        changes += worked(batch)
    outcomes = Counter(batch.targets.order_by().values_list("outcome", flat=True))
    print(f"batch of {batch.size}: {batch.state} {batch.why}", dict(outcomes))
    return preview, changes


def worked(batch: Batch) -> float:
    """Wait until the stage of a batch is done. Return the seconds."""
    began = time.perf_counter()
    until(lambda: not Batch.objects.filter(pk=batch.pk, state__in=AT_WORK).exists(), LONGEST_S)
    batch.refresh_from_db()
    return time.perf_counter() - began
