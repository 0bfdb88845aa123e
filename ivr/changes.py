"""The change path: plan, apply, settle. Every write to a PBX goes through here, and nothing else sends one.

    plan ──► claim ──► lease ──► re-read ──► compare ──► intent ──► send ──► read back ──► outcome
                                                        committed   once

No transaction is open while a PBX is being talked to. A change is sent by the one process that claimed it; whatever
happens to that process, `reconcile` settles the change later by reading, and never sends.
"""

import hashlib
import json
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from pbxadmin.access.customer_rules import check_record
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.fleet.concurrency import waiting_slot
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import PbxSession, open_pbx_session
from pbxadmin.yeastar.client import Call, PbxClient
from pbxadmin.yeastar.errors import (
    PbxError,
    PbxHeldBack,
    PbxNotFound,
    PbxNotSent,
    PbxOutcomeUnknown,
    PbxRefused,
)
from pbxadmin.yeastar.fields import BY_NAME
from pbxadmin.yeastar.wire import IvrSettings

from .compare import NO_ANSWER, SUCCESS, Answer, Status, Verdict, compare, judge
from .models import CALL_WORDS, Change, Ivr, as_json
from .outside import outside_since
from .snapshots import snapshot_save, snapshots_save
from .spool import spool_put, spooled

log = logging.getLogger(__name__)

# From the claim on, whatever happens to its process, a change shows *sending*: 45 s at most, as promised. The work with
# the PBX takes 20 s at most; the rest is for the database, and for the tick that settles what a dead process left.
CLAIM_S = 30
SEND_BUDGET_S = 10.0  # with less than this left, a send could not be read back within the page's time
CHECK_AFTER_S = (10, 30, 120, 600)
LOOK_AGAIN_S = 30
RECONCILE_S = 25.0  # the tick has other work


@dataclass(frozen=True)
class Opened:
    """The form as it was opened: which IVR of which device, every value as read then, and the form's own id."""

    pbx_id: int
    address: str
    serial: str
    number: str
    values: dict[str, str | None]
    read_at: datetime
    form: str


def change_plan(
    *, pbx: Pbx, opened: Opened, wanted: Mapping[str, str], actor: Actor, reason: str = "", ticket: str = ""
) -> Change:
    """Keep a planned change; nothing is sent. The same form with the same values gives the same change.

    wanted: canonical text by own field name, only fields that differ from the form as it was opened.
    Raises ValidationError for "reason" and "ticket" when they are not what the customer asks for.
    """
    reason, ticket = check_record(pbx.customer, reason, ticket)
    asked = json.dumps([opened.form, dict(wanted), reason, ticket], sort_keys=True)
    change, _ = Change.objects.get_or_create(
        form_key=hashlib.sha256(asked.encode()).hexdigest(),
        defaults={
            "customer_id": pbx.customer_id,
            "customer_name": pbx.customer.name,
            "pbx_id": pbx.pk,
            "pbx_name": pbx.name,
            "api_version": pbx.api_version,
            "address": opened.address,
            "serial": opened.serial,
            "number": opened.number,
            "name": opened.values.get("name") or "",
            "base": opened.values,
            "wanted": dict(wanted),
            "reason": reason,
            "ticket": ticket,
            "planned_by_id": actor.id or 0,
            "planned_by_name": actor.name,
        },
    )
    return change


def newer_values(opened: Opened, wanted: Mapping[str, str]) -> dict[str, str | None] | None:
    """What a reading newer than the form found, when it clashes with what is wanted; None otherwise."""
    newer = Ivr.objects.filter(pbx_id=opened.pbx_id, number=opened.number, read_at__gt=opened.read_at).first()
    values = newer.settings.values() if newer else None
    return values if values and compare(opened.values, values, wanted).conflicts else None


class NotConfirmed(Exception):
    """The change brings risks that nobody confirmed. Nothing was sent."""


def change_conflict(change: Change, live: Mapping[str, str | None]) -> None:
    """End a plan that clashes with what was read since its form was opened. Nothing was sent."""
    if change.status == Status.PLANNED and claim(change, status=Status.PLANNED):
        change.live = dict(live)
        settle(change, Verdict(Status.CONFLICT, "Changed since you opened it. Nothing was sent."))


