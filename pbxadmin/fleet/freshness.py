"""How old the last reading of a PBX is, in steps that lists are narrowed to and pages count."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q

from pbxadmin.web.words import Look

from .models import PbxQuerySet

FRESHNESS = {
    "15m": Look("Within 15 min", "ok", "check-circle"),
    "1h": Look("15 min to 1 h ago", "ok", "check-circle"),
    "6h": Look("1 to 6 h ago", "warn", "clock"),
    "1d": Look("6 h to 1 day ago", "warn", "clock"),
    "7d": Look("1 to 7 days ago", "bad", "exclamation-triangle"),
    "older": Look("Over 7 days ago", "bad", "exclamation-triangle"),
    "never": Look("Never", "calm", "ellipsis-horizontal-circle"),
}
# The youngest a reading of each step can be, from "older" down to the first one.
YOUNGEST = {
    "15m": timedelta(0),
    "1h": timedelta(minutes=15),
    "6h": timedelta(hours=1),
    "1d": timedelta(hours=6),
    "7d": timedelta(days=1),
    "older": timedelta(days=7),
}
STEPS = list(YOUNGEST)


@dataclass(frozen=True)
class FreshnessRow:
    """One step, with how many PBXs it has and which part of the longest row that is, in percent."""

    step: str
    look: Look
    count: int
    part: float


def read_within(step: str, now: datetime) -> Q:
    """Return the condition that the last reading of a PBX falls into this step."""
    if step == "never":
        return Q(read_at=None)
    older = STEPS[STEPS.index(step) + 1 :]
    not_older = Q(read_at__gt=now - YOUNGEST[older[0]]) if older else Q(read_at__isnull=False)
    return not_older if step == STEPS[0] else not_older & Q(read_at__lte=now - YOUNGEST[step])


@dataclass(frozen=True)
class FleetCounts:
    """How many PBXs there are by state, by step of age, and of each customer (its id and name) by state."""

    by_state: Counter[str]
    by_step: Counter[str]
    by_customer: dict[tuple[int, str], Counter[str]]

    @property
    def total(self) -> int:
        return self.by_state.total()


def freshness_of(pbxs: PbxQuerySet, now: datetime) -> Mapping[str, int]:
    """Count these PBXs by step, in one query."""
    found = pbxs.order_by().aggregate(**counts_of_steps(now))
    return {step: found[f"read_{place}"] for place, step in enumerate(FRESHNESS)}


def counts_of_steps(now: datetime) -> dict[str, Count]:
    return {f"read_{place}": Count("pk", filter=read_within(step, now)) for place, step in enumerate(FRESHNESS)}


def fleet_counts(pbxs: PbxQuerySet, now: datetime) -> FleetCounts:
    """Count these PBXs by state, step and customer, in one query."""
    by_customer = pbxs.order_by().values_list("customer_id", "customer__name", "state")
    rows = by_customer.annotate(count=Count("pk"), **counts_of_steps(now))
    found = FleetCounts(Counter(), Counter(dict.fromkeys(FRESHNESS, 0)), {})
    for customer_id, name, state, count, *steps in rows:
        found.by_state[state] += count
        found.by_step.update(dict(zip(FRESHNESS, steps, strict=True)))
        found.by_customer.setdefault((customer_id, name), Counter())[state] += count
    return found


def freshness_rows(counts: Mapping[str, int]) -> list[FreshnessRow]:
    most = max(counts.values(), default=0) or 1
    return [
        FreshnessRow(step, look, counts[step], round(100 * counts[step] / most, 1)) for step, look in FRESHNESS.items()
    ]
