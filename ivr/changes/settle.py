"""How a change ended, and the one function that records it.

Whoever works on a change returns an `Ending`. It is recorded with its event in one transaction; once the log says that
the change is being sent, on disk when the database does not take it.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from ivr.claims import claim_one, still_claimed
from ivr.models import CALL_WORDS, LEFT_SOMETHING, Change
from ivr.open_outside_changes import outside_judge
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.folding import searched_text
from pbxadmin.yeastar.client import Call

from .compare import PbxAnswer, Status, Verdict
from .spool import spool_put

log = logging.getLogger(__name__)

# From the claim on, whatever happens to its process, a change shows *sending*: 45 s at most, as promised. The work with
# the PBX takes 20 s at most; the rest is for the database, and for the tick that settles what a dead process left.
CLAIM_S = 30
CHECK_AFTER_S = (10, 30, 120, 600)
LOOK_AGAIN_S = 30


@dataclass(frozen=True)
class Ending:
    """How work on a change ended, to be recorded once.

    answer: what the PBX said to it, None when it was not asked, or not asked now. found: every field as read back,
    None when nothing was, or when the PBX has no such IVR any more. calls: the exchanges that took place, as stored.
    must_not_be_lost: the log says already that the change is being sent.
    action: of the event. found_at: when it was found, if that was not just now.
    """

    verdict: Verdict
    answer: PbxAnswer | None = None
    found: dict[str, Any] | None = None
    calls: Sequence[dict[str, Any]] = ()
    must_not_be_lost: bool = False
    action: EventAction = EventAction.CHANGE_OUTCOME
    found_at: datetime | None = None


def change_claim(change: Change, status: Change.Status, **columns: Any) -> bool:
    """Claim a change that has this status, for 30 s, and read it again. False when it moved on or is claimed."""
    is_ours = claim_one(Change.objects.filter(pk=change.pk, status=status), CLAIM_S, **columns)
    change.refresh_from_db()
    return is_ours


def plan_still_ours(change: Change) -> QuerySet[Change]:
    """Filter to the row of a plan that was claimed here, as long as nobody else claimed it after us."""
    return still_claimed(Change.objects.filter(status=Status.PLANNED), change)


def settle_or_spool(change: Change, ending: Ending) -> None:
    """Record an ending; on disk when the database does not take it and it must not be lost.

    Raises DatabaseError for an ending that may be lost: nothing was sent, and the plan stays as it is.
    """
    try:
        settle(change, ending)
    except DatabaseError:
        if not ending.must_not_be_lost:
            raise
        log.exception("change %s: its outcome is spooled", change.pk)
        try:
            spool_put(as_spooled(change, ending))
        except OSError:  # then `reconcile` finds it out by reading
            log.exception("change %s: its outcome could not be spooled", change.pk)


def settle(change: Change, ending: Ending) -> None:
    """Record an ending: its event and the change, in one transaction. Leaves alone what is known better already."""
    now, verdict = timezone.now(), ending.verdict
    with transaction.atomic():
        if is_late(change, ending):
            return change.refresh_from_db()
        change.found = ending.found
        change.answer = answer_of(change, ending)
        event = change_event(
            EventAction.CHANGE_CONFLICT if verdict.status is Status.CONFLICT else ending.action,
            change,
            outcome=verdict.status.value,
            detail={"sentence": verdict.sentence, "answer": change.answer, **found_late(ending)},
        )
        columns = {
            "status": verdict.status,
            "sentence": verdict.sentence,
            "live": change.live,
            "answer": change.answer,
            "found": ending.found,
            "calls": [*change.calls, *ending.calls],
            "event_id": event.pk,
            # A late record must not count as newer than what was found after it.
            "finished_at": ending.found_at or now,
            "claimed_until": None,
            "check_at": next_check(change, verdict, now),
            "words": searched_text(change.searched_texts()),  # now that it has been applied by somebody
        }
        Change.objects.filter(pk=change.pk).update(**columns)
        for name, value in columns.items():
            setattr(change, name, value)
        if verdict.status in LEFT_SOMETHING:
            outside_judge({(change.pbx_id, change.number), (change.pbx_id, change.number_now)})


def found_late(ending: Ending) -> dict[str, str]:
    """Return what the event says of an ending that is recorded after it was found: events since then may be newer."""
    return {"found_at": ending.found_at.isoformat()} if ending.found_at else {}


def is_late(change: Change, ending: Ending) -> bool:
    """Tell whether somebody settled the change while its sender was held up, and the sender has nothing to add.

    A process can be frozen for longer than its claim lasts. What it then found by reading is still a fact; that it
    sent nothing itself, or does not know, is not one about the change.
    """
    now = Change.objects.select_for_update().only("status", "claimed_until", "found").get(pk=change.pk)
    if now.status == change.status:  # of a plan: somebody else claimed it after us
        return now.status == Status.PLANNED and now.claimed_until != change.claimed_until
    is_fact = change.status == Status.SENDING and ending.found is not None
    return not is_fact or (now.status, now.found) == (ending.verdict.status, ending.found)


def answer_of(change: Change, ending: Ending) -> dict[str, Any]:
    """Return what the PBX said to the change, as stored: now, or as known before."""
    return asdict(ending.answer) if ending.answer else change.answer


def change_event(action: EventAction, change: Change, *, outcome: str, detail: dict[str, Any]) -> Event:
    """Record an event of a change, with every field's value before, as asked and as found."""
    before, found = change.live or change.base, change.found or {}
    return record(
        action,
        customer=(change.customer_id, change.customer_name),
        pbx=(change.pbx_id, change.pbx_name),
        ivr=(change.number, change.name),
        change_id=change.pk,
        batch_id=change.batch_id,
        fields={
            name: {"before": before.get(name), "asked": asked, "found": found.get(name)}
            for name, asked in change.wanted.items()
        },
        reason=change.reason,
        ticket=change.ticket,
        outcome=outcome,
        detail=detail,
    )


def as_spooled(change: Change, ending: Ending) -> dict[str, Any]:
    """Return an ending as it waits on disk; `reconcile` reads it."""
    return {
        "change": change.pk,
        "answer": answer_of(change, ending),
        "verdict": asdict(ending.verdict),
        "calls": list(ending.calls),
        "found": ending.found,
        "at": timezone.now().isoformat(),
    }


def calls_as_stored(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Return exchanges with a PBX as a change keeps them: which, in words, how long, and what failed."""
    return [
        {
            "call": call.name,
            "words": CALL_WORDS[call.kind],
            "seconds": round(call.seconds, 3),
            "error": str(call.error or ""),
        }
        for call in calls
    ]


def next_check(change: Change, verdict: Verdict, now: datetime) -> datetime | None:
    """Return when the change is read again by itself, or None."""
    if verdict.status is Status.UNKNOWN:
        return retry_at(change, now)
    if verdict.look_again and change.status != Status.NOT_AS_ASKED:  # else this was the second look
        return now + timedelta(seconds=LOOK_AGAIN_S)
    return None


def retry_at(change: Change, now: datetime) -> datetime:
    """Return when to read again a PBX that could not be read; later with each check."""
    return now + timedelta(seconds=CHECK_AFTER_S[min(change.checks, len(CHECK_AFTER_S) - 1)])
