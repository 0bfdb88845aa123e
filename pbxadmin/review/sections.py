"""The sections of actions by which the log is narrowed, each made of groups of audit/actions.py."""

from collections.abc import Collection
from typing import NamedTuple

from pbxadmin.audit.actions import EventAction, EventGroup


class Section(NamedTuple):
    label: str
    groups: tuple[EventGroup, ...]

    @property
    def actions(self) -> list[EventAction]:
        return [action for action in EventAction if action.group in self.groups]

    def has_any_of(self, actions: Collection[str]) -> bool:
        return any(action in actions for action in self.actions)


SECTIONS_OF_LOG: dict[str, Section] = {
    "access": Section(
        "Access",
        (EventGroup.SIGN_IN, EventGroup.DENIED, EventGroup.CUSTOMER, EventGroup.ROLE, EventGroup.PERSON),
    ),
    "changes": Section("Changes", (EventGroup.CHANGE_STEP, EventGroup.CHANGE_OUTCOME, EventGroup.BATCH)),
    "outside": Section(
        "Outside and policies",
        (EventGroup.OUTSIDE, EventGroup.OUTSIDE_DECISION, EventGroup.POLICY, EventGroup.POLICY_EXCEPTION),
    ),
    "reading": Section(
        "PBXs and reading",
        (EventGroup.PBX_RECORD, EventGroup.PBX_IDENTITY, EventGroup.CONTACT, EventGroup.RING, EventGroup.SECRETS),
    ),
    "exports": Section("Exports", (EventGroup.EXPORT, EventGroup.EXPORT_END, EventGroup.FILTER)),
    "desk": Section(
        "Desk and log", (EventGroup.REVIEW, EventGroup.NOTICE, EventGroup.BACKUP, EventGroup.LOG_INTEGRITY)
    ),
}
