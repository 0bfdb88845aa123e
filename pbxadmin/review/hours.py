"""Changes by weekday and hour: when people work on phone systems, and how much of it outside working hours."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from zoneinfo import ZoneInfo

from django.utils import timezone

from pbxadmin.access.customer_rules import is_at_work
from pbxadmin.access.models import AnyUser, Customer
from pbxadmin.access.permissions import customers_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventGroup
from pbxadmin.web.words import number_of

from .figures import MOST_LIVE
from .selectors import EventFilter, events_for

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CELL, LEFT, TOP = 24, 36, 16  # units of the picture: a square, and the room for weekdays and hours
SMALLEST, LARGEST = 4.0, 20.0  # sides of the smallest and the largest mark: a single change is seen


@dataclass(frozen=True)
class HourCell:
    """An hour of a weekday. side: of its mark, whose area grows with the count; 0 for no change."""

    weekday: int
    hour: int
    count: int
    side: float
    is_at_work: bool

    @property
    def corner(self) -> tuple[int, int]:
        return LEFT + self.hour * CELL, TOP + self.weekday * CELL

    @property
    def mark(self) -> tuple[float, float]:
        x, y = self.corner
        return round(x + (CELL - self.side) / 2, 1), round(y + (CELL - self.side) / 2, 1)

    @property
    def said(self) -> str:
        work = "" if self.is_at_work else ", outside working hours"
        span = f"{self.hour:02}:00 to {self.hour + 1:02}:00"
        return f"{WEEKDAYS[self.weekday]} {span}: {number_of(self.count, 'change')}{work}"


@dataclass(frozen=True)
class HoursPlot:
    """The picture. outside: of the changes, those outside the customer's working hours; None without a customer's."""

    cells: list[HourCell]
    total: int
    at_least: bool
    zone: str
    outside: int | None
    width, height = LEFT + 24 * CELL, TOP + 7 * CELL

    @property
    def words(self) -> str:
        return f"Changes by weekday and hour, {self.zone}: {number_of(self.total, 'change')}"

    @property
    def peak(self) -> HourCell:
        return max(self.cells, key=lambda cell: cell.count)

    @property
    def by_hour(self) -> list[tuple[str, list[int]]]:
        """Return for each hour its counts from Monday to Sunday."""
        counts = {(cell.hour, cell.weekday): cell.count for cell in self.cells}
        return [(f"{hour:02}:00", [counts[hour, day] for day in range(7)]) for hour in range(24)]

    @property
    def rows(self) -> list[tuple[str, int]]:
        return [(name[:3], TOP + CELL * place + CELL * 2 // 3) for place, name in enumerate(WEEKDAYS)]

    @property
    def columns(self) -> list[tuple[str, int]]:
        return [(f"{hour:02}", LEFT + CELL * hour) for hour in range(0, 24, 3)]


def hours_plot(user: AnyUser, wanted: EventFilter) -> HoursPlot | None:
    """Return the picture of the newest changes of a filter, in the zone of its customer, else of the person."""
    customer = customers_of(user, Action.REVIEW_LOG).filter(pk=wanted.customer or 0).first()
    outcomes = EventGroup.CHANGE_OUTCOME.actions
    ended = wanted.narrow(events_for(user)).filter(action__in=outcomes).order_by("-pk").values_list("at", flat=True)
    times = [at for at in ended[: MOST_LIVE + 1] if at]
    if not times:
        return None
    zone = ZoneInfo(customer.time_zone) if customer else timezone.get_current_timezone()
    local = [at.astimezone(zone) for at in times[:MOST_LIVE]]
    counts = Counter((at.weekday(), at.hour) for at in local)
    has_hours = customer is not None and customer.hours_from is not None
    outside = sum(not is_at_work(customer, at) for at in local) if customer and has_hours else None
    cells = hour_cells(counts, customer)
    return HoursPlot(cells, len(local), len(times) > MOST_LIVE, str(zone), outside)


def hour_cells(counts: Counter[tuple[int, int]], customer: Customer | None) -> list[HourCell]:
    """Return the 168 hours of a week, Monday first."""
    peak = max(counts.values())
    cells = []
    for weekday in range(7):
        for hour in range(24):
            count = counts[weekday, hour]
            side = max(SMALLEST, LARGEST * sqrt(count / peak)) if count else 0.0
            cells.append(HourCell(weekday, hour, count, round(side, 1), is_work_hour(customer, weekday, hour)))
    return cells


def is_work_hour(customer: Customer | None, weekday: int, hour: int) -> bool:
    """Return whether an hour of the week begins within the customer's working hours; True without any."""
    if customer is None:
        return True
    monday = datetime(2026, 6, 1, tzinfo=ZoneInfo(customer.time_zone))  # a week without a change of clocks
    return is_at_work(customer, monday.replace(day=1 + weekday, hour=hour))
