"""Plots of Home as SVG without script or style: a square for each PBX, by customer, and changes per day by outcome."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil
from typing import Any

from django.db.models import Count
from django.db.models.functions import TruncDate

from ivr.models import Change, ChangeQuerySet
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.review.figures import SHOWN, Figures
from pbxadmin.review.plots import FEWEST_BARS, Plot, plot
from pbxadmin.review.selectors import EventFilter
from pbxadmin.web.words import PBX_STATES, Look, number_of

CELLS_PER_LINE, CELL_STEP = 20, 18
MOST_DRAWN = 1000  # squares of Home; a larger fleet shows what needs attention first
CHANGES_READ = 5000  # the newest, so that Home costs the same however many there were


@dataclass(frozen=True)
class Square:
    """The square of one PBX. marked: it has a mark as well as a colour, because its state is not reachable."""

    pk: int
    name: str
    look: Look
    marked: bool
    x: int
    y: int

    @property
    def middle(self) -> tuple[int, int]:
        return self.x + 7, self.y + 7


@dataclass(frozen=True)
class CustomerSquares:
    customer_id: int
    name: str
    squares: Sequence[Square]
    width = CELLS_PER_LINE * CELL_STEP

    @property
    def height(self) -> int:
        return ceil(len(self.squares) / CELLS_PER_LINE) * CELL_STEP


def fleet_map(pbxs: Iterable[Pbx]) -> list[CustomerSquares]:
    """Return a square for each of these PBXs, grouped by customer, both in the order of their names."""
    ordered = sorted(pbxs, key=lambda pbx: (pbx.customer.name.casefold(), pbx.customer_id, pbx.name.casefold(), pbx.pk))
    groups = groupby(ordered, key=lambda pbx: (pbx.customer_id, pbx.customer.name))
    return [CustomerSquares(*key, [square(place, pbx) for place, pbx in enumerate(group)]) for key, group in groups]


def square(place: int, pbx: Pbx) -> Square:
    line, column = divmod(place, CELLS_PER_LINE)
    marked = pbx.state != PbxState.REACHABLE
    return Square(pbx.pk, pbx.name, PBX_STATES[pbx.state], marked, column * CELL_STEP, line * CELL_STEP)


def fleet_in_words(by_state: Mapping[str, int]) -> str:
    said = ", ".join(
        f"{by_state[state]} {PBX_STATES[state].label.lower()}" for state in PbxState.values if by_state.get(state)
    )
    return f"{number_of(sum(by_state.values()), 'PBX')}: {said}"


def changes_plot(changes: ChangeQuerySet, now: datetime) -> tuple[Plot | None, Figures]:
    """Return the plot of 30 days of these changes by outcome, and its figures, in one query. Only the newest count."""
    newest = changes.order_by("-pk").values("pk")[:CHANGES_READ]
    lately = Change.objects.filter(
        pk__in=newest, planned_at__gte=now - timedelta(days=FEWEST_BARS - 1), status__in=SHOWN
    )
    rows = lately.order_by().annotate(day=TruncDate("planned_at")).values_list("day", "status")
    counts: Counter[Any] = Counter({(day, status): count for day, status, count in rows.annotate(count=Count("pk"))})
    counted = Figures(counts)
    return plot(counted, EventFilter(until=now.date()), None, what="Changes"), counted
