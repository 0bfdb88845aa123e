"""The spread of a field: which values the IVRs in view hold, and how many hold each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db.models import Count

from ivr.models import IvrQuerySet
from ivr.selectors import SPREAD_FIELDS, IvrFilter
from pbxadmin.yeastar.fields import BY_NAME, IvrField

VALUES_SHOWN = 20  # the most frequent values; the rest are counted together
FULL_BAR, SLIMMEST_BAR = 100, 0.5  # units of a bar


@dataclass(frozen=True)
class SpreadBar:
    """How many IVRs hold one value. query: of the list of these, "" for what was not reported."""

    words: str
    count: int
    share: float
    query: str

    @property
    def width(self) -> float:
        return max(SLIMMEST_BAR, round(self.share * FULL_BAR, 1))


@dataclass(frozen=True)
class Spread:
    """The spread of a field over the IVRs of a filter, the most frequent value first."""

    field: IvrField
    bars: Sequence[SpreadBar]
    total: int
    others: int

    @property
    def words(self) -> str:
        said = ", ".join(f"{bar.words} on {bar.count}" for bar in self.bars)
        return f"{self.field.label} of {self.total} IVRs: {said or 'none'}"


def spread_of(found: IvrQuerySet, wanted: IvrFilter, name: str) -> Spread:
    """Count the values of a field, in one query. wanted: the filter that `found` is of."""
    counted = found.order_by().values_list(name).annotate(count=Count("pk"))
    counts: Counter[str | None] = Counter(dict(counted))
    field, total = BY_NAME[name], counts.total()
    bars = [
        SpreadBar(
            field.in_words(value),
            count,
            count / total,
            replace(wanted, value=f"{name}:{value}").query if value else "",
        )
        for value, count in counts.most_common(VALUES_SHOWN)
    ]
    return Spread(field, bars, total, total - sum(bar.count for bar in bars))


def field_chosen(name: str) -> str:
    """Return the field to show: the given one, else the first."""
    return name if name in SPREAD_FIELDS else next(iter(SPREAD_FIELDS))
