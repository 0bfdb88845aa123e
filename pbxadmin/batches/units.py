"""Units, one PBX of one batch each: who has it in hand, and when it is due."""

from datetime import datetime, timedelta
from math import ceil

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from ivr.claims import claim_many, still_claimed
from pbxadmin.fleet.models import WorkerProcess

from .models import AT_WORK, Batch, BatchState, BatchUnit

UNIT_S = 60  # a claim is renewed before each target
SETTLING_S = 5
IN_USE_S = 1


def units_claim(batch: Batch, at_most: int) -> frozenset[int]:
    """Claim units that are due, as many as the batch may have in hand in all processes together.

    A batch that was stopped or halted meanwhile has open units and no work.
    """
    now = timezone.now()
    with transaction.atomic():
        if Batch.objects.select_for_update().get(pk=batch.pk).state not in AT_WORK:
            return frozenset()
        free = min(at_most, places_left(batch, now))
        if free <= 0:
            return frozenset()
        ids = list(units_to_claim(batch, now).order_by("pk").values_list("pk", flat=True)[:free])
        return claim_many(BatchUnit.objects.filter(pk__in=ids), UNIT_S)


def places_left(batch: Batch, now: datetime) -> int:
    """Return how many more PBXs a batch may have in hand."""
    return batch.pbxs_at_once - batch.units.filter(claimed_until__gt=now).count()


def units_to_claim(batch: Batch, now: datetime) -> "QuerySet[BatchUnit]":
    """Return the units of a batch that have something to do now, and that nobody has in hand."""
    due = BatchUnit.objects.filter(batch=batch, is_open=True).filter(Q(not_before=None) | Q(not_before__lte=now))
    return due.exclude(claimed_until__gt=now)


def is_for_others(batch: Batch) -> bool:
    """Tell whether somebody else would find a unit to claim. Whoever has all places in hand goes on by himself."""
    now = timezone.now()
    return places_left(batch, now) > 0 and units_to_claim(batch, now).exists()


def share_of(batch: Batch) -> int:
    """Return how many PBXs of a batch one process has in hand, so that each that works gets as many."""
    return ceil(batch.pbxs_at_once / max(1, WorkerProcess.objects.alive().count()))


def unit_renew(unit: BatchUnit) -> bool:
    """Claim the unit for another minute. False when its batch does not run, or somebody else has claimed it since."""
    until = timezone.now() + timedelta(seconds=UNIT_S)
    running = BatchUnit.objects.filter(batch__state=BatchState.RUNNING)
    if not still_claimed(running, unit).update(claimed_until=until):
        return False
    unit.claimed_until = until
    return True


def unit_postpone(unit: BatchUnit, until: datetime, **columns: int) -> None:
    """Leave a PBX alone until then, which makes its place free for another one."""
    BatchUnit.objects.filter(pk=unit.pk).update(not_before=until, **columns)
