"""Settle what was left open: from the spool, or by reading the PBX. Nothing is sent from here.

A change is left open when its sender died, when its outcome could not be written, or when the PBX could not be read.
"""

import logging
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from ivr.claims import expired_claim, release_claims
from ivr.models import Change, as_values
from ivr.outside import record_moves_since
from pbxadmin.audit.actions import EventAction
from pbxadmin.fleet.concurrency import waiting_slot
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import open_pbx_session
from pbxadmin.yeastar.errors import PbxError, PbxNotSent

from .compare import PbxAnswer, Status, Verdict
from .readings import read_back, unreadable, verdict_of
from .settle import Ending, calls_as_stored, change_claim, retry_at, settle
from .spool import spooled

log = logging.getLogger(__name__)

RECONCILE_S = 25.0  # the tick has other work
MOST_CHANGES = 200  # of one tick


def reconcile() -> int:
    """Settle every change that is *sending* without a living sender, and check what is due. Return how many.

    Called at start and on every tick; stops after 25 s and goes on at the next.
    """
    give_up = time.monotonic() + RECONCILE_S
    now = timezone.now()
    is_left = Q(status=Status.SENDING) & expired_claim(now)
    due = Change.objects.filter(is_left | Q(check_at__lte=now)).order_by("id")
    looked_at = 0
    for change in due[:MOST_CHANGES]:
        if time.monotonic() > give_up:
            break
        try:
            change_check(change)
        except Exception:  # one that cannot be settled does not keep the others from it
            log.exception("change %s could not be settled", change.pk)
        looked_at += 1
    return looked_at


def change_check(change: Change, *, insist: bool = False) -> str:
    """Settle by reading a change whose sender is gone, or look again at one that may still become true. Never sends.

    insist: a person asks for it now, so a pause of the PBX after failures does not count.
    Returns why it could not be read, "" when it was, or when there was nothing to check. Raises TooManyWaiting.
    """
    was = Status(change.status)
    may_become_true = was is Status.NOT_AS_ASKED and change.check_at is not None
    if was not in (Status.SENDING, Status.UNKNOWN) and not may_become_true:
        return ""
    if may_become_true and is_overtaken(change):
        Change.objects.filter(pk=change.pk, status=was).update(check_at=None)
        return ""
    with waiting_slot():
        return check_claimed(change, insist=insist) if change_claim(change, was, checks=F("checks") + 1) else ""


def is_overtaken(change: Change) -> bool:
    """Tell whether a later change of the same fields was sent: what is read since proves nothing of this one."""
    later = Change.objects.of_ivr(change.pbx_id, change.number).filter(sent_at__gt=change.sent_at)
    return any(change.wanted.keys() & each.wanted.keys() for each in later)


def check_claimed(change: Change, *, insist: bool) -> str:
    """Check a claimed change and record what is new. Return why it could not be read, "" when it was."""
    pbx = Pbx.objects.select_related("customer").filter(pk=change.pbx_id).first()
    problem = ""
    with ExitStack() as held:
        try:
            ending = read_again(change, pbx, held, insist=insist)
        except PbxError as error:
            held.close()  # the state of the PBX is recorded before what that means for the change
            ending, problem = postponed(change, error, for_ever=pbx is None), str(error)
        if ending is not None:
            settle_later(change, ending)
    return problem


def read_again(change: Change, pbx: Pbx | None, held: ExitStack, *, insist: bool) -> Ending | None:
    """Read what a change came to, with the PBX leased while `held` is open. None when that was known already.

    Raises PbxError when it cannot be read now.
    """
    if pbx is None:
        raise PbxNotSent(f"{change.pbx_name} was deleted.")
    held_by = f"PBX Admin is checking IVR {change.number}"
    session = held.enter_context(open_pbx_session(pbx, held_by, insist=insist, claim_ends=change.claimed_until))
    found = read_back(change, session)
    verdict, values = verdict_of(change, PbxAnswer(**change.answer), found), as_values(found.ivr)
    if change.status == verdict.status and values == change.found:
        release_claims(Change.objects.filter(pk=change.pk), check_at=None)
        return None
    calls = calls_as_stored(session.client.calls)
    return Ending(verdict, found=values, calls=calls, action=EventAction.CHANGE_SETTLED)


def postponed(change: Change, error: PbxError, *, for_ever: bool) -> Ending | None:
    """Check a change later that cannot be read now, or never. The log hears of it once, as the change turns unknown."""
    if change.status == Status.SENDING:
        return Ending(unreadable(change, PbxAnswer(**change.answer), error), action=EventAction.CHANGE_SETTLED)
    check_at = None if for_ever else retry_at(change, timezone.now())
    release_claims(Change.objects.filter(pk=change.pk), check_at=check_at)
    return None


def replay_spool() -> int:
    """Record the outcomes that were spooled, and return how many. One that cannot be does not stop the others."""
    count = 0
    for path, outcome in spooled():
        try:
            replay_outcome(outcome)
            path.unlink()
        except Exception:
            log.exception("spool: %s could not be replayed", path.name)
            continue
        count += 1
    return count


def replay_outcome(outcome: dict[str, Any]) -> None:
    """Record a spooled outcome, unless its change was settled by reading meanwhile."""
    change = Change.objects.filter(pk=outcome["change"]).first()
    ending = ending_from(outcome)
    if change is None:
        return
    if change.status == Status.SENDING:
        settle_later(change, ending)
    elif change.status == Status.UNKNOWN and ending.found is not None:
        settle_later(change, replace(ending, action=EventAction.CHANGE_SETTLED))


def ending_from(outcome: dict[str, Any]) -> Ending:
    """Return the ending that waits on disk as this outcome."""
    said, answer = outcome["verdict"], outcome["answer"]
    return Ending(
        Verdict(Status(said["status"]), said["sentence"], said["look_again"]),
        PbxAnswer(**answer) if answer else None,
        outcome.get("found"),
        outcome["calls"],
        found_at=datetime.fromisoformat(outcome["at"]),
    )


def settle_later(change: Change, ending: Ending) -> None:
    """Record what a change came to, as it was found out after its sender was done with it."""
    settle(change, ending)
    if ending.found_at is not None:
        record_moves_since(change, ending.found_at)