def change_resolve(*, change: Change, yours: Collection[str], actor: Actor) -> Change | None:
    """A new plan from a conflict, against what the PBX held when it was found; None when nothing is left to change.

    yours: fields in conflict for which the person keeps their own value; the others stay as they are on the PBX.
    """
    live: dict[str, str | None] = dict(change.live or {})
    conflicts = compare(change.base, live, change.wanted).conflicts
    kept = {name: text for name, text in change.wanted.items() if name not in conflicts or name in yours}
    wanted = {name: text for name, text in kept.items() if live.get(name) != text}
    pbx = Pbx.objects.select_related("customer").get(pk=change.pbx_id)
    if not wanted:
        return None
    target = (change.pbx_id, change.address, change.serial, change.number)
    opened = Opened(*target, live, timezone.now(), f"conflict {change.pk}")
    return change_plan(pbx=pbx, opened=opened, wanted=wanted, actor=actor, reason=change.reason, ticket=change.ticket)


def change_apply(*, change: Change, actor: Actor, confirmed: bool = False) -> None:
    """Carry out a planned change: sent once, proven by reading back, recorded. The stored status is right afterwards.

    A change that is not planned any more, or that somebody else is applying, is left alone: the second of two clicks
    does nothing. Raises NotConfirmed when it brings risks and `confirmed` is not set, TooManyWaiting, and a database
    error when the intent cannot be recorded; each time nothing was sent and the plan stays as it is.
    """
    if change.outcome != Status.PLANNED:
        return
    if change.risks and not confirmed:
        raise NotConfirmed
    by = {"applied_by_id": actor.id, "applied_by_name": actor.name, "confirmed": change.risks}
    with waiting_slot():
        if claim(change, status=Status.PLANNED, **by):
            apply_claimed(change, actor)


def apply_claimed(change: Change, actor: Actor) -> None:
    """Take the PBX of a claimed change in hand and carry it out."""
    pbx = Pbx.objects.select_related("customer").filter(pk=change.pbx_id).first()
    if change.is_expired or pbx is None:
        why = "The plan is older than 24 hours." if pbx else f"{change.pbx_name} was deleted."
        return settle(change, Verdict(Status.NOT_SENT, f"{why} Nothing was sent."))
    try:
        held_by = f"{actor.name} is changing IVR {change.number}"
        with open_pbx_session(pbx, held_by, claim_ends=change.claimed_until) as pbx_session:
            try:
                carry_out(change, pbx_session)
            except BaseException:
                still_claimed(change).update(claimed_until=None)
                raise
    except PbxError as error:  # only from taking the PBX in hand: carry_out answers for its own calls
        settle(change, Verdict(Status.NOT_SENT, f"{error} Nothing was sent."))


def claim(change: Change, **columns: Any) -> bool:
    """Take the change for 30 s; False when somebody else has it or it moved on. Refreshes `change`."""
    now = timezone.now()
    expected = {"status": columns.pop("status")}
    free = Change.objects.filter(Q(claimed_until=None) | Q(claimed_until__lte=now), pk=change.pk, **expected)
    won = free.update(claimed_until=now + timedelta(seconds=CLAIM_S), **columns) == 1
    change.refresh_from_db()
    return won


def still_claimed(change: Change) -> QuerySet[Change]:
    """The row of a plan that was claimed here, as long as nobody else claimed it after us."""
    return Change.objects.filter(pk=change.pk, status=Status.PLANNED, claimed_until=change.claimed_until)


