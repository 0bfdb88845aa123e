"""Times as people see them: in the zone that each person chose. What is stored, counted and sent on is UTC."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from django.utils import timezone

TIME_ZONES = frozenset(available_timezones())
AS_UTC = "utc"  # the value of the parameter `times` of a page that shows UTC


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


def local_time(at: datetime, zone: tzinfo) -> str:
    """Return a time as exports have it beside UTC, with the offset of the zone: 2026-03-29T03:00:00+02:00."""
    return at.astimezone(zone).isoformat(timespec="seconds")
