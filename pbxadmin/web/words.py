"""Wording of states and outcomes (label, tone, icon), and of counts."""

from typing import NamedTuple


class Look(NamedTuple):
    label: str
    tone: str
    icon: str


PBX_STATES = {
    "reachable": Look("Reachable", "ok", "check-circle"),
    "unreachable": Look("Unreachable", "calm", "signal-slash"),
    "refusing": Look("Refusing", "warn", "hand-raised"),
    "credentials-rejected": Look("Credentials rejected", "bad", "key"),
    "locked": Look("Locked", "warn", "lock-closed"),
    "untrusted": Look("Untrusted", "bad", "shield-exclamation"),
    "never-checked": Look("Never checked", "calm", "ellipsis-horizontal-circle"),
}
OUTCOMES = {
    "planned": Look("Planned", "accent", "clock"),
    "sending": Look("Sending", "accent", "paper-airplane"),
    "verified": Look("Verified", "ok", "check-circle"),
    "not-as-asked": Look("Not as asked", "bad", "exclamation-circle"),
    "refused": Look("Refused", "warn", "no-symbol"),
    "not-sent": Look("Not sent", "calm", "minus-circle"),
    "unknown": Look("Unknown", "unknown", "question-mark-circle"),
    "conflict": Look("Changed meanwhile", "warn", "arrows-right-left"),
}


def number_of(count: int, thing: str) -> str:
    """Return a count with its noun: "1 event", "2 events"."""
    return f"{count} {thing}{'' if count == 1 else 's'}"
