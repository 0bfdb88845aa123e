"""What the samples of contacts cost a sweep, and what counting them costs an hour of a large fleet."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from statistics import median
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from ivr.refresh import refresh_start, refresh_work
from pbxadmin.audit.context import SYSTEM
from pbxadmin.fleet import pbx_sessions
from pbxadmin.fleet.contacts import contact_samples_save, contacts_roll_up
from pbxadmin.fleet.models import ContactHour, ContactSample, Pbx
from tests.factories import make_customer, make_pbx

from .figures import goal, heading
from .fleet import distant_fleet
from .refresh_run import LATENCY_S, PBXS, record_of

ROUNDS = 6
LARGE, AN_HOUR = 10_000, 4  # PBXs, and samples of each


def main() -> None:
    heading(
        f"Samples of {PBXS} PBXs, {LATENCY_S * 1000:.0f} ms each call, {settings.REFRESH_THREADS} threads, tokens held"
    )
    save = Timed(contact_samples_save)
    with distant_fleet(PBXS, LATENCY_S) as fleet:
        customer = make_customer()
        for pbx in fleet.pbxs:
            make_pbx(customer, **record_of(pbx))
        sweep()  # it leaves the tokens
        taken: dict[str, list[tuple[float, float]]] = {"none": [], "samples": []}
        for turn in range(2 * ROUNDS):
            name = ("none", "samples")[(turn + turn // 2) % 2]
            setattr(pbx_sessions, "contact_samples_save", save if name == "samples" else none)  # noqa: B010
            taken[name].append(sweep())
    without, with_samples = taken["none"], taken["samples"]
    shares = [spent / took for spent, (took, _) in zip(save.spent(with_samples), with_samples, strict=True)]
    print(f"{'':<12}{'s (median)':>12}{'CPU s (median)':>16}")
    for name, times in taken.items():
        print(f"{name:<12}{median(t for t, _ in times):>12.3f}{median(c for _, c in times):>16.3f}")
    print(f"CPU x without (min): {min(c for _, c in with_samples) / min(c for _, c in without):.3f}")
    print(f"statements for samples: {save.calls / ROUNDS:.0f} a sweep")
    goal("part of a sweep that writes samples, in percent (median)", 100 * median(shares), 5.0)
    count_hour()


def sweep() -> tuple[float, float]:
    """Read all once. Return the seconds that it took, and those of CPU."""
    run = refresh_start(pbxs=Pbx.objects.all(), actor=SYSTEM)
    began, cpu = time.perf_counter(), time.process_time()
    refresh_work.call(run.pk)
    return time.perf_counter() - began, time.process_time() - cpu


def none(samples: Sequence[ContactSample]) -> None:
    """Save nothing, as before there were samples."""


class Timed:
    """A function that keeps what it took, sweep by sweep."""

    def __init__(self, work: Callable[[Sequence[ContactSample]], None]) -> None:
        self.work = work
        self.times: list[tuple[int, float]] = []

    @property
    def calls(self) -> int:
        return len(self.times)

    def __call__(self, samples: Sequence[ContactSample]) -> None:
        began = time.perf_counter()
        self.work(samples)
        self.times.append((len(samples), time.perf_counter() - began))

    def spent(self, sweeps: Sequence[Any]) -> list[float]:
        """Return the seconds of each sweep, each of which saved a sample of each PBX."""
        found, saved = [0.0] * len(sweeps), 0
        for count, seconds in self.times:
            found[min(saved // PBXS, len(sweeps) - 1)] += seconds
            saved += count
        return found


def count_hour() -> None:
    heading(f"Counting an hour of {LARGE:,} PBXs, {AN_HOUR} samples each, beside a day of hours")
    customer = make_customer("Large")
    Pbx.objects.all().delete()
    ContactSample.objects.all().delete()
    pbxs = Pbx.objects.bulk_create(Pbx(customer=customer, name=f"L-{n}", host="pbx.invalid") for n in range(LARGE))
    over = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    ContactHour.objects.bulk_create(
        (
            ContactHour(pbx=pbx, hour=over - timedelta(hours=back), answered=4, times={"20": 3, "22": 1})
            for pbx in pbxs
            for back in range(1, 24)
        ),
        batch_size=2000,
    )
    ContactSample.objects.bulk_create(
        (ContactSample(pbx=pbx, at=over + timedelta(minutes=15 * n), ms=90) for n in range(AN_HOUR) for pbx in pbxs),
        batch_size=2000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    ticks = []
    while True:
        began = time.perf_counter()
        if not contacts_roll_up():
            break
        ticks.append(time.perf_counter() - began)
    print(f"{len(ticks)} ticks, {sum(ticks):.2f} s together, the longest {max(ticks):.2f} s")
    began = time.perf_counter()
    contacts_roll_up()
    print(f"a tick with nothing to count: {(time.perf_counter() - began) * 1000:.1f} ms")
