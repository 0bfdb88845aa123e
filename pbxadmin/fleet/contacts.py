"""Contacts with PBXs: a sample of each, counted per hour and PBX, and what one PBX did in the last 24 hours.

A sample is written with the state that it showed. When its hour is over, a job counts it and deletes it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil, log
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from pbxadmin.yeastar.client import Call
from pbxadmin.yeastar.errors import (
    PbxBadAnswer,
    PbxBusy,
    PbxError,
    PbxLocked,
    PbxLoginRefused,
    PbxOutcomeUnknown,
    PbxRefused,
    PbxUntrusted,
)

from .models import NEEDS_A_PERSON, ContactCounts, ContactFailure, ContactHour, ContactSample, Pbx, PbxHealth, PbxState

HOUR, COMPARED = timedelta(hours=1), timedelta(hours=24)
SAVED_WITHIN = timedelta(minutes=2)  # a sample may be saved later than another with a later time
PBXS_PER_STEP, STEPS_PER_RUN = 500, 2  # of one run of the job
GROWTH = 1.25  # from one step of time to the next, so that a percentile is wrong by an eighth at most
FAILURE_KINDS: tuple[tuple[type[PbxError], ContactFailure], ...] = (
    (PbxUntrusted, ContactFailure.UNTRUSTED),
    (PbxBadAnswer, ContactFailure.OTHER_ANSWER),
    (PbxOutcomeUnknown, ContactFailure.NO_ANSWER),
    (PbxLocked, ContactFailure.LOCKED),
    (PbxLoginRefused, ContactFailure.LOGIN_REFUSED),
    (PbxBusy, ContactFailure.BUSY),
    (PbxRefused, ContactFailure.REFUSED),
)


def failure_of(error: PbxError | None) -> ContactFailure:
    """Return what failed, as a kind. An error that is none of the others left nothing behind at the PBX."""
    return next((kind for classes, kind in FAILURE_KINDS if isinstance(error, classes)), ContactFailure.NO_CONNECTION)


def contact_sample(pbx: Pbx, call: Call, state: str, now: datetime) -> ContactSample:
    """Return the sample of a contact. call: told how the PBX is. state: after it; the PBX still has the one before."""
    failure = "" if state == PbxState.REACHABLE else failure_of(call.error)
    is_turn = (pbx.state in NEEDS_A_PERSON) != (state in NEEDS_A_PERSON)
    return ContactSample(pbx_id=pbx.pk, at=now, ms=round(call.seconds * 1000), failure=failure, is_turn=is_turn)


def contact_samples_save(samples: Sequence[ContactSample]) -> None:
    """Save the samples of a part of a sweep in one statement."""
    ContactSample.objects.bulk_create(samples)


def step_of(ms: int) -> int:
    """Return the step of time that an answer falls into: each is a quarter longer than the one before."""
    return round(log(max(ms, 1), GROWTH))


@dataclass
class Tally:
    """What several contacts came to. times: how many answers fell into each step of time."""

    answered: int = 0
    turns: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    times: Counter[int] = field(default_factory=Counter)

    def add_sample(self, sample: ContactSample) -> None:
        self.turns += sample.is_turn
        if sample.failure:
            self.failures[sample.failure] += 1
        else:
            self.answered += 1
            self.times[step_of(sample.ms)] += 1

    def add_counts(self, counts: "ContactCounts | Tally") -> None:
        self.add(counts.answered, counts.turns, counts.failures, counts.times)

    def add(self, answered: int, turns: int, failures: Mapping[str, int], times: Mapping[Any, int]) -> None:
        """Add counts as they are stored."""
        self.answered += answered
        self.turns += turns
        for kind, count in failures.items():
            self.failures[kind] += count
        for step, count in times.items():
            self.times[int(step)] += count

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def total(self) -> int:
        return self.answered + self.failed

    def percentile(self, percent: int) -> int | None:
        """Return the milliseconds within which so many percent of the answers came; None without any answer."""
        still = ceil(self.times.total() * percent / 100)
        for step, count in sorted(self.times.items()):
            still -= count
            if still <= 0:
                return round(float(f"{GROWTH**step:.2g}"))
        return None


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def contacts_roll_up(steps: int = STEPS_PER_RUN) -> int:
    """Count the samples of finished hours, of some PBXs at a time, and forget hours past their days.

    Return how many samples were counted.
    """
    over = hour_of(timezone.now() - SAVED_WITHIN)
    counted = 0
    for _ in range(steps):
        found = contacts_step(over)
        counted += found
        if not found:
            break
    ContactHour.objects.filter(hour__lt=over - timedelta(days=settings.HEALTH_DAYS)).delete()
    return counted


def contacts_step(over: datetime) -> int:
    """Count the samples from before this time of the next PBXs. Whoever deletes them has counted them."""
    first = ContactSample.objects.order_by("pk").first()
    if first is None or first.at >= over:
        return 0
    closed = ContactSample.objects.filter(at__lt=over)
    pbx_ids = list(closed.order_by("pbx_id").values_list("pbx_id", flat=True).distinct()[:PBXS_PER_STEP])
    with transaction.atomic():
        samples = list(closed.filter(pbx_id__in=pbx_ids))
        deleted, _ = ContactSample.objects.filter(pk__in=[sample.pk for sample in samples]).delete()
        if deleted != len(samples):  # another process counted some of them
            transaction.set_rollback(True)
            return 0
        known = set(Pbx.objects.filter(pk__in=pbx_ids).values_list("pk", flat=True))
        hours_add(sample for sample in samples if sample.pbx_id in known)
        healths_save(known, over)
    return len(samples)


def hours_add(samples: Iterable[ContactSample]) -> None:
    """Add samples to the counts of their hours."""
    tallies: dict[tuple[int, datetime], Tally] = {}
    for sample in samples:
        tallies.setdefault((sample.pbx_id, hour_of(sample.at)), Tally()).add_sample(sample)
    pbx_ids, hours = {pbx_id for pbx_id, _ in tallies}, {hour for _, hour in tallies}
    for row in ContactHour.objects.filter(pbx_id__in=pbx_ids, hour__in=hours):
        if tally := tallies.get((row.pbx_id, row.hour)):
            tally.add_counts(row)
    ContactHour.objects.bulk_create(
        [ContactHour(pbx_id=pbx_id, hour=hour, **columns(tally)) for (pbx_id, hour), tally in tallies.items()],
        update_conflicts=True,
        unique_fields=["pbx", "hour"],
        update_fields=["answered", "turns", "failures", "times"],
        batch_size=PBXS_PER_STEP,
    )


def columns(tally: Tally) -> dict[str, int | Mapping[str, int]]:
    times = {str(step): count for step, count in tally.times.items()}
    return {"answered": tally.answered, "turns": tally.turns, "failures": dict(tally.failures), "times": times}


def healths_save(pbx_ids: Iterable[int], until: datetime) -> None:
    """Save what these PBXs did in the 24 hours before a time."""
    tallies = {pbx_id: Tally() for pbx_id in pbx_ids}
    hours = ContactHour.objects.filter(pbx_id__in=tallies, hour__gte=until - COMPARED, hour__lt=until)
    for pbx_id, *counts in hours.values_list("pbx_id", "answered", "turns", "failures", "times"):
        tallies[pbx_id].add(*counts)
    PbxHealth.objects.bulk_create(
        [health(pbx_id, tally, until) for pbx_id, tally in tallies.items()],
        update_conflicts=True,
        unique_fields=["pbx"],
        update_fields=["until", "answered", "failed", "turns", "p50_ms", "p95_ms"],
        batch_size=PBXS_PER_STEP,
    )


def health(pbx_id: int, tally: Tally, until: datetime) -> PbxHealth:
    return PbxHealth(
        pbx_id=pbx_id,
        until=until,
        answered=tally.answered,
        failed=tally.failed,
        turns=tally.turns,
        p50_ms=tally.percentile(50),
        p95_ms=tally.percentile(95),
    )
