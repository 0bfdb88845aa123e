"""When whom to tell: pure decisions from a person's roles, their choices and the clock."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pbxadmin.access.roles import SITE_ADMIN, Role

from .models import NoticePace, NoticeSeverity

# Of a person who chose nothing. The first of these that a role of theirs has counts.
PACES = (NoticePace.AT_ONCE, NoticePace.HOURLY, NoticePace.DAILY, NoticePace.NEVER)
USUAL_PACE: Mapping[str, NoticePace] = {
    Role.MANAGER: NoticePace.AT_ONCE,
    Role.HELPDESK: NoticePace.HOURLY,
    Role.AUDITOR: NoticePace.DAILY,
    Role.VIEWER: NoticePace.NEVER,
    SITE_ADMIN: NoticePace.DAILY,
}


def usual_pace(roles: Iterable[str]) -> NoticePace:
    """Return when somebody with these roles is told, unless they choose otherwise."""
    return min((USUAL_PACE[role] for role in roles), key=PACES.index, default=NoticePace.NEVER)


def pace_of(chosen: Mapping[int | None, str], customer_id: int | None, roles: Iterable[str], severity: int) -> str:
    """Return when a person is told of something of a customer.

    chosen: their choices by customer, None for all others. What is critical does not wait for the mail of an hour or a
    day that nobody asked for.
    """
    own = chosen.get(customer_id) or chosen.get(None)
    if own:
        return own
    usual = usual_pace(roles)
    is_urgent = severity >= NoticeSeverity.CRITICAL and usual != NoticePace.NEVER
    return NoticePace.AT_ONCE if is_urgent else usual


def next_mail(pace: str, now: datetime, hour: int, zone: ZoneInfo) -> datetime:
    """Return when the next mail of this pace goes: now, at the next full hour, or at that hour of the person's day."""
    if pace == NoticePace.AT_ONCE:
        return now
    if pace == NoticePace.HOURLY:
        return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    local = now.astimezone(zone)
    at = local.replace(hour=hour, minute=0, second=0, microsecond=0)
    if at.astimezone(UTC) <= now:
        at = (local + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)
    return at.astimezone(UTC)
