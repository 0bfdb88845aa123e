"""300 IVRs of 100 PBXs in one batch, against what one PBX takes alone: a preview, and the changes with their pauses."""

import time
from collections import Counter
from datetime import timedelta

from django.utils import timezone

from ivr.models import Ivr
from ivr.refresh import refresh_start, refresh_work
from pbxadmin.access.models import User
from pbxadmin.audit.context import SYSTEM, Actor
from pbxadmin.batches.models import Batch, BatchState
from pbxadmin.batches.selectors import chosen_of
from pbxadmin.batches.services import Pace, batch_continue, batch_plan, batch_start
from pbxadmin.batches.work import work_slice
from pbxadmin.fleet.models import Pbx, PbxQuerySet
from tests.factories import make_customer, make_pbx

from .figures import goal, heading
from .fleet import distant_fleet
from .refresh_run import record_of

PBXS, EACH, LATENCY_S, AT_ONCE = 100, 3, 0.2, 64
LONGEST_S = 300


def main() -> None:
    heading(f"{PBXS * EACH} IVRs on {PBXS} PBXs, {LATENCY_S * 1000:.0f} ms each call, {AT_ONCE} at once")
    with distant_fleet(PBXS, LATENCY_S) as fleet:
        customer = make_customer()
        for pbx in fleet.pbxs:
            make_pbx(customer, **record_of(pbx))
        admin = User.objects.create_superuser("bench-batch", password="only-for-the-bench")
        one_reading(Pbx.objects.all())  # signs in, and lists the IVRs
        reading = timed_reading()
        alone = run(admin, Pbx.objects.all()[:1], value="8")
        fleet.counted()
        preview, changes = run(admin, Pbx.objects.all(), value="9")
        most = max(pbx["max_in_flight"] for pbx in fleet.counted())
    print(f"{'':<26}{'preview s':>10}{'changes s':>11}")
    print(f"{'one PBX alone':<26}{alone[0]:>10.2f}{alone[1]:>11.2f}")
    print(f"{f'{PBXS} PBXs':<26}{preview:>10.2f}{changes:>11.2f}")
    goal(f"preview, x one reading of each PBX ({reading:.2f} s)", preview / reading, 2.0)
    goal("changes, x those of one PBX alone", changes / alone[1], 2.0)
    goal("requests at one time to one PBX", most, 1)


def one_reading(pbxs: PbxQuerySet) -> None:
    refresh_work.call(refresh_start(pbxs=pbxs, actor=SYSTEM).pk)


def timed_reading() -> float:
    """Return the seconds of one reading of each PBX, with tokens held and the same threads."""
    began = time.perf_counter()
    one_reading(Pbx.objects.all())
    return time.perf_counter() - began


def run(admin: User, pbxs: PbxQuerySet, value: str) -> tuple[float, float]:
    """Return the seconds of a preview and of the changes of EACH IVRs of each of these PBXs."""
    actor = Actor(admin.pk, admin.username)
    numbers = sorted(set(Ivr.objects.values_list("number", flat=True)))[:EACH]
    rows = (
        Ivr.objects.filter(pbx__in=pbxs, number__in=numbers).select_related("pbx__customer").order_by("pbx", "number")
    )
    wanted = {"response_timeout": value}
    batch = batch_plan(chosen=chosen_of(rows, wanted), wanted=wanted, pace=Pace(1, AT_ONCE, 1), actor=actor)
    preview = worked(batch)
    batch.refresh_from_db()
    batch_start(batch=batch, actor=actor, confirmed=True)
    changes = worked(batch)
    batch.refresh_from_db()
    if batch.state == BatchState.PAUSED:
        batch_continue(batch=batch)
        changes += worked(batch)
    batch.refresh_from_db()
    outcomes = Counter(batch.targets.order_by().values_list("outcome", flat=True))
    print(f"batch of {batch.size}: {batch.state} {batch.why}", dict(outcomes))
    return preview, changes


def worked(batch: Batch) -> float:
    began = time.perf_counter()
    until = timezone.now() + timedelta(seconds=LONGEST_S)
    while work_slice(batch.pk) and timezone.now() < until:
        pass
    return time.perf_counter() - began
