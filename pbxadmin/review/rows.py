"""Lines of the log page, made here and not in the template, which would take most of the time of the page."""

from collections.abc import Sequence
from typing import NamedTuple

from django.urls import reverse
from django.utils.html import format_html, format_html_join

from pbxadmin.audit.check import is_as_recorded
from pbxadmin.audit.models import Event
from pbxadmin.web.templatetags.pbxadmin import clock, event_outcome, icon, took, visible

from .folds import Folded, Sent
from .wording import gist

SHOWN_LENGTH = 24  # of a value in a line; the event itself shows the whole


class Line(NamedTuple):
    """The cells of a line as markup; names in them are escaped and isolated."""

    pk: int
    at: str
    label: str
    sent: str
    where: str
    values: str
    who: str
    customer: str
    ticket: str
    outcome: str


def lines_of(found: Sequence[Folded]) -> list[Line]:
    return [line_of(*one) for one in found]


def line_of(event: Event, sent: Sent | None) -> Line:
    said = event.data
    return Line(
        pk=event.pk,
        at=clock(event.at),
        label="Change" if sent else event.label,
        sent=sent_before(event, sent) if sent else "",
        where=where(said["pbx_name"], said["ivr_number"], said["ivr_name"]),
        values=values(event),
        who=visible(said["actor_name"]),
        customer=shown_name(said["customer_name"]),
        ticket=shown_name(shortened(said["ticket"])),
        outcome=outcome_of(event),
    )


def sent_before(event: Event, sent: Sent) -> str:
    """Return the link to the event that a change is being sent, which says how long it took from there."""
    address = reverse("review:event-page", args=[sent.pk])
    words = f"in {lasted(max((event.at - sent.at).total_seconds(), 0))}"
    return format_html(
        '<a class="muted over" data-sent-by="{}" href="{}" title="Sent {}">{}</a>',
        sent.pk,
        address,
        f"{sent.at:%Y-%m-%d %H:%M:%S} UTC",
        words,
    )


def lasted(seconds: float) -> str:
    return took(seconds) if seconds < 100 else f"{seconds / 60:.0f} min"


def outcome_of(event: Event) -> str:
    if not is_as_recorded(event):
        return format_html('<span class="pill" data-tone="bad">{}Altered</span>', icon("shield-exclamation"))
    return event_outcome(event.outcome) if event.outcome not in ("", "sending") else ""


def where(pbx: str, number: str, name: str) -> str:
    if not number:
        return shown_name(pbx)
    return format_html('{} <span class="muted">{} {}</span>', shown_name(pbx), visible(number), visible(name))


def values(event: Event) -> str:
    """Return in one line what changed from which value to which, or why it did not."""
    said, more = gist(event)
    parts = [part(*one) for one in said]
    if more:
        parts.append(format_html("{} more", more))
    return format_html_join(", ", "{}", ((one,) for one in parts))


def part(label: str, before: str, asked: str) -> str:
    if not label:
        return visible(asked)
    if not before:
        return format_html("{} {}", label, visible(shortened(asked)))
    return format_html("{} {} → {}", label, visible(shortened(before)), visible(shortened(asked)))


def shown_name(name: str) -> str:
    return visible(name) if name else ""


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 1]}…"
