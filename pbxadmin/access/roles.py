"""Which role may do what: the one table that pages, fragments, exports, jobs and templates ask.

Imports nothing that needs a configured Django, because settings.py reads the roles too.
"""

from enum import StrEnum

from django.db.models import TextChoices


class Action(StrEnum):
    SEE = "see"
    EDIT_IVR = "edit-ivr"
    RENUMBER = "renumber"
    DIAL_OUTBOUND = "dial-outbound"
    MANAGE_PBXS = "manage-pbxs"
    BATCH = "batch"
    SEE_PEOPLE = "see-people"
    MANAGE_PEOPLE = "manage-people"
    MANAGE_RULES = "manage-rules"
    REVIEW_LOG = "review-log"
    MANAGE_CUSTOMERS = "manage-customers"  # of site admins alone: no role has it


IN_WORDS: dict[Action, str] = {
    Action.SEE: "see PBXs, IVRs and changes",
    Action.EDIT_IVR: "edit IVRs",
    Action.RENUMBER: "renumber IVRs",
    Action.DIAL_OUTBOUND: "let callers dial out",
    Action.MANAGE_PBXS: "add, edit and delete PBXs",
    Action.BATCH: "change many IVRs at once",
    Action.SEE_PEOPLE: "see people and their roles",
    Action.MANAGE_PEOPLE: "give and take roles",
    Action.MANAGE_RULES: "say what changes need",
    Action.REVIEW_LOG: "review the log",
    Action.MANAGE_CUSTOMERS: "rename and archive the customer",
}


class Role(TextChoices):
    VIEWER = "viewer"
    HELPDESK = "helpdesk"
    AUDITOR = "auditor"
    MANAGER = "manager"


SITE_ADMIN = "site-admin"  # no role of a membership: User.is_superuser


ROLES: dict[str, frozenset[Action]] = {
    Role.VIEWER: frozenset({Action.SEE}),
    Role.HELPDESK: frozenset({Action.SEE, Action.EDIT_IVR}),
    Role.AUDITOR: frozenset({Action.SEE, Action.SEE_PEOPLE, Action.REVIEW_LOG}),
    Role.MANAGER: frozenset(
        {
            Action.SEE,
            Action.EDIT_IVR,
            Action.RENUMBER,
            Action.DIAL_OUTBOUND,
            Action.MANAGE_PBXS,
            Action.BATCH,
            Action.SEE_PEOPLE,
            Action.MANAGE_PEOPLE,
            Action.MANAGE_RULES,
        }
    ),
}

# Still allowed for an archived customer. Managing people is, because it decides who may read its history.
WITH_ARCHIVED = frozenset(
    {Action.SEE, Action.REVIEW_LOG, Action.SEE_PEOPLE, Action.MANAGE_PEOPLE, Action.MANAGE_CUSTOMERS}
)
