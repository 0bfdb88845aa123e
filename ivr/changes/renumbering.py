"""What a PBX says just before a renumbering is sent: whether the number is free, and what leads to the old one."""

import logging
from collections.abc import Sequence

from django.db import DatabaseError

from ivr.models import Change
from ivr.ways import ListFound, lists_read, offered, way_rows, ways_keep
from pbxadmin.fleet.pbx_sessions import PbxSession
from pbxadmin.yeastar.driver import SIDE_LISTS, CallKind

from .compare import Verdict
from .preconditions import SEND_BUDGET_S, not_sent
from .risks import way_breaks

log = logging.getLogger(__name__)

TAKEN_BY = {CallKind.QUEUES: "a queue", CallKind.EXTENSIONS: "an extension"}


def why_not_renumber(change: Change, pbx_session: PbxSession, numbers: frozenset[str]) -> Verdict | None:
    """Return the verdict when the new number is taken, a change of one of both numbers is open, or more would break.

    numbers: of all IVRs, just read. The lists that this version offers are read here, under the lease. One that the
    PBX refuses or garbles holds nothing up: the person was told to look by hand.
    """
    name, old, new = pbx_session.pbx.name, change.number, change.wanted["number"]
    if new in numbers:
        return not_sent(f"The number {new} is already used on {name}.")
    for number in (old, new):
        if Change.objects.of_ivr(change.pbx_id, number).in_motion().exists():
            # The outcome of that change will be looked for under this number.
            why = f"What an earlier change of IVR {number} came to is not known yet."
            return not_sent(why, "Plan this one again when it is.")
    lists = lists_read_first(pbx_session)
    return unanswered(lists, name) or taken(lists, name, new) or unconfirmed(change, lists, name)


def lists_read_first(pbx_session: PbxSession) -> Sequence[ListFound]:
    """Read and store the lists beside the IVRs, and leave the time that a send and its reading back need."""
    with pbx_session.client.leaving(SEND_BUDGET_S):
        lists = lists_read(pbx_session.client, offered(pbx_session.pbx, SIDE_LISTS))
    try:
        ways_keep(pbx_session, lists)
    except DatabaseError:
        log.exception("what leads to the IVRs of %s could not be stored", pbx_session.pbx.name)
    return lists


def unanswered(lists: Sequence[ListFound], name: str) -> Verdict | None:
    """Return the verdict when the PBX stopped answering: a change that is sent now might be lost."""
    silent = next((found for found in lists if found.is_unanswered), None)
    return not_sent(f"{name} could not be asked for its {silent.kind} first: {silent.problem}") if silent else None


def taken(lists: Sequence[ListFound], name: str, number: str) -> Verdict | None:
    by = next((TAKEN_BY[found.kind] for found in lists if number in found.listed.numbers), "")
    return not_sent(f"The number {number} is already used on {name}, by {by}.") if by else None


def unconfirmed(change: Change, lists: Sequence[ListFound], name: str) -> Verdict | None:
    """Return the verdict when something leads to the old number that was not among what the person confirmed."""
    ways = [way for found in lists if found.kind is not CallKind.EXTENSIONS for way in way_rows(change.pbx_id, found)]
    new = [way for way in ways if way.ivr_number == change.number and way_breaks(change, way) not in change.confirmed]
    if not new:
        return None
    return not_sent(f"{new[0].title} of {name} leads to {change.number}, which nobody confirmed.", "Plan it again.")
