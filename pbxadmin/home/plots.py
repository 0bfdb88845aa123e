"""Plots of Home as SVG without script or style.

A square for each PBX, grouped by customer; of a large fleet one for each customer; changes per day by outcome.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import ceil
from typing import Any

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.urls import reverse

from ivr.models import Change, ChangeQuerySet
from pbxadmin.fleet.models import NEEDS_A_PERSON, Pbx, PbxState
from pbxadmin.review.figures import SHOWN, Figures
from pbxadmin.review.plots import FEWEST_BARS, Plot, plot
from pbxadmin.review.selectors import EventFilter
from pbxadmin.web.words import PBX_STATES, number_of

CELLS_PER_LINE, CELL_STEP = 20, 18
MOST_DRAWN = 1000  # squares of Home; of more PBXs there is one square for each customer
# Of the PBXs of a customer, the first of these states that one of them has gives the square its colour.
WORST_FIRST = (
    PbxState.CREDENTIALS_REJECTED,
    PbxState.UNTRUSTED,
    PbxState.UNREACHABLE,
    PbxState.REFUSING,
    PbxState.LOCKED,
    PbxState.NEVER_CHECKED,
    PbxState.REACHABLE,
)
CHANGES_READ = 5000  # the newest, so that Home costs the same however many there were


@dataclass(frozen=True)
class Square:
    """The square of one PBX, or of one customer. marked: it has a mark as well as a colour, as not all is reachable."""

    pk: int
    address: str
    name: str
    said: str
    tone: str
    marked: bool
    x: int
    y: int

    @property
    def middle(self) -> tuple[int, int]:
        return self.x + 7, self.y + 7


@dataclass(frozen=True)
class SquareGroup:
    """Squares under one heading: the PBXs of a customer; or, without a customer, all customers."""

    squares: Sequence[Square]
    customer_id: int | None = None
    name: str = ""
    width = CELLS_PER_LINE * CELL_STEP

    @property
    def height(self) -> int:
        return ceil(len(self.squares) / CELLS_PER_LINE) * CELL_STEP


def fleet_map(pbxs: Iterable[Pbx]) -> list[SquareGroup]:
    """Return a square for each of these PBXs, grouped by customer, both in the order of their names."""
    ordered = sorted(pbxs, key=lambda pbx: (pbx.customer.name.casefold(), pbx.customer_id, pbx.name.casefold(), pbx.pk))
    groups = groupby(ordered, key=lambda pbx: (pbx.customer_id, pbx.customer.name))
    base = reverse("fleet:pbx-list")
    return [
        SquareGroup([pbx_square(place, pbx, base) for place, pbx in enumerate(group)], *key) for key, group in groups
    ]


def pbx_square(place: int, pbx: Pbx, base: str) -> Square:
    """Return the square of a PBX. base: the address below which PBXs have their pages: cheaper than to ask for each."""
    look, marked = PBX_STATES[pbx.state], pbx.state != PbxState.REACHABLE
    return Square(pbx.pk, f"{base}{pbx.pk}/", pbx.name, look.label, look.tone, marked, *corner(place))


def corner(place: int) -> tuple[int, int]:
    line, column = divmod(place, CELLS_PER_LINE)
    return column * CELL_STEP, line * CELL_STEP


def customer_map(by_customer: Mapping[tuple[int, str], Mapping[str, int]]) -> SquareGroup:
    """Return a square for each customer in the order of their names; of too many, those who need somebody first.

    by_customer: how many PBXs are in which state, by id and name of the customer.
    """

    def needs_nobody(key: tuple[int, str]) -> bool:
        return by_customer[key].keys().isdisjoint(NEEDS_A_PERSON)

    first = sorted(by_customer, key=lambda key: (needs_nobody(key), key[0]))[:MOST_DRAWN]
    ordered = sorted(first, key=lambda key: (key[1].casefold(), key[0]))
    return SquareGroup([customer_square(place, *key, by_customer[key]) for place, key in enumerate(ordered)])


def customer_square(place: int, pk: int, name: str, by_state: Mapping[str, int]) -> Square:
    worst = next(state for state in WORST_FIRST if by_state.get(state))
    marked = worst != PbxState.REACHABLE
    address = reverse("home:customer-home", args=[pk])
    return Square(pk, address, name, fleet_in_words(by_state), PBX_STATES[worst].tone, marked, *corner(place))


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
    rows = lately.order_by().annotate(day=TruncDate("planned_at", tzinfo=UTC)).values_list("day", "status")
    counts: Counter[Any] = Counter({(day, status): count for day, status, count in rows.annotate(count=Count("pk"))})
    counted = Figures(counts)
    return plot(counted, EventFilter(until=now.date()), None, what="Changes"), counted
