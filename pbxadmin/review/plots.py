"""The plot of events per day by outcome: bars for an SVG without script or style."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, timedelta
from math import ceil

from django.utils import timezone

from .figures import GROUPS, Figures
from .selectors import EventFilter

FEWEST_BARS, MOST_BARS = 30, 92  # a single day is a bar as well, not a wall
BAR_STEP, GAP = 12.0, 2.0
TALL, LEAST = 72.0, 3.5  # units; even a single event of a rare outcome is seen
BETWEEN = 1.0


@dataclass(frozen=True)
class Bar:
    """A bar of one day, or of several when the period is long. parts: y, height and tone, from the bottom up."""

    x: float
    first: date
    last: date
    count: int
    said: str
    query: str
    parts: list[tuple[float, float, str]]

    @property
    def days(self) -> str:
        return days_in_words(self.first, self.last)


@dataclass(frozen=True)
class Plot:
    bars: list[Bar]
    first: date
    last: date
    days_each: int
    peak: int
    height: float
    words: str

    @property
    def width(self) -> float:
        return max((self.last - self.first).days // self.days_each + 1, FEWEST_BARS) * BAR_STEP

    @property
    def bar_width(self) -> float:
        return BAR_STEP - GAP

    @property
    def grid(self) -> list[float]:
        return [round(self.height * part, 1) for part in (1 / 3, 2 / 3, 1)]


def plot(figures: Figures, wanted: EventFilter, kept_since: date | None, *, what: str = "Events") -> Plot | None:
    """Return the plot of the period, or of the counted days when the filter has none; None when nothing was counted.

    what: the things that were counted, in words.
    """
    if figures.days is None:
        return None
    first, last = drawn_days(figures, wanted, kept_since)
    days_each = ceil(((last - first).days + 1) / MOST_BARS)
    stacks: dict[int, Counter[str]] = {}
    for (day, group), count in figures.counts.items():
        stacks.setdefault((day - first).days // days_each, Counter())[group] += count
    peak = max(stack.total() for stack in stacks.values())
    top = max(stack_height(stack, peak) for stack in stacks.values())
    bars = []
    for place, stack in sorted(stacks.items()):
        begins = first + timedelta(days=place * days_each)
        ends = begins + min(timedelta(days=days_each - 1), last - begins)
        query = replace(wanted, since=begins, until=ends).query
        bars.append(
            Bar(
                place * BAR_STEP, begins, ends, stack.total(), counts_in_words(stack), query, parts_of(stack, peak, top)
            )
        )
    per = "day" if days_each == 1 else f"{days_each} days"
    words = f"{what} per {per} by outcome, {days_in_words(first, last)}: {counts_in_words(figures.by_group)}"
    return Plot(bars, first, last, days_each, peak, round(top, 1), words)


def drawn_days(figures: Figures, wanted: EventFilter, kept_since: date | None) -> tuple[date, date]:
    """Return the first and last day to draw: the period, within the log; the counted days if counting stopped early."""
    first, last = figures.days or (date.max, date.min)
    if wanted.until:
        last = max(last, min(wanted.until, timezone.now().date()))
    if wanted.first_day and not figures.at_least:
        first = min(first, max(wanted.first_day, kept_since or first))
    if wanted.first_day is None:
        first = min(first, date.fromordinal(max(last.toordinal() - FEWEST_BARS + 1, 1)))
    return first, last


def parts_of(stack: Counter[str], peak: int, top: float) -> list[tuple[float, float, str]]:
    parts, y = [], top
    for group, look in GROUPS.items():
        if stack[group]:
            height = part_height(stack[group], peak)
            parts.append((round(y - height, 1), round(height, 1), look.tone))
            y -= height + BETWEEN
    return parts


def counts_in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[group]} {look.label.lower()}" for group, look in GROUPS.items() if counts[group])


def part_height(count: int, peak: int) -> float:
    return max(LEAST, count / peak * TALL)


def stack_height(stack: Counter[str], peak: int) -> float:
    heights = [part_height(count, peak) for count in stack.values() if count]
    return sum(heights) + BETWEEN * (len(heights) - 1)


def days_in_words(first: date, last: date) -> str:
    return f"{first}" if first == last else f"{first} to {last}"