def carry_out(change: Change, pbx_session: PbxSession) -> None:
    """Steps 4 to 8 of the design, with the PBX in hand."""
    moved = moved_since(change, pbx_session.pbx) or edited_since(change, pbx_session.pbx)
    if moved:
        return settle(change, Verdict(Status.NOT_SENT, f"{moved} Nothing was sent. Plan it again."))
    try:
        before = read(change, pbx_session)
    except PbxError as error:
        verdict = Verdict(Status.NOT_SENT, f"{pbx_session.pbx.name} could not be read first: {error} Nothing was sent.")
        return settle(change, verdict, calls=pbx_session.client.calls)
    change.live = as_json(before.ivr)
    held_back = why_not_send(change, pbx_session, before)
    if held_back:
        return settle(change, held_back, calls=pbx_session.client.calls)
    assert before.ivr is not None  # noqa: S101  (why_not_send answers for a missing one)
    comparison = compare(change.base, before.ivr.values(), change.wanted)
    if not intend(change):
        return settle(change, too_slow(pbx_session), calls=pbx_session.client.calls)
    # The database may have been slow; or the machine slept: its clock went on, and the deadlines of calls did not.
    if pbx_session.client.seconds_left < SEND_BUDGET_S or not change.is_being_applied:
        return settle_or_spool(change, too_slow(pbx_session), calls=pbx_session.client.calls)
    answer, nothing_left_us = send(
        pbx_session.client, before.ivr, {name: change.wanted[name] for name in comparison.send}
    )
    if nothing_left_us:
        verdict = Verdict(Status.NOT_SENT, f"{nothing_left_us} Nothing was sent.")
        return settle_or_spool(change, verdict, calls=pbx_session.client.calls)
    change.answer = asdict(answer)
    return settle_by_reading(change, pbx_session)


def moved_since(change: Change, pbx: Pbx) -> str:
    """What was edited so that the record may stand for another PBX than the change was planned for; "" for nothing."""
    if change.customer_id != pbx.customer_id:
        return f"{pbx.name} was moved to another customer after this change was planned."
    if change.address and change.address != pbx.endpoint.base:
        return f"The address of {pbx.name} was edited after this change was planned."
    if change.serial and change.serial not in (pbx.serial, pbx.other_serial):
        return f"Another device was accepted as {pbx.name} after this change was planned."
    return ""


def edited_since(change: Change, pbx: Pbx) -> str:
    """The same of what does not lead to another PBX, and yet to another change than was planned."""
    if not change.address:
        return "An older version of PBX Admin planned this change and did not keep for which address."
    if change.api_version != pbx.api_version:
        return f"The API version of {pbx.name} was edited after this change was planned."
    return ""


@dataclass(frozen=True)
class Reading:
    """What the PBX holds: the IVR of a change, under its old number or its new one; for a renumbering also the rest."""

    ivr: IvrSettings | None
    numbers: frozenset[str] = field(default_factory=frozenset)


def read(change: Change, pbx_session: PbxSession, *, back: bool = False) -> Reading:
    """Read the IVR of a change and keep it as a snapshot. A renumbering reads the whole list.

    back: look for the new number first. Raises PbxError.
    """
    if not change.is_renumbering:
        try:
            ivr = pbx_session.client.query_ivr(change.number)
        except PbxNotFound:
            return Reading(None)
        save_reading(pbx_session, [ivr])
        return Reading(ivr)
    ivrs = {ivr.number: ivr for ivr in pbx_session.client.query_ivrs()}
    save_reading(pbx_session, list(ivrs.values()), whole=True)
    old = ivrs.get(change.number)
    new = ivrs.get(change.wanted["number"]) if back else None
    return Reading(old or new, frozenset(ivrs))


def save_reading(pbx_session: PbxSession, ivrs: Sequence[IvrSettings], *, whole: bool = False) -> None:
    """Keep a reading. That it cannot be kept must not hide what was read: the outcome matters more."""
    try:
        if whole:
            snapshots_save(pbx_session, ivrs)
        else:
            snapshot_save(pbx_session, ivrs[0])
    except DatabaseError:
        log.exception("a reading of %s could not be kept", pbx_session.pbx.name)


