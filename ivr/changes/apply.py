"""Apply a planned change: sent once, proven by reading back, recorded.

    claim ──► lease ──► re-read ──► compare ──► intent ──► send ──► read back ──► settle ──► receipt
                                               committed   once

Each stage that ends the change early returns how it ended; `apply_claimed` alone records it. Whatever happens to this
process, `reconcile` settles the change later by reading, and never sends.
"""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from django.db import DatabaseError, transaction
from django.utils import timezone

from ivr.claims import released_on_failure
from ivr.models import Change, as_values
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.fleet.concurrency import waiting_slot
from pbxadmin.fleet.lease import WAIT_S, PbxInUse
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import PbxSession, open_pbx_session
from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.errors import PbxError, PbxNotSent, PbxOutcomeUnknown, PbxRefused
from pbxadmin.yeastar.readings import IvrSettings

from .compare import SUCCESS, PbxAnswer, Status, compare
from .preconditions import SEND_BUDGET_S, another_change, another_pbx, not_sent, too_slow, why_not_send, why_too_late
from .readings import read_back, read_for_change, unreadable, verdict_of
from .renumbering import why_not_renumber
from .risks import change_risks
from .settle import Ending, calls_as_stored, change_claim, change_event, plan_still_ours, settle_or_spool

log = logging.getLogger(__name__)


class NotConfirmed(Exception):
    """The change brings risks that nobody confirmed as asked for. Nothing was sent."""


class NotRecorded(Exception):
    """The intent could not be recorded, so nothing was sent, and the plan stays as it is. str(): for a person."""


class NotNow(Exception):
    """The PBX is in use, or was too slow to be read first. Nothing was sent, and the plan stays as it is."""


def change_apply_now(*, change: Change, actor: Actor, confirmed: bool = False, typed: str = "") -> None:
    """Carry out a planned change for whoever waits for it. Raises NotConfirmed, TooManyWaiting and NotRecorded.

    What the database does not take after the sending is settled later.
    """
    try:
        change_apply(change=change, actor=actor, confirmed=confirmed, typed=typed)
    except DatabaseError:
        log.exception("change %s could not be recorded", change.pk)
        change.refresh_from_db()
        if change.status == Status.PLANNED:
            why = "The audit log could not be written, so nothing was sent. Tell whoever runs PBX Admin."
            raise NotRecorded(why) from None


def change_apply(
    *,
    change: Change,
    actor: Actor,
    confirmed: bool = False,
    typed: str = "",
    batch_id: int | None = None,
    may_wait: bool = False,
) -> None:
    """Carry out a planned change; the stored status is right afterwards.

    A change that is not planned any more, that somebody else is applying, or that belongs to a batch is left alone.
    Raises NotConfirmed when it brings risks and `confirmed` is not set, or breaks a way to the IVR and its number was
    not typed. Raises TooManyWaiting, and a database error when the intent cannot be recorded. Each time nothing was
    sent and the plan stays as it is.
    batch_id: of the batch that calls, which alone sends its changes. may_wait: the caller tries again by itself. Then
    NotNow is raised for what ends the change of a person who waits.
    """
    if change.outcome != Status.PLANNED or change.batch_id != batch_id:
        return
    risks = change_risks(change)
    if (risks.sentences and not confirmed) or (risks.breaks and typed.strip() != change.number):
        raise NotConfirmed
    by = {"applied_by_id": actor.id, "applied_by_name": actor.name, "confirmed": risks.sentences}
    with waiting_slot():
        # 1. Claim: the second of two clicks does nothing.
        if change_claim(change, Status.PLANNED, **by):
            apply_claimed(change, actor, may_wait=may_wait)


def apply_claimed(change: Change, actor: Actor, *, may_wait: bool = False) -> None:
    """Carry out a claimed change and record how it ended, while the PBX is still ours."""
    with released_on_failure(plan_still_ours(change)), ExitStack() as held:
        ending = apply_to_pbx(change, actor, held, may_wait=may_wait)
        # 8. Settle: the outcome, its event and when to look again, in one transaction.
        settle_or_spool(change, ending)
        # 9. Receipt: it is written from the stored change whenever somebody asks (receipts.py).


