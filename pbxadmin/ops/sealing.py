"""The log is sealed once a day by itself, and says so when it does not hold what was sealed before."""

import logging
from datetime import timedelta

from django.utils import timezone

from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.seals import heads_by_chain, read_seals, seal, sealed_mail

from .models import Turn

log = logging.getLogger(__name__)

EVERY = timedelta(days=1)
AGAIN = timedelta(minutes=10)
WHOLE = ("daily", "command", "accepted")  # seals of all chains


def seal_when_due() -> int:
    """Seal all chains when a day has gone since the last time; what fails is tried again ten minutes later."""
    now = timezone.now()
    Turn.objects.get_or_create(name="seal", defaults={"due_at": now})
    if not Turn.objects.filter(name="seal", due_at__lte=now).update(due_at=now + AGAIN):
        return 0
    if lost := lost_since_sealed():
        log.error("the audit log does not hold what was sealed: %s", "; ".join(lost))
        record("log.regressed", detail={"lost": lost})
    done = seal("daily")
    Turn.objects.filter(name="seal").update(due_at=now + EVERY, done_at=timezone.now())
    try:
        sealed_mail(done)
    except Exception:
        log.exception("audit log: %s could not be mailed", done.where)
    return 1


def lost_since_sealed() -> list[str]:
    """Chains whose last sealed event is gone or another one, as after a restore of an older database; in words.

    Only what was sealed since the last seal of all chains is looked at, with that one: nothing is said twice.
    """
    seals = read_seals().seals
    daily = max((place for place, seal in enumerate(seals) if seal.why in WHOLE), default=0)
    lost = []
    for chain, places in heads_by_chain(seals[daily:]).items():
        head = places[max(places)][-1]
        found = Event.objects.filter(chain=chain, sequence=head.sequence).values_list("hash", flat=True).first()
        if found != head.hash:
            what = "missing" if found is None else "another event"
            lost.append(f"{chain} {head.sequence}: {what} ({head.where})")
    return lost