def why_not_send(change: Change, pbx_session: PbxSession, before: Reading) -> Verdict | None:
    """The outcome when there is nothing to send or we must not; None when the send may go ahead."""
    name = pbx_session.pbx.name
    if before.ivr is None:
        return Verdict(Status.NOT_SENT, f"IVR {change.number} is not on {name} any more. Nothing was sent.")
    comparison = compare(change.base, before.ivr.values(), change.wanted)
    if comparison.conflicts:
        return Verdict(Status.CONFLICT, "Changed since you opened it. Nothing was sent.")
    if not comparison.send:
        return Verdict(Status.NOT_SENT, f"{name} already holds these values. Nothing was sent.")
    locked = [BY_NAME[each].label for each in comparison.send if pbx_session.pbx.version not in BY_NAME[each].writable]
    if locked:  # planned for another version of the API
        return Verdict(
            Status.NOT_SENT, f"API {pbx_session.pbx.version} cannot change: {', '.join(locked)}. Nothing was sent."
        )
    if pbx_session.client.is_stranger:
        return Verdict(Status.NOT_SENT, f"Another device answers at the address of {name}. Nothing was sent.")
    if "number" in comparison.send and change.wanted["number"] in before.numbers:
        taken = change.wanted["number"]
        return Verdict(Status.NOT_SENT, f"The number {taken} is already used on {name}. Nothing was sent.")
    if "number" in comparison.send and Change.objects.of_ivr(change.pbx_id, change.number).in_motion().exists():
        # its outcome would be looked for under the old number
        why = f"What an earlier change of IVR {change.number} came to is not known yet."
        return Verdict(Status.NOT_SENT, f"{why} Nothing was sent. Plan this one again when it is.")
    if pbx_session.client.seconds_left < SEND_BUDGET_S or not pbx_session.lease.is_still_held:
        return too_slow(pbx_session)
    return None


def too_slow(pbx_session: PbxSession) -> Verdict:
    return Verdict(Status.NOT_SENT, f"{pbx_session.pbx.name} took too long to be read first. Nothing was sent.")


def intend(change: Change) -> bool:
    """Commit the intent: from here on the log says that this change is being sent. Raises when it cannot.

    False when our claim ran out, or somebody else claimed the change after us.
    """
    with transaction.atomic(durable=True):
        now = timezone.now()
        ours = still_claimed(change).filter(claimed_until__gt=now)
        if not ours.update(status=Status.SENDING, live=change.live, sent_at=now):
            return False
        change_event(EventAction.CHANGE_SENDING, change, outcome="sending", detail={"confirmed": change.confirmed})
    change.status, change.sent_at = Status.SENDING, now
    return True


def send(client: PbxClient, live: IvrSettings, wanted: Mapping[str, str]) -> tuple[Answer, str]:
    """What the PBX answered, and, when it is certain that nothing reached it, why not."""
    try:
        client.update_ivr(live, wanted)
    except PbxNotSent as error:
        return NO_ANSWER, str(error)
    except PbxRefused as error:
        return Answer(refused=True, code=error.code, words=f"{error}."), ""
    except PbxOutcomeUnknown as error:
        return Answer(words=str(error)), ""
    return SUCCESS, ""


def settle_by_reading(change: Change, pbx_session: PbxSession) -> None:
    """Read back, decide by what was found, record."""
    try:
        found = read_back(change, pbx_session)
    except PbxError as error:
        return settle_or_spool(change, unreadable(change, error), calls=pbx_session.client.calls)
    return settle_or_spool(change, verdict_of(change, found), found=as_json(found.ivr), calls=pbx_session.client.calls)


def read_back(change: Change, pbx_session: PbxSession) -> Reading:
    """What a change that was sent came to. Raises PbxError, also when another device than it was sent to may answer."""
    moved = moved_since(change, pbx_session.pbx)
    if moved and not is_same_device(change, pbx_session):
        raise PbxHeldBack(moved)
    found = read(change, pbx_session, back=True)
    if pbx_session.client.is_stranger:
        raise PbxHeldBack(f"Another device answers at the address of {pbx_session.pbx.name}.")
    return found


def is_same_device(change: Change, pbx_session: PbxSession) -> bool:
    """Whether the device at the new address proves to be the one that the change was sent to, by its serial number."""
    is_same_customer = change.customer_id == pbx_session.pbx.customer_id
    return is_same_customer and change.serial != "" and pbx_session.client.device_info().serial == change.serial


def verdict_of(change: Change, found: Reading) -> Verdict:
    """What a change that was sent came to, by what is read now: just after sending, or whenever it can be read."""
    if change.is_renumbering and {change.number, change.wanted["number"]} <= found.numbers:
        both = f"{change.pbx_name} answers to both {change.number} and {change.wanted['number']}."
        return Verdict(Status.NOT_AS_ASKED, f"Not as asked. {both}")
    before, said = change.live or change.base, Answer(**change.answer)
    return judge(change.pbx_name, before, change.wanted, as_json(found.ivr), said)


