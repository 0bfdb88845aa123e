"""The receipt of a change: plain text to be pasted into a ticket."""

from datetime import datetime

from .models import Change

WIDTH = 11
OUTCOMES = {
    "verified": "VERIFIED: read back, all as asked",
    "not-as-asked": "NOT AS ASKED: read back, differs",
    "refused": "REFUSED: read back, nothing changed",
    "not-sent": "NOT SENT: nothing left PBX Admin",
    "unknown": "UNKNOWN: sent, and it could not be read back",
    "conflict": "CONFLICT: changed since it was opened, nothing was sent",
    "sending": "BEING SENT: not known yet",
    "planned": "PLANNED: nothing was sent yet",
}


def moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""


def receipt(change: Change, link: str) -> str:
    """One fact a line. Line breaks inside a value become blanks: no name on a PBX may pose as our fact."""
    found = change.outcome in ("verified", "not-as-asked", "refused")
    lines = [
        f"{line}" + (f" (found {line.found})" if found and not line.is_as_asked else "") for line in change.lines()
    ]
    facts: list[tuple[str, str]] = [
        ("Customer", change.customer_name),
        ("PBX", change.pbx_name),
        ("IVR", f"{change.number} {change.name}"),
        *((("Change" if not position else ""), line) for position, line in enumerate(lines)),
        ("Outcome", OUTCOMES[change.outcome]),
        ("", change.sentence),
        ("Planned", f"{change.planned_by_name}, {moment(change.planned_at)}"),
        ("Applied", ", ".join(filter(None, (change.applied_by_name, moment(change.sent_at))))),
        ("Settled", moment(change.finished_at)),
        ("Ticket", change.ticket),
        ("Reason", change.reason),
        ("Record", f"event {change.event_id}" if change.event_id else ""),
        ("Link", link),
    ]
    return "".join(f"{label:<{WIDTH}}{' '.join(text.split())}\n" for label, text in facts if text.strip())
