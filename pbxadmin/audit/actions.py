"""Every action that the log can record, with its words and its group: the one table. `log.record` takes no other.

How to add one, and what else it needs, is the recipe "Add an event" of CONTRIBUTING.md. System checks here
(checks.py) and in review (the desk) name what was forgotten.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum, unique
from functools import cached_property
from typing import Self


class EventGroup(Enum):
    """What an action is about. Code that treats several actions alike asks for their group.

    review.kinds decides for each group whether its events come to the auditor's desk.
    """

    SIGN_IN = "signing in and out, passwords, second factors"
    DENIED = "attempts that were not allowed"
    CUSTOMER = "customers"
    ROLE = "who may do what"
    PERSON = "people and their invitations"
    PBX_RECORD = "PBX records"
    PBX_IDENTITY = "certificates and devices that a person accepted"
    CONTACT = "what a PBX, or another device at its address, answered"
    SECRETS = "encryption of stored secrets"
    FILTER = "saved filters"
    EXPORT = "data that left PBX Admin"
    EXPORT_END = "how an export ended"
    OUTSIDE = "changes made on a PBX, not by PBX Admin"
    RING = "phones that were made to ring, to hear an IVR"
    OUTSIDE_DECISION = "what a person decided about an outside change"
    CHANGE_STEP = "steps of a change that are not its outcome"
    CHANGE_OUTCOME = "outcomes of changes"
    REVIEW = "the work of auditors, which belongs to no period that they sign"
    BATCH = "batches of changes"
    POLICY = "policies: what values should be"
    POLICY_EXCEPTION = "values that are accepted although they break a policy"
    NOTICE = "who is told of what is wrong"
    BACKUP = "backups of the database, and a database that comes from one"
    LOG_INTEGRITY = "a log that is not as it was recorded"

    @cached_property
    def actions(self) -> frozenset["EventAction"]:
        return frozenset(action for action in EventAction if action.group is self)


@unique
class EventAction(StrEnum):
    """A row is: the stored value, the words for it on screen, the group. Stored values never change."""

    label: str
    group: EventGroup

    def __new__(cls, value: str, label: str, group: EventGroup) -> Self:
        action = str.__new__(cls, value)
        action._value_ = value
        action.label = label
        action.group = group
        return action

    SESSION_SIGNED_IN = "session.signed-in", "Signed in", EventGroup.SIGN_IN
    SESSION_FAILED = "session.failed", "Sign-in failed", EventGroup.SIGN_IN
    SESSION_LINKED = "session.linked", "Single sign-on linked", EventGroup.SIGN_IN
    SESSION_SIGNED_OUT = "session.signed-out", "Signed out", EventGroup.SIGN_IN
    SESSION_CONFIRMED = "session.confirmed", "Confirmed who they are", EventGroup.SIGN_IN
    SESSION_ENDED = "session.ended", "Sessions ended", EventGroup.SIGN_IN
    SECOND_FACTOR_ADDED = "second-factor.added", "Second factor added", EventGroup.SIGN_IN
    SECOND_FACTOR_REMOVED = "second-factor.removed", "Second factor removed", EventGroup.SIGN_IN
    SECOND_FACTOR_CODES = "second-factor.codes", "Recovery codes made", EventGroup.SIGN_IN
    SECOND_FACTOR_FAILED = "second-factor.failed", "Second factor failed", EventGroup.SIGN_IN
    SECOND_FACTOR_RESET = "second-factor.reset", "Second factors reset", EventGroup.SIGN_IN
    PASSWORD_CHANGED = "password.changed", "Password changed", EventGroup.SIGN_IN
    PASSWORD_RESET_ASKED = "password.reset-asked", "Password reset asked for", EventGroup.SIGN_IN
    PASSWORD_RESET = "password.reset", "Password reset by e-mail", EventGroup.SIGN_IN
    ACCESS_DENIED = "access.denied", "Not allowed", EventGroup.DENIED
    CUSTOMER_ADDED = "customer.added", "Customer added", EventGroup.CUSTOMER
    CUSTOMER_EDITED = "customer.edited", "Customer edited", EventGroup.CUSTOMER
    CUSTOMER_ARCHIVED = "customer.archived", "Customer archived", EventGroup.CUSTOMER
    CUSTOMER_UNARCHIVED = "customer.unarchived", "Customer brought back", EventGroup.CUSTOMER
    MEMBERSHIP_GRANTED = "membership.granted", "Role given", EventGroup.ROLE
    MEMBERSHIP_EDITED = "membership.edited", "Last day of a role changed", EventGroup.ROLE
    MEMBERSHIP_ENDED = "membership.ended", "Role ended", EventGroup.ROLE
    INVITATION_SENT = "invitation.sent", "Invitation sent", EventGroup.PERSON
    INVITATION_WITHDRAWN = "invitation.withdrawn", "Invitation withdrawn", EventGroup.PERSON
    INVITATION_ACCEPTED = "invitation.accepted", "Invitation accepted", EventGroup.PERSON
    PERSON_ADDED = "person.added", "Person added", EventGroup.PERSON
    PERSON_EDITED = "person.edited", "Person edited", EventGroup.PERSON
    PERSON_DISABLED = "person.disabled", "Person disabled", EventGroup.PERSON
    PERSON_ENABLED = "person.enabled", "Person enabled", EventGroup.PERSON
    PERSON_ADMIN_GIVEN = "person.admin-given", "Made a site admin", EventGroup.ROLE
    PERSON_ADMIN_TAKEN = "person.admin-taken", "No longer a site admin", EventGroup.ROLE
    SERVICE_ACCOUNT_ADDED = "service-account.added", "Service account added", EventGroup.PERSON
    API_KEY_MADE = "api-key.made", "API key made", EventGroup.ROLE
    API_KEY_REVOKED = "api-key.revoked", "API key revoked", EventGroup.ROLE
    API_KEY_REFUSED = "api-key.refused", "API key refused", EventGroup.DENIED
    PBX_ADDED = "pbx.added", "PBX added", EventGroup.PBX_RECORD
    PBX_EDITED = "pbx.edited", "PBX edited", EventGroup.PBX_RECORD
    PBX_DISABLED = "pbx.disabled", "PBX disabled", EventGroup.PBX_RECORD
    PBX_ENABLED = "pbx.enabled", "PBX enabled", EventGroup.PBX_RECORD
    PBX_DELETED = "pbx.deleted", "PBX deleted", EventGroup.PBX_RECORD
    PBX_TESTED = "pbx.tested", "Connection test", EventGroup.CONTACT
    PBX_PINNED = "pbx.pinned", "Certificate pinned", EventGroup.PBX_IDENTITY
    PBX_STATE_CHANGED = "pbx.state-changed", "PBX state changed", EventGroup.CONTACT
    PBX_STRANGER = "pbx.stranger", "Another device answered", EventGroup.CONTACT
    PBX_REPLACED = "pbx.replaced", "Replacement accepted", EventGroup.PBX_IDENTITY
    KEYS_ROTATED = "keys.rotated", "Secrets sealed with the newest key", EventGroup.SECRETS
    FILTER_SAVED = "filter.saved", "Filter saved", EventGroup.FILTER
    FILTER_DELETED = "filter.deleted", "Saved filter deleted", EventGroup.FILTER
    PBXS_IMPORTED = "pbxs.imported", "PBXs imported from a file", EventGroup.PBX_RECORD
    PBXS_EXPORTED = "pbxs.exported", "List of PBXs exported", EventGroup.EXPORT
    CHANGES_EXPORTED = "changes.exported", "List of changes exported", EventGroup.EXPORT
    IVRS_EXPORTED = "ivrs.exported", "List of IVRs exported", EventGroup.EXPORT
    REFRESH_FAILED = "refresh.failed", "PBX could not be read", EventGroup.CONTACT
    IVR_CHANGED_OUTSIDE = "ivr.changed-outside", "Changed outside PBX Admin", EventGroup.OUTSIDE
    IVR_APPEARED = "ivr.appeared", "IVR appeared", EventGroup.OUTSIDE
    IVR_VANISHED = "ivr.vanished", "IVR vanished", EventGroup.OUTSIDE
    IVR_OUTSIDE_ACCEPTED = "ivr.outside-accepted", "Outside change accepted", EventGroup.OUTSIDE_DECISION
    IVR_RUNG = "ivr.rung", "Phone rung to hear an IVR", EventGroup.RING
    CHANGE_SENDING = "change.sending", "Change is being sent", EventGroup.CHANGE_STEP
    CHANGE_OUTCOME = "change.outcome", "Change ended", EventGroup.CHANGE_OUTCOME
    CHANGE_CONFLICT = "change.conflict", "Change met a conflict", EventGroup.CHANGE_STEP
    CHANGE_SETTLED = "change.settled", "Change settled by reading", EventGroup.CHANGE_OUTCOME
    BATCH_PLANNED = "batch.planned", "Batch planned", EventGroup.BATCH
    BATCH_STARTED = "batch.started", "Batch started", EventGroup.BATCH
    BATCH_PAUSED = "batch.paused", "Batch paused", EventGroup.BATCH
    BATCH_CONTINUED = "batch.continued", "Batch went on", EventGroup.BATCH
    BATCH_HALTED = "batch.halted", "Batch halted", EventGroup.BATCH
    BATCH_STOPPED = "batch.stopped", "Batch stopped", EventGroup.BATCH
    BATCH_CANCELLED = "batch.cancelled", "Waiting IVRs cancelled", EventGroup.BATCH
    BATCH_FINISHED = "batch.finished", "Batch finished", EventGroup.BATCH
    POLICY_ADDED = "policy.added", "Policy added", EventGroup.POLICY
    POLICY_EDITED = "policy.edited", "Policy edited", EventGroup.POLICY
    POLICY_DELETED = "policy.deleted", "Policy deleted", EventGroup.POLICY
    VIOLATION_ACCEPTED = "violation.accepted", "Violation accepted", EventGroup.POLICY_EXCEPTION
    VIOLATION_REOPENED = "violation.reopened", "Violation reopened", EventGroup.POLICY_EXCEPTION
    EXCEPTION_ENDED = "exception.ended", "Exception ended", EventGroup.POLICY_EXCEPTION
    CONDITION_ACKNOWLEDGED = "condition.acknowledged", "Problem acknowledged", EventGroup.NOTICE
    NOTICE_ROUTE_ADDED = "notice-route.added", "Notices sent to a team", EventGroup.NOTICE
    NOTICE_ROUTE_ENDED = "notice-route.ended", "Notices no longer sent to a team", EventGroup.NOTICE
    WEBHOOK_ADDED = "webhook.added", "Webhook added", EventGroup.NOTICE
    WEBHOOK_EDITED = "webhook.edited", "Webhook edited", EventGroup.NOTICE
    WEBHOOK_ROTATED = "webhook.rotated", "Webhook given a new secret", EventGroup.NOTICE
    WEBHOOK_ON = "webhook.on", "Webhook switched on", EventGroup.NOTICE
    WEBHOOK_OFF = "webhook.off", "Webhook switched off", EventGroup.NOTICE
    WEBHOOK_GIVEN_UP = "webhook.given-up", "Webhook switched off after failures", EventGroup.NOTICE
    WEBHOOK_MESSAGE_GIVEN_UP = "webhook.message-given-up", "Message to a webhook given up", EventGroup.NOTICE
    WEBHOOK_DELETED = "webhook.deleted", "Webhook deleted", EventGroup.NOTICE
    WEBHOOK_TESTED = "webhook.tested", "Webhook tested", EventGroup.NOTICE
    EVENT_SINK_FAILED = "event-sink.failed", "Event sink takes no events", EventGroup.NOTICE
    EVENT_SINK_WORKS = "event-sink.works", "Event sink takes events again", EventGroup.NOTICE
    LOG_EXPORTED = "log.exported", "Log exported", EventGroup.EXPORT
    ACCESS_EXPORTED = "access.exported", "Access on a day exported", EventGroup.EXPORT
    LOG_EXPORT_ENDED = "log.export-ended", "Export of the log ended", EventGroup.EXPORT_END
    DESK_REVIEWED = "desk.reviewed", "Exception reviewed", EventGroup.REVIEW
    PERIOD_ADDED = "period.added", "Period added", EventGroup.REVIEW
    PERIOD_SIGNED = "period.signed", "Period signed off", EventGroup.REVIEW
    PERIOD_REOPENED = "period.reopened", "Period reopened", EventGroup.REVIEW
    LOG_REGRESSED = "log.regressed", "Log differs from a checkpoint", EventGroup.LOG_INTEGRITY
    LOG_ACCEPTED = "log.accepted", "Log accepted as it is", EventGroup.LOG_INTEGRITY
    EVIDENCE_MADE = "evidence.made", "Evidence pack made", EventGroup.EXPORT
    BACKUP_MADE = "backup.made", "Backup made", EventGroup.BACKUP
    BACKUP_RESTORED = "backup.restored", "Backup restored", EventGroup.BACKUP


# Words of stored values. A row of the database may hold a value that is none of them.
ACTION_LABELS: Mapping[str, str] = {action.value: action.label for action in EventAction}