def unreadable(change: Change, error: PbxError) -> Verdict:
    said = Answer(**change.answer)
    sent = said.words if said.words and not said.success else "It was sent."
    again = "It is checked again by itself; nothing is ever sent twice."
    return Verdict(Status.UNKNOWN, f"{sent} {change.pbx_name} cannot be read back: {error} {again}")


def settle(
    change: Change,
    verdict: Verdict,
    *,
    found: dict[str, Any] | None = None,
    calls: list[Call] | None = None,
    action: EventAction = EventAction.CHANGE_OUTCOME,
) -> None:
    """Record an outcome: its event and the change, in one transaction. Leaves alone what is known better already."""
    now = timezone.now()
    with transaction.atomic():
        if is_late(change, verdict, found):
            return change.refresh_from_db()
        change.found = found
        event = change_event(
            EventAction.CHANGE_CONFLICT if verdict.status is Status.CONFLICT else action,
            change,
            outcome=verdict.status.value,
            detail={"sentence": verdict.sentence, "answer": change.answer},
        )
        columns = {
            "status": verdict.status,
            "sentence": verdict.sentence,
            "live": change.live,
            "answer": change.answer,
            "found": found,
            "calls": [*change.calls, *(call_words(call) for call in calls or ())],
            "event_id": event.pk,
            "finished_at": now,
            "claimed_until": None,
            "check_at": next_check(change, verdict, now),
        }
        Change.objects.filter(pk=change.pk).update(**columns)
    change.refresh_from_db()


def is_late(change: Change, verdict: Verdict, found: dict[str, Any] | None) -> bool:
    """Whether somebody settled the change while its sender was held up, and the sender has nothing to add.

    A process can be frozen for longer than its claim lasts. What it then found by reading is still a fact; that it
    sent nothing itself, or does not know, is not one about the change.
    """
    now = Change.objects.select_for_update().get(pk=change.pk)
    if now.status == change.status:  # of a plan: somebody else claimed it after us
        return now.status == Status.PLANNED and now.claimed_until != change.claimed_until
    is_fact = change.status == Status.SENDING and found is not None
    return not is_fact or (now.status, now.found) == (verdict.status, found)


def settle_or_spool(change: Change, verdict: Verdict, **found: Any) -> None:
    """Record the outcome of a change that was sent; on disk when the database does not take it."""
    try:
        settle(change, verdict, **found)
    except DatabaseError:
        log.exception("change %s: its outcome is spooled", change.pk)
        calls = [call_words(call) for call in found.pop("calls", None) or ()]
        try:
            spool_put(
                {"change": change.pk, "answer": change.answer, "verdict": asdict(verdict), "calls": calls, **found}
                | {"at": timezone.now().isoformat()}
            )
        except OSError:  # then `reconcile` finds it out by reading
            log.exception("change %s: its outcome could not be spooled", change.pk)


def replay_spool() -> int:
    """Record the outcomes that were spooled. One that cannot be keeps none of the others from it. How many were."""
    count = 0
    for path, kept in spooled():
        try:
            replay_outcome(kept)
            path.unlink()
        except Exception:
            log.exception("spool: %s could not be replayed", path.name)
            continue
        count += 1
    return count


def replay_outcome(kept: dict[str, Any]) -> None:
    """One whose change was settled by reading meanwhile is let go."""
    change = Change.objects.filter(pk=kept["change"]).first()
    is_unknown = change is not None and change.status == Status.UNKNOWN and kept.get("found") is not None
    if change is not None and (change.status == Status.SENDING or is_unknown):
        said = kept["verdict"]
        change.answer, change.calls = kept["answer"], [*change.calls, *kept["calls"]]
        verdict = Verdict(Status(said["status"]), said["sentence"], said["look_again"])
        action = EventAction.CHANGE_SETTLED if is_unknown else EventAction.CHANGE_OUTCOME
        settle(change, verdict, found=kept.get("found"), action=action)
        outside_since(change, datetime.fromisoformat(kept["at"]))


