"""The kinds of exceptions: which events an auditor has to look at, and why. Decided from an event alone."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.web.words import Look

Said = dict[str, Any]

WIDE_BATCH = 10  # customers
CREDENTIALS = frozenset({"username", "password"})
# For every group a decision: do its events come to the desk? A system check (checks.py) fails for one without.
DESK_GROUPS = frozenset(
    {
        EventGroup.BATCH,
        EventGroup.CHANGE_OUTCOME,
        EventGroup.EXPORT,
        EventGroup.LOG_INTEGRITY,
        EventGroup.OUTSIDE,
        EventGroup.PBX_IDENTITY,
        EventGroup.POLICY,
        EventGroup.POLICY_EXCEPTION,
        EventGroup.ROLE,
    }
)
OFF_DESK_GROUPS = frozenset(
    {
        EventGroup.BACKUP,
        EventGroup.CHANGE_STEP,
        EventGroup.CONTACT,
        EventGroup.CUSTOMER,
        EventGroup.DENIED,
        EventGroup.EXPORT_END,
        EventGroup.FILTER,
        EventGroup.NOTICE,
        EventGroup.OUTSIDE_DECISION,
        EventGroup.PBX_RECORD,
        EventGroup.PERSON,
        EventGroup.REVIEW,
        EventGroup.RING,
        EventGroup.SECRETS,
        EventGroup.SIGN_IN,
    }
)
# Single actions of those groups that come to the desk all the same.
DESK_ACTIONS = frozenset(
    {
        EventAction.BACKUP_RESTORED,
        EventAction.CHANGE_SENDING,
        EventAction.PBX_EDITED,
        EventAction.SECOND_FACTOR_RESET,
    }
)


class Facts(NamedTuple):
    """An event and the facts beside it that decide its kinds.

    was_refused_before: the same IVR refused a change within the day before. is_out_of_hours: by the customer's own
    time zone. needs_reason: the customer's rule.
    """

    said: Said
    was_refused_before: bool = False
    is_out_of_hours: bool = False
    needs_reason: bool = False

    @property
    def action(self) -> str:
        return str(self.said["action"])

    @property
    def outcome(self) -> str:
        return str(self.said["outcome"]) if self.action in EventGroup.CHANGE_OUTCOME.actions else ""

    @property
    def is_sending(self) -> bool:
        return self.action == EventAction.CHANGE_SENDING

    def turned_on(self, name: str) -> bool:
        """Return whether this switch was off, or not known to be on, and is on now as far as anybody can tell."""
        if self.action not in EventGroup.CHANGE_OUTCOME.actions | EventGroup.OUTSIDE.actions:
            return False
        field = self.said["fields"].get(name, {})
        now = field.get("found") if field.get("found") is not None else field.get("asked")
        return bool(now == "on" and field.get("before") != "on")


class ExceptionKind(NamedTuple):
    look: Look
    holds: Callable[[Facts], bool]


# In the order in which they matter to an auditor.
KINDS: dict[str, ExceptionKind] = {
    "log": ExceptionKind(
        Look("Log not as recorded", "bad", "shield-exclamation"),
        lambda facts: facts.action in EventGroup.LOG_INTEGRITY.actions or "is_altered" in facts.said,
    ),
    "restored": ExceptionKind(
        Look("Restored from a backup", "bad", "arrow-uturn-left"),
        lambda facts: facts.action == EventAction.BACKUP_RESTORED,
    ),
    "not-as-asked": ExceptionKind(
        Look("Not as asked", "bad", "exclamation-circle"), lambda facts: facts.outcome == "not-as-asked"
    ),
    "unknown": ExceptionKind(
        Look("Unknown outcome", "unknown", "question-mark-circle"), lambda facts: facts.outcome == "unknown"
    ),
    "refused-twice": ExceptionKind(
        Look("Refused twice", "warn", "no-symbol"),
        lambda facts: facts.outcome == "refused" and facts.was_refused_before,
    ),
    "outside": ExceptionKind(
        Look("Changed outside", "outside", "arrow-top-right-on-square"),
        lambda facts: facts.action in EventGroup.OUTSIDE.actions,
    ),
    "batch-halted": ExceptionKind(
        Look("Batch halted", "bad", "hand-raised"), lambda facts: facts.action == EventAction.BATCH_HALTED
    ),
    "batch-wide": ExceptionKind(
        Look("Batch over many customers", "warn", "rectangle-stack"),
        lambda facts: (
            facts.action == EventAction.BATCH_STARTED and facts.said["detail"].get("customers", 0) > WIDE_BATCH
        ),
    ),
    "dial-out": ExceptionKind(
        Look("Dial-out turned on", "warn", "phone-arrow-up-right"), lambda facts: facts.turned_on("dial_outbound")
    ),
    "dial-extension": ExceptionKind(
        Look("Extensions opened", "warn", "phone-arrow-up-right"), lambda facts: facts.turned_on("dial_extension")
    ),
    "no-reason": ExceptionKind(
        Look("No reason given", "warn", "chat-bubble-left-ellipsis"),
        lambda facts: facts.is_sending and facts.needs_reason and not facts.said["reason"],
    ),
    "out-of-hours": ExceptionKind(
        Look("Out of hours", "calm", "moon"), lambda facts: facts.is_sending and facts.is_out_of_hours
    ),
    "certificate": ExceptionKind(
        Look("Certificate or device accepted", "warn", "finger-print"),
        lambda facts: facts.action in EventGroup.PBX_IDENTITY.actions,
    ),
    "credentials": ExceptionKind(
        Look("Credentials edited", "warn", "key"),
        lambda facts: (
            facts.action == EventAction.SECOND_FACTOR_RESET
            or (facts.action == EventAction.PBX_EDITED and bool(CREDENTIALS & facts.said["fields"].keys()))
        ),
    ),
    "policy-exception": ExceptionKind(
        Look("Policy exception", "warn", "scale"),
        lambda facts: facts.action in EventGroup.POLICY_EXCEPTION.actions,
    ),
    "policy": ExceptionKind(
        Look("Policy changed", "calm", "scale"), lambda facts: facts.action in EventGroup.POLICY.actions
    ),
    "role": ExceptionKind(Look("Role changed", "calm", "users"), lambda facts: facts.action in EventGroup.ROLE.actions),
    "export": ExceptionKind(
        Look("Exported", "calm", "arrow-down-tray"), lambda facts: facts.action in EventGroup.EXPORT.actions
    ),
}


# Events of every other action are no exceptions, and their text need not be read.
LOOKED_AT = DESK_ACTIONS.union(*(group.actions for group in DESK_GROUPS))


def kinds_of(facts: Facts) -> Iterator[str]:
    """Yield the kinds of exception that an event is; none for one that an auditor need not look at."""
    return (name for name, kind in KINDS.items() if kind.holds(facts))
