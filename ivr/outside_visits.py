"""When people look at the outside changes, so that a list can begin where somebody stopped."""

from datetime import datetime, timedelta

from django.utils import timezone

from .models import OutsideVisit

VISIT_GAP = timedelta(hours=1)  # somebody who was away for longer comes for another visit
NOTED_EVERY = timedelta(minutes=1)
# An event is shown once its transaction is over, which may be after somebody looked.
SLOWEST_EVENT = timedelta(minutes=1)


def visit_note(person_id: int) -> datetime | None:
    """Note that a person looks now. Return the time from which on they have seen nothing, None on a first visit."""
    now = timezone.now()
    visit = OutsideVisit.objects.filter(pk=person_id).first()
    if visit is None:
        OutsideVisit.objects.bulk_create([OutsideVisit(person_id=person_id, last_at=now)], ignore_conflicts=True)
        return None
    is_another = now - visit.last_at > VISIT_GAP
    before_at = visit.last_at if is_another else visit.before_at
    if now - visit.last_at > NOTED_EVERY:
        OutsideVisit.objects.filter(pk=person_id).update(last_at=now, before_at=before_at)
    return before_at - SLOWEST_EVENT if before_at else None
