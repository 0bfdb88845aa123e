"""Times as people see them: in the zone that each person chose. What is stored, counted and sent on is UTC."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import wraps
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

TIME_ZONES = frozenset(available_timezones()) - {"Factory", "localtime"}  # names of no place
AS_UTC = "utc"  # the value of the parameter `times` of a page that shows UTC
FIRST_DAY, LAST_DAY = date(2, 1, 1), date(9998, 12, 31)  # beyond these, a time in another zone has no year


def utc_today() -> date:
    """Return the day by which roles, exceptions and periods end. It is the same for everybody."""
    return timezone.now().date()


def zone_named(name: str) -> ZoneInfo:
    """Return the zone of this name; UTC for none, and for one that is no longer known."""
    return ZoneInfo(name if name in TIME_ZONES else "UTC")


@contextmanager
def times_as(asked: str) -> Iterator[None]:
    """Show times as the parameter `times` of a page asks: "utc", or anything else for the person's own zone."""
    with timezone.override(UTC if asked == AS_UTC else timezone.get_current_timezone()):
        yield


def times_as_asked(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate the view of a list, whose address says whether times and days are UTC or of the person's own zone."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with times_as(request.GET.get("times", "")):
            return view(request, *args, **kwargs)

    return shown


def day_start(day: date) -> datetime:
    """Return when a day begins, in the zone in which times are shown."""
    return datetime.combine(min(max(day, FIRST_DAY), LAST_DAY), time.min, timezone.get_current_timezone())


def day_end(day: date) -> datetime:
    """Return when a day is over, in the zone in which times are shown: the day after begins then."""
    return day_start(min(day, LAST_DAY - timedelta(days=1)) + timedelta(days=1))


def local_time(at: datetime, zone: tzinfo) -> str:
    """Return a time as exports have it beside UTC, with the offset of the zone: 2026-03-29T03:00:00+02:00."""
    return at.astimezone(zone).isoformat(timespec="seconds")
