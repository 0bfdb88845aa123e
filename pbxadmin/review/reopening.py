"""Reopening of signed periods by events that come after the sign-off and belong to them."""

from collections.abc import Sequence
from datetime import date

from django.utils import timezone

from pbxadmin.access.models import Customer
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event

from .models import Period


def periods_reopen(customer: Customer, events: Sequence[Event]) -> None:
    """Reopen the signed periods that these events of a customer belong to, by their time or that of their change."""
    signed = Period.objects.signed().filter(customer=customer).select_related("customer")
    for period in signed.filter(signed_sequence__lt=events[-1].sequence):
        late = (event for event in events if event.sequence > (period.signed_sequence or 0))
        first = next((event for event in late if belongs(event, period)), None)
        if first is not None:
            period_reopen(period, first)


def belongs(event: Event, period: Period) -> bool:
    """Return whether an event belongs to a period; what auditors do at the desk is about one, not part of it."""
    if event.action in EventGroup.REVIEW.actions:
        return False
    return any(period.starts_on <= day <= period.ends_on for day in days_of(event))


def days_of(event: Event) -> set[date]:
    """Return the day of an event, and the day on which its change began."""
    days = {event.at.date()}
    if event.change_id is not None:
        began = Event.objects.filter(change_id=event.change_id).order_by("pk").first()
        days |= {began.at.date()} if began else set()
    return days


def period_reopen(period: Period, event: Event) -> None:
    why = f"Event {event.pk} ({event.label}) of {event.at:%Y-%m-%d} came after the sign-off and belongs to this period."
    columns = {"reopened_at": timezone.now(), "reopened_why": why[:300]}
    if Period.objects.signed().filter(pk=period.pk).update(**columns):
        detail = {"period": period.pk, "event": event.pk, "why": why}
        record(EventAction.PERIOD_REOPENED, customer=(period.customer_id, period.customer.name), detail=detail)
