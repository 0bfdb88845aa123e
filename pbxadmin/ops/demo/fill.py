"""Content of the database for `manage.py demo`. It can be run again: existing rows are left as they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from ivr.refresh import refresh_start
from pbxadmin.access.models import Customer
from pbxadmin.audit.context import SYSTEM

from .fleet import record_keep
from .people import customers_keep, kept_passwords, people_keep
from .story import STORY_PBXS, story_tell


def fill(fleet: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Tell the story in an empty database; else keep the records and start a reading. Return passwords by user name.

    A fleet that is smaller than the story has no history.
    """
    passwords = kept_passwords()
    if len(fleet) >= STORY_PBXS and not Customer.objects.exists():
        story_tell(fleet, passwords)
        return passwords
    customers = customers_keep()
    people_keep(customers, passwords)
    pbxs = [record_keep(customers, one, position) for position, one in enumerate(fleet)]
    refresh_start(pbxs=pbxs, actor=SYSTEM)
    return passwords