def call_words(call: Call) -> dict[str, Any]:
    words = CALL_WORDS[call.kind]
    return {"call": call.name, "words": words, "seconds": round(call.seconds, 3), "error": str(call.error or "")}


def next_check(change: Change, verdict: Verdict, now: datetime) -> datetime | None:
    if verdict.status is Status.UNKNOWN:
        return retry_at(change, now)
    if verdict.look_again and change.status != Status.NOT_AS_ASKED:  # else this was the second look
        return now + timedelta(seconds=LOOK_AGAIN_S)
    return None


def retry_at(change: Change, now: datetime) -> datetime:
    return now + timedelta(seconds=CHECK_AFTER_S[min(change.checks, len(CHECK_AFTER_S) - 1)])


def change_event(action: EventAction, change: Change, **more: Any) -> Any:
    before, found = change.live or change.base, change.found or {}
    return record(
        action,
        customer=(change.customer_id, change.customer_name),
        pbx=(change.pbx_id, change.pbx_name),
        ivr=(change.number, change.name),
        change_id=change.pk,
        fields={
            name: {"before": before.get(name), "asked": asked, "found": found.get(name)}
            for name, asked in change.wanted.items()
        },
        reason=change.reason,
        ticket=change.ticket,
        **more,
    )


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
        claimed = claim(change, status=was, checks=F("checks") + 1)
        return check_claimed(change, was, insist=insist) if claimed else ""


def is_overtaken(change: Change) -> bool:
    """Whether a later change of the same fields was sent: what is read since proves nothing of this one."""
    later = Change.objects.of_ivr(change.pbx_id, change.number).filter(sent_at__gt=change.sent_at)
    return any(change.wanted.keys() & each.wanted.keys() for each in later)


def check_claimed(change: Change, was: Change.Status, *, insist: bool) -> str:
    pbx = Pbx.objects.select_related("customer").filter(pk=change.pbx_id).first()
    try:
        if pbx is None:
            raise PbxNotSent(f"{change.pbx_name} was deleted.")
        held_by = f"PBX Admin is checking IVR {change.number}"
        with open_pbx_session(pbx, held_by, insist=insist, claim_ends=change.claimed_until) as pbx_session:
            check_by_reading(change, was, pbx_session)
    except PbxError as error:
        postpone(change, was, error, for_ever=pbx is None)
        return str(error)
    return ""


def check_by_reading(change: Change, was: Change.Status, pbx_session: PbxSession) -> None:
    found = read_back(change, pbx_session)  # a failure here is postponed by the caller, without an event each time
    verdict, values = verdict_of(change, found), as_json(found.ivr)
    if was is verdict.status and values == change.found:
        Change.objects.filter(pk=change.pk).update(claimed_until=None, check_at=None)
        return
    settle(change, verdict, found=values, calls=pbx_session.client.calls, action=EventAction.CHANGE_SETTLED)


def postpone(change: Change, was: Change.Status, error: PbxError, *, for_ever: bool) -> None:
    """It cannot be read now, or never again. The log hears of it once, when the change becomes unknown."""
    if was is Status.SENDING:
        return settle(change, unreadable(change, error), action=EventAction.CHANGE_SETTLED)
    check_at = None if for_ever else retry_at(change, timezone.now())
    Change.objects.filter(pk=change.pk).update(claimed_until=None, check_at=check_at)
    return None


def reconcile() -> int:
    """Settle every change that is *sending* without a living sender, and check what is due. How many were looked at.

    At start and on every tick; stops after 25 s and goes on at the next.
    """
    give_up = time.monotonic() + RECONCILE_S
    now = timezone.now()
    due = Change.objects.filter(Q(status=Status.SENDING, claimed_until__lte=now) | Q(check_at__lte=now)).order_by("id")
    looked_at = 0
    for change in due[:200]:
        if time.monotonic() > give_up:
            break
        try:
            change_check(change)
        except Exception:  # one that cannot be settled keeps none of the others from it
            log.exception("change %s could not be settled", change.pk)
        looked_at += 1
    return looked_at