def apply_to_pbx(change: Change, actor: Actor, held: ExitStack, *, may_wait: bool) -> Ending:
    """Lease the PBX for as long as `held` is open, and carry out the change. Raises NotNow, if the caller may wait."""
    # 2. Lease: nobody else talks to the PBX until the ending is recorded.
    pbx = Pbx.objects.select_related("customer").filter(pk=change.pbx_id).first()
    if pbx is None:
        return Ending(not_sent(f"{change.pbx_name} was deleted."))
    if change.is_expired:
        return Ending(not_sent("The plan is older than 24 hours."))
    held_by, wait_s = f"{actor.name} is changing IVR {change.number}", 0.0 if may_wait else WAIT_S
    try:
        session = held.enter_context(open_pbx_session(pbx, held_by, wait_s=wait_s, claim_ends=change.claimed_until))
    except PbxError as error:
        if may_wait and isinstance(error, PbxInUse):
            raise NotNow(str(error)) from None
        return Ending(not_sent(str(error)))
    return replace(carry_out(change, session, may_wait=may_wait), calls=calls_as_stored(session.client.calls))


def carry_out(change: Change, session: PbxSession, *, may_wait: bool) -> Ending:
    """Send the change to a leased PBX if that is still right. Raises NotNow, or a database error; nothing was sent."""
    moved = another_pbx(change, session.pbx) or another_change(change, session.pbx)
    if moved:
        return Ending(not_sent(moved, "Plan it again."))
    # 3. Re-read: what the PBX holds now, which may not be what the form was opened with.
    try:
        before = read_for_change(change, session)
    except PbxError as error:
        return Ending(not_sent(f"{session.pbx.name} could not be read first: {error}"))
    change.live = as_values(before.ivr)
    if before.ivr is None:
        return Ending(not_sent(f"IVR {change.number} is not on {session.pbx.name} any more."))
    # 4. Compare base, live and wanted: send only what is still as it was when the form was opened.
    comparison = compare(change.base, before.ivr.values(), change.wanted)
    obstacle = why_not_send(change, session, comparison)
    if obstacle is None and "number" in comparison.send:
        obstacle = why_not_renumber(change, session, before.numbers)
    late = None if obstacle else why_too_late(session)
    if late and may_wait:
        raise NotNow(late.sentence)
    if obstacle or late:
        return Ending(obstacle or too_slow(session))
    # 5. Intent: from here on the log says that the change is being sent, so its ending must not be lost.
    if not intend(change):
        return Ending(too_slow(session))
    wanted = {name: change.wanted[name] for name in comparison.send}
    return replace(send_and_read_back(change, session, before.ivr, wanted), must_not_be_lost=True)


def intend(change: Change) -> bool:
    """Commit the intent: from here on the log says that this change is being sent. Raises when it cannot.

    Returns False when our claim ran out, or somebody else claimed the change after us.
    """
    with transaction.atomic(durable=True):
        now = timezone.now()
        ours = plan_still_ours(change).filter(claimed_until__gt=now)
        if not ours.update(status=Status.SENDING, live=change.live, sent_at=now):
            return False
        change_event(EventAction.CHANGE_SENDING, change, outcome="sending", detail={"confirmed": change.confirmed})
    change.status, change.sent_at = Status.SENDING, now
    return True


def send_and_read_back(change: Change, session: PbxSession, live: IvrSettings, wanted: Mapping[str, str]) -> Ending:
    """Send the change once and decide by what is read back. Nothing here raises a PbxError."""
    # The database may have been slow; or the machine slept: its clock went on, and the deadlines of calls did not.
    if session.client.seconds_left < SEND_BUDGET_S or not change.is_being_applied:
        return Ending(too_slow(session))
    # 6. Send, once.
    try:
        answer = send(session.client, live, wanted)
    except PbxNotSent as error:
        return Ending(not_sent(str(error)))
    # 7. Read back: the outcome is what was read, not what was answered.
    try:
        found = read_back(change, session)
    except PbxError as error:
        return Ending(unreadable(change, answer, error), answer)
    return Ending(verdict_of(change, answer, found), answer, as_values(found.ivr))


def send(client: PbxClient, live: IvrSettings, wanted: Mapping[str, str]) -> PbxAnswer:
    """Send an update and return what the PBX answered. Raises PbxNotSent when it is certain that nothing left us."""
    try:
        client.update_ivr(live, wanted)
    except PbxRefused as error:
        return PbxAnswer(refused=True, code=error.code, words=f"{error}.")
    except PbxOutcomeUnknown as error:
        return PbxAnswer(words=str(error))
    return SUCCESS
