"""What a customer asks of every change: a reason, a ticket of a certain form; and when its people are at work.

The one place that answers. The change service asks it for every way to write; forms ask it to show the same sooner.
"""

import re
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.db.models import TextChoices

if TYPE_CHECKING:
    from .models import Customer

TICKET = "{ticket}"
MOST_DIGITS = 20
MOST_RUNS = 4  # of digits in a pattern: what is matched stays matched in no time
PATTERN = re.compile(r"[0-9A-Za-z#_./ :-]{1,40}")
TIME_ZONES = frozenset(available_timezones())


class Rule(TextChoices):
    OFF = "off", "Not asked for"
    OPTIONAL = "optional", "Optional"
    REQUIRED = "required", "Required"


def check_record(customer: "Customer", reason: str, ticket: str) -> tuple[str, str]:
    """Reason and ticket as they are to be kept. Raises ValidationError by field when they break its rules."""
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


def like(customer: "Customer") -> str:
    return f", such as {example(customer.ticket_pattern)}" if customer.ticket_pattern else ""


def example(pattern: str) -> str:
    """A ticket of this form: INC-# gives INC-4711, INC-###### gives INC-471108."""
    return re.sub("#+", lambda run: "471108" * 7 if len(run[0]) > 6 else "471108"[: max(len(run[0]), 4)], pattern)


def matches(pattern: str, ticket: str) -> bool:
    """`#` stands for digits, one or more; several in a row for at least as many. All else stands for itself."""
    parts = (
        f"[0-9]{{{len(part)},{MOST_DIGITS}}}" if part.startswith("#") else re.escape(part)
        for part in re.findall("#+|[^#]+", pattern)
    )
    return re.fullmatch("".join(parts), ticket, re.IGNORECASE) is not None


def check_pattern(pattern: str) -> None:
    """Raises ValidationError for a pattern that we would not run against what people type."""
    if not pattern:
        return
    runs = re.findall("#+", pattern)
    if not PATTERN.fullmatch(pattern) or any(len(run) > MOST_DIGITS for run in runs):
        raise ValidationError("Letters, digits and - _ . / : stand for themselves, # for digits: INC-# takes INC-4711.")
    if not 1 <= len(runs) <= MOST_RUNS:
        raise ValidationError(f"Use # for the digits, in 1 to {MOST_RUNS} places: INC-# takes INC-4711.")


def check_link(link: str) -> None:
    """Raises ValidationError for a template that is not a web address with a place for the ticket behind the host."""
    if not link:
        return
    try:
        parts = urlsplit(link)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    is_web = (
        bool(host) and link.isascii() and link.isprintable() and " " not in link and parts.scheme in ("https", "http")
    )
    if not is_web or "{" in parts.netloc or "@" in parts.netloc or link.count(TICKET) != 1:
        raise ValidationError(
            f"Enter an address with {TICKET} in it once, such as https://tickets.example.com/{TICKET}"
        )


def ticket_url(customer: "Customer", ticket: str) -> str:
    """Where a ticket of this customer is shown, "" when the customer has no such place."""
    return customer.ticket_link.replace(TICKET, quote(ticket, safe="")) if ticket and customer.ticket_link else ""


def is_at_work(customer: "Customer", at: datetime) -> bool:
    """Whether this is within the customer's hours, in its own time zone; always, when it has none."""
    start, end = customer.hours_from, customer.hours_to
    if start is None or end is None:
        return True
    local = at.astimezone(ZoneInfo(customer.time_zone))
    is_hour = start <= local.time() < end if start < end else local.time() >= start or local.time() < end
    return is_hour and str(local.isoweekday()) in customer.working_days
