"""An event that comes after a sign-off and belongs to what was signed reopens it."""

from collections.abc import Sequence
from datetime import date

from django.utils import timezone

from pbxadmin.access.models import Customer
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event

from .models import Period


def periods_reopen(customer: Customer, events: Sequence[Event]) -> None:
    """Reopen the signed periods that these events of a customer belong to: by their time, or by their change's."""
    signed = Period.objects.signed().filter(customer=customer).select_related("customer")
    for period in signed.filter(signed_sequence__lt=events[-1].sequence):
        late = (event for event in events if event.sequence > (period.signed_sequence or 0))
        first = next((event for event in late if belongs(event, period)), None)
        if first is not None:
            period_reopen(period, first)


def belongs(event: Event, period: Period) -> bool:
    if event.action in EventGroup.REVIEW.actions:
        return False
    return any(period.starts_on <= day <= period.ends_on for day in days_of(event))


def days_of(event: Event) -> set[date]:
    """The day of an event, and the day on which the change began that it is about."""
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
