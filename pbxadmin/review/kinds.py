"""Which events an auditor has to look at, and why: the kinds of exceptions, decided from an event alone."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pbxadmin.web.words import Look

Said = dict[str, Any]

OUTCOME_ACTIONS = frozenset({"change.outcome", "change.settled"})
OUTSIDE_ACTIONS = frozenset({"ivr.changed-outside", "ivr.appeared", "ivr.vanished"})
CERTIFICATE_ACTIONS = frozenset({"pbx.pinned", "pbx.replaced"})
CREDENTIALS = frozenset({"username", "password"})
ROLE_ACTIONS = frozenset(
    {"membership.granted", "membership.edited", "membership.ended", "person.admin-given", "person.admin-taken"}
)
EXPORT_ACTIONS = frozenset({"log.exported", "evidence.made", "pbxs.exported", "ivrs.exported"})
LOG_ACTIONS = frozenset({"log.regressed", "log.accepted"})


class Facts(NamedTuple):
    """What an event says, and what has to be asked beside it.

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
        return str(self.said["outcome"]) if self.action in OUTCOME_ACTIONS else ""

    @property
    def is_sending(self) -> bool:
        return self.action == "change.sending"

    def turned_on(self, name: str) -> bool:
        """Whether this switch was off, or not known to be on, and now is on as far as anybody can tell."""
        if self.action not in OUTCOME_ACTIONS | OUTSIDE_ACTIONS:
            return False
        field = self.said["fields"].get(name, {})
        now = field.get("found") if field.get("found") is not None else field.get("asked")
        return bool(now == "on" and field.get("before") != "on")


class Kind(NamedTuple):
    look: Look
    holds: Callable[[Facts], bool]


# In the order in which they matter to an auditor.
KINDS: dict[str, Kind] = {
    "log": Kind(
        Look("Log not as sealed", "bad", "shield-exclamation"),
        lambda facts: facts.action in LOG_ACTIONS or "is_altered" in facts.said,
    ),
    "not-as-asked": Kind(
        Look("Not as asked", "bad", "exclamation-circle"), lambda facts: facts.outcome == "not-as-asked"
    ),
    "unknown": Kind(
        Look("Unknown outcome", "unknown", "question-mark-circle"), lambda facts: facts.outcome == "unknown"
    ),
    "refused-twice": Kind(
        Look("Refused twice", "warn", "no-symbol"),
        lambda facts: facts.outcome == "refused" and facts.was_refused_before,
    ),
    "outside": Kind(
        Look("Changed outside", "outside", "arrow-top-right-on-square"), lambda facts: facts.action in OUTSIDE_ACTIONS
    ),
    "dial-out": Kind(
        Look("Dial-out turned on", "warn", "phone-arrow-up-right"), lambda facts: facts.turned_on("dial_outbound")
    ),
    "dial-extension": Kind(
        Look("Extensions opened", "warn", "phone-arrow-up-right"), lambda facts: facts.turned_on("dial_extension")
    ),
    "no-reason": Kind(
        Look("No reason given", "warn", "chat-bubble-left-ellipsis"),
        lambda facts: facts.is_sending and facts.needs_reason and not facts.said["reason"],
    ),
    "out-of-hours": Kind(
        Look("Out of hours", "calm", "moon"), lambda facts: facts.is_sending and facts.is_out_of_hours
    ),
    "certificate": Kind(
        Look("Certificate or device accepted", "warn", "finger-print"),
        lambda facts: facts.action in CERTIFICATE_ACTIONS,
    ),
    "credentials": Kind(
        Look("Credentials edited", "warn", "key"),
        lambda facts: (
            facts.action == "second-factor.reset"
            or (facts.action == "pbx.edited" and bool(CREDENTIALS & facts.said["fields"].keys()))
        ),
    ),
    "role": Kind(Look("Role changed", "calm", "users"), lambda facts: facts.action in ROLE_ACTIONS),
    "export": Kind(Look("Exported", "calm", "arrow-down-tray"), lambda facts: facts.action in EXPORT_ACTIONS),
}


# Every other action is none, and its text need not be read.
LOOKED_AT = (
    OUTCOME_ACTIONS
    | OUTSIDE_ACTIONS
    | CERTIFICATE_ACTIONS
    | ROLE_ACTIONS
    | EXPORT_ACTIONS
    | LOG_ACTIONS
    | {"change.sending", "pbx.edited", "second-factor.reset"}
)


def kinds_of(facts: Facts) -> Iterator[str]:
    """The kinds of exception that an event is; none for one that an auditor need not look at."""
    return (name for name, kind in KINDS.items() if kind.holds(facts))
