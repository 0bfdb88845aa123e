"""Availability of one PBX over 14 days: figures, and bars for an SVG without script or style."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.utils import timezone

from pbxadmin.web.words import number_of

from .contacts import Tally
from .models import ContactFailure, ContactHour, ContactSample, Pbx

STRIP_DAYS = 14
DAY_STEP, DAY_WIDTH = 24, 20
STRIP_HEIGHT, LEAST_PART = 48.0, 5.0  # units; a single failure among many answers is seen


@dataclass(frozen=True)
class TallyFigures:
    """The figures of a tally as pages show them."""

    tally: Tally

    @property
    def share(self) -> str:
        """Return the answered share in percent, "–" for no contact. Only when all were answered is it 100 %."""
        return f"{self.tally.answered * 1000 // self.tally.total / 10:g} %" if self.tally.total else "–"

    @property
    def failures(self) -> str:
        return ", ".join(f"{count} {label.lower()}" for label, count in self.failure_counts)

    @property
    def failure_counts(self) -> list[tuple[str, int]]:
        """Names and counts of what failed, the most frequent first."""
        return [(ContactFailure(kind).label, count) for kind, count in self.tally.failures.most_common()]

    @property
    def p50_ms(self) -> int | None:
        return self.tally.percentile(50)

    @property
    def p95_ms(self) -> int | None:
        return self.tally.percentile(95)


@dataclass(frozen=True)
class AvailabilityDay(TallyFigures):
    """One day of the strip. answered, failed: the heights of its two parts; failures stand on top."""

    day: date
    x: int
    answered: float
    failed: float

    @property
    def said(self) -> str:
        if not self.tally.total:
            return f"{self.day}: no contact"
        failures = f"; {self.failures}" if self.tally.failed else ""
        return f"{self.day}: {self.share} of {number_of(self.tally.total, 'contact')} answered{failures}"


@dataclass(frozen=True)
class Availability(TallyFigures):
    """What a PBX did in the days of the strip, and together."""

    days: list[AvailabilityDay]
    height = STRIP_HEIGHT
    day_width = DAY_WIDTH

    @property
    def width(self) -> int:
        return len(self.days) * DAY_STEP

    @property
    def words(self) -> str:
        return f"Contacts per day, {self.days[0].day} to {self.days[-1].day}: {self.share} answered"


def availability_of(pbx: Pbx) -> Availability:
    """Return what a PBX did in the last 14 days, today included, in two queries."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=STRIP_DAYS - 1)
    tallies = {(first + timedelta(days=place)).date(): Tally() for place in range(STRIP_DAYS)}
    for row in ContactHour.objects.filter(pbx=pbx, hour__gte=first, hour__lt=today + timedelta(days=1)):
        tallies[row.hour.date()].add_counts(row)
    for sample in ContactSample.objects.filter(pbx=pbx, at__gte=first, at__lt=today + timedelta(days=1)):
        tallies[sample.at.date()].add_sample(sample)
    whole = Tally()
    for tally in tallies.values():
        whole.add_counts(tally)
    return Availability(whole, [strip_day(place, *each) for place, each in enumerate(tallies.items())])


def strip_day(place: int, day: date, tally: Tally) -> AvailabilityDay:
    failed = STRIP_HEIGHT * tally.failed / tally.total if tally.total else 0.0
    failed = round(max(LEAST_PART, failed), 1) if tally.failed else 0.0
    answered = round(STRIP_HEIGHT - failed, 1) if tally.answered else 0.0
    return AvailabilityDay(tally, day, place * DAY_STEP, answered, failed)
