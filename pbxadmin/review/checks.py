"""System check of the desk: it has a decision about every group of actions."""

from typing import Any

from django.core.checks import CheckMessage, Error

from pbxadmin.audit.actions import EventGroup

from .kinds import DESK_GROUPS, OFF_DESK_GROUPS


def check_desk_groups(**_: Any) -> list[CheckMessage]:
    """Report every group that stands in neither, or in both, of the lists of review.kinds."""
    return [
        Error(
            f"review.kinds decides not once whether EventGroup.{group.name} comes to the desk.",
            hint='Put it into DESK_GROUPS or OFF_DESK_GROUPS. Follow the recipe "Add an event" in CONTRIBUTING.md.',
            id="review.E001",
        )
        for group in EventGroup
        if (group in DESK_GROUPS) == (group in OFF_DESK_GROUPS)
    ]
