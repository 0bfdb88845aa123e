"""Rules of a customer: which reason and ticket a change needs, and when the customer's people are at work.

Only this module decides that. The change service calls it for every kind of write; forms call it to show the
same errors earlier.
"""

from datetime import datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError

from .models import Customer
from .rules import TICKET, Rule, example, matches


def check_record(customer: Customer, reason: str, ticket: str) -> tuple[str, str]:
    """Return reason and ticket to store. Raises ValidationError by field if they break the customer's rules."""
    reason = " ".join(reason.split()) if customer.reason_rule != Rule.OFF else ""
    ticket = ticket.strip() if customer.ticket_rule != Rule.OFF else ""
    problems: dict[str, str] = {}
    if customer.reason_rule == Rule.REQUIRED and not reason:
        problems["reason"] = f"{customer.name} wants a reason for each change."
    if customer.ticket_rule == Rule.REQUIRED and not ticket:
        problems["ticket"] = f"{customer.name} wants a ticket for each change{like(customer)}."
    elif ticket and customer.ticket_pattern and not matches(customer.ticket_pattern, ticket):
        problems["ticket"] = f"This is no ticket of {customer.name}{like(customer)}."
    if problems:
        raise ValidationError(problems)
    return reason, ticket


def like(customer: Customer) -> str:
    return f", such as {example(customer.ticket_pattern)}" if customer.ticket_pattern else ""


def ticket_url(customer: Customer, ticket: str) -> str:
    """Return the web address of a ticket, or "" if the customer has set no address for tickets."""
    return customer.ticket_link.replace(TICKET, quote(ticket, safe="")) if ticket and customer.ticket_link else ""


def is_at_work(customer: Customer, at: datetime) -> bool:
    """Return whether a time is within the customer's working hours, in its time zone; True if it has set no hours."""
    start, end = customer.hours_from, customer.hours_to
    if start is None or end is None:
        return True
    local = at.astimezone(ZoneInfo(customer.time_zone))
    is_hour = start <= local.time() < end if start < end else local.time() >= start or local.time() < end
    return is_hour and str(local.isoweekday()) in customer.working_days
