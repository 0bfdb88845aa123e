"""What an API key lets its holder do at most: the one table. Roles say what the holder may do, as for pages."""

from django.db.models import TextChoices

from pbxadmin.access.roles import Action


class Scope(TextChoices):
    READ = "read", "Read"
    CHANGE = "change", "Read, and change IVRs"
    MANAGE = "manage", "Read, change IVRs, and manage PBXs"


READING = frozenset({Action.SEE, Action.REVIEW_LOG})
CHANGING = READING | {Action.EDIT_IVR, Action.RENUMBER, Action.DIAL_OUTBOUND, Action.BATCH}
SCOPE_ACTIONS: dict[str, frozenset[Action]] = {
    Scope.READ: READING,
    Scope.CHANGE: CHANGING,
    Scope.MANAGE: CHANGING | {Action.MANAGE_PBXS},
}
