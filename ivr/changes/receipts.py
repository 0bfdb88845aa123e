"""The receipt of a change: plain text to be pasted into a ticket."""

from ivr.models import Change
from pbxadmin.access.customer_rules import ticket_url
from pbxadmin.access.models import Customer
from pbxadmin.audit.models import Event
from pbxadmin.web.facts import Fact, facts_text, moment

RECEIPT_OUTCOMES = {
    "verified": "VERIFIED: read back, all as asked",
    "not-as-asked": "NOT AS ASKED: read back, differs",
    "refused": "REFUSED: read back, nothing changed",
    "not-sent": "NOT SENT: nothing left PBX Admin",
    "unknown": "UNKNOWN: sent, and it could not be read back",
    "conflict": "CONFLICT: changed since it was opened, nothing was sent",
    "sending": "BEING SENT: not known yet",
    "planned": "PLANNED: nothing was sent yet",
}


def receipt(change: Change, link: str) -> str:
    """Write the receipt for colleagues: everything that is recorded of a change.

    link: the permanent address of the change.
    """
    return facts_text(
        [
            ("Customer", change.customer_name),
            ("PBX", change.pbx_name),
            ("IVR", f"{change.number} {change.name}"),
            *changed(change),
            ("Outcome", RECEIPT_OUTCOMES[change.outcome]),
            ("", change.account),
            ("Planned", f"{moment(change.planned_at)}, {change.planned_by_name}"),
            *applied(change),
            ("Settled", moment(change.finished_at)),
            ("Ticket", change.ticket),
            ("", ticket_link(change)),
            ("Reason", change.reason),
            *risks_confirmed(change),
            ("Record", place_in_log(change)),
            ("Link", link),
        ]
    )


def receipt_for_customer(change: Change) -> str:
    """Write the receipt to hand on: no names of our people, no addresses, and no free text, which may hold either."""
    return facts_text(
        [
            ("Customer", change.customer_name),
            ("PBX", change.pbx_name),
            ("IVR", f"{change.number} {change.name}"),
            *changed(change),
            ("Outcome", RECEIPT_OUTCOMES[change.outcome]),
            ("Planned", moment(change.planned_at)),
            ("Applied", moment(change.sent_at)),
            ("Settled", moment(change.finished_at)),
            ("Ticket", change.ticket),
            ("Record", place_in_log(change)),
        ]
    )


def applied(change: Change) -> list[Fact]:
    """Return who sent the change and when; who tried to, of a change that never left us."""
    if change.sent_at is None:
        return [("Tried by", change.applied_by_name)]
    return [("Applied", f"{moment(change.sent_at)}, {change.applied_by_name}")]


def changed(change: Change) -> list[Fact]:
    """Return a fact for each field: before, asked, and found where that differs."""
    found = change.outcome in ("verified", "not-as-asked", "refused")
    lines = [
        f"{line}" + (f" (found {line.found})" if found and not line.is_as_asked else "") for line in change.lines()
    ]
    return [("" if position else "Change", line) for position, line in enumerate(lines)]


def risks_confirmed(change: Change) -> list[Fact]:
    """Return a fact for each risk that was confirmed, such as what leads to an old number."""
    return [("" if position else "Confirmed", risk) for position, risk in enumerate(change.confirmed)]


def ticket_link(change: Change) -> str:
    """Return where the ticket is shown, by the customer's rules as they are now, or ""."""
    customer = Customer.objects.filter(pk=change.customer_id).first()
    return ticket_url(customer, change.ticket) if customer else ""


def place_in_log(change: Change) -> str:
    """Return the event of the outcome and its number in its chain: what a third party checks it by."""
    if change.event_id is None:  # nothing to ask for, and the log may be away
        return ""
    event = Event.objects.filter(pk=change.event_id).values_list("chain", "sequence").first()
    return f"event {change.event_id}" + (f", number {event[1]} in chain {event[0]}" if event else "")
