"""A checkpoint of the log once a day, and an event when the log does not hold what earlier checkpoints say."""

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import Report, verify
from pbxadmin.audit.checkpoints import (
    Checkpoint,
    CheckpointFile,
    checkpoint_mail,
    checkpoint_make,
    heads_by_chain,
    read_checkpoints,
)
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_missing
from pbxadmin.web.words import number_of

from .models import PeriodicJob

log = logging.getLogger(__name__)

EVERY = timedelta(days=1)
AGAIN = timedelta(minutes=10)
WHOLE = ("daily", "command", "accepted")  # checkpoints of all chains


def checkpoint_when_due() -> int:
    """Make a checkpoint of all chains once a day; return how many were made. A failure is retried after ten minutes."""
    now = timezone.now()
    PeriodicJob.objects.get_or_create(name="seal", defaults={"due_at": now})
    if not PeriodicJob.objects.filter(name="seal", due_at__lte=now).update(due_at=now + AGAIN):
        return 0
    file = read_checkpoints()
    if lost := [*lost_since_checkpoint(file.entries), *file_problems(file)]:
        log.error("the audit log does not hold what its checkpoints say: %s", "; ".join(lost))
        record(EventAction.LOG_REGRESSED, detail={"lost": lost})
    done = checkpoint_make("daily")
    PeriodicJob.objects.filter(name="seal").update(due_at=now + EVERY, done_at=timezone.now())
    try:
        checkpoint_mail(done)
    except Exception:
        log.exception("audit log: %s could not be mailed", done.where)
    return 1


def log_faults(file: CheckpointFile) -> tuple[Report, list[str]]:
    """Verify all chains against these checkpoints, and the triggers; return the report and every fault in words."""
    report = verify(known=heads_by_chain(file.entries))
    faults = [str(fault) for fault in report.faults] + [*file.faults, *missing_checkpoints(file)]
    for name in triggers_missing(connection):
        faults.append(f"trigger {name} is missing: the database would let events be altered")
    return report, faults


def file_problems(file: CheckpointFile) -> Iterator[str]:
    """Say what is wrong with the file of checkpoints, in one line however many faults it has."""
    if file.faults:
        faults = number_of(len(file.faults), "fault")
        yield f"its checkpoints have {faults}, see audit_verify; the first is {file.faults[0]}"
    yield from missing_checkpoints(file)


def missing_checkpoints(file: CheckpointFile) -> Iterator[str]:
    """Say so when checkpoints were made and none is left."""
    if not file.entries and not file.faults and PeriodicJob.objects.filter(name="seal", done_at__isnull=False).exists():
        yield "checkpoints of the log were made, but there is none on this machine"


def lost_since_checkpoint(checkpoints: Sequence[Checkpoint]) -> list[str]:
    """Name the chains that do not hold their newest checkpoint, as after a restore of an older database.

    Only the last checkpoint of all chains and the later ones are compared: nothing is reported twice.
    """
    daily = max((place for place, checkpoint in enumerate(checkpoints) if checkpoint.why in WHOLE), default=0)
    lost = []
    for chain, places in heads_by_chain(checkpoints[daily:]).items():
        head = places[max(places)][-1]
        found = Event.objects.hash_at(chain, head.sequence)
        if found != head.hash:
            what = "missing" if found is None else "another event"
            lost.append(f"{chain} {head.sequence}: {what} ({head.where})")
    return lost
