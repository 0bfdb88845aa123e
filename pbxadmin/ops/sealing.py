"""The log is sealed once a day by itself, and says so when it does not hold what was sealed before."""

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta

from django.utils import timezone

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.seals import Kept, Seal, heads_by_chain, read_seals, seal, sealed_mail
from pbxadmin.web.words import number_of

from .models import PeriodicJob

log = logging.getLogger(__name__)

EVERY = timedelta(days=1)
AGAIN = timedelta(minutes=10)
WHOLE = ("daily", "command", "accepted")  # seals of all chains


def seal_when_due() -> int:
    """Seal all chains when a day has gone since the last time; what fails is tried again ten minutes later."""
    now = timezone.now()
    PeriodicJob.objects.get_or_create(name="seal", defaults={"due_at": now})
    if not PeriodicJob.objects.filter(name="seal", due_at__lte=now).update(due_at=now + AGAIN):
        return 0
    kept = read_seals()
    if lost := [*lost_since_sealed(kept.seals), *wrong_with(kept)]:
        log.error("the audit log does not hold what was sealed: %s", "; ".join(lost))
        record(EventAction.LOG_REGRESSED, detail={"lost": lost})
    done = seal("daily")
    PeriodicJob.objects.filter(name="seal").update(due_at=now + EVERY, done_at=timezone.now())
    try:
        sealed_mail(done)
    except Exception:
        log.exception("audit log: %s could not be mailed", done.where)
    return 1


def wrong_with(kept: Kept) -> Iterator[str]:
    """What is wrong with the seals themselves, in one line however many they are."""
    if kept.faults:
        yield f"its seals have {number_of(len(kept.faults), 'fault')}, see audit_verify; the first is {kept.faults[0]}"
    yield from missing(kept)


def missing(kept: Kept) -> Iterator[str]:
    """That there is not one seal of a log that was sealed."""
    if not kept.seals and not kept.faults and PeriodicJob.objects.filter(name="seal", done_at__isnull=False).exists():
        yield "the log was sealed, but there is no seal on this machine"


def lost_since_sealed(seals: Sequence[Seal]) -> list[str]:
    """Chains whose last sealed event is gone or another one, as after a restore of an older database; in words.

    Only what was sealed since the last seal of all chains is looked at, with that one: nothing is said twice.
    """
    daily = max((place for place, seal in enumerate(seals) if seal.why in WHOLE), default=0)
    lost = []
    for chain, places in heads_by_chain(seals[daily:]).items():
        head = places[max(places)][-1]
        found = Event.objects.hash_at(chain, head.sequence)
        if found != head.hash:
            what = "missing" if found is None else "another event"
            lost.append(f"{chain} {head.sequence}: {what} ({head.where})")
    return lost
