"""The tick: runs the periodic jobs, every ten seconds, in one process at a time."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event

from django.db import DatabaseError, close_old_connections, connections
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from ivr.changes.reconcile import reconcile, replay_spool
from ivr.refresh import refresh_due, refresh_rekick, runs_forget
from pbxadmin.accounts.services import sessions_expire
from pbxadmin.api.idempotency import answers_forget
from pbxadmin.batches.work import batches_kick
from pbxadmin.fleet.contacts import contacts_roll_up
from pbxadmin.fleet.imports import imports_forget
from pbxadmin.notices.deliver import notices_work
from pbxadmin.policies.watching import exceptions_expire, policies_recheck_due
from pbxadmin.review.desk import desk_read
from pbxadmin.review.rollup import roll_up
from pbxadmin.webhooks.deliver import webhooks_work

from .checkpointing import checkpoint_when_due
from .models import PeriodicJob

log = logging.getLogger(__name__)

EVERY_S = 10
LOOK_S = 2.0
LATE_S = 60
KICKS_KEPT = timedelta(days=1)


def kicks_forget() -> int:
    """Delete the queue's rows of tasks that started a day ago; the work itself has its own rows. Return how many."""
    old = DBTaskResult.objects.filter(started_at__lt=timezone.now() - KICKS_KEPT)
    return old.delete()[0]


JOBS: tuple[Callable[[], int], ...] = (
    replay_spool,
    reconcile,
    refresh_rekick,
    refresh_due,
    runs_forget,
    batches_kick,
    kicks_forget,
    exceptions_expire,
    policies_recheck_due,
    desk_read,
    notices_work,
    webhooks_work,
    sessions_expire,
    imports_forget,
    answers_forget,
    roll_up,
    contacts_roll_up,
    checkpoint_when_due,
)


def tick() -> bool:
    """Run every job when a tick is due; return whether it was. A job that fails is logged, and the others still run."""
    now = timezone.now()
    PeriodicJob.objects.get_or_create(name="tick", defaults={"due_at": now})
    if not PeriodicJob.objects.filter(name="tick", due_at__lte=now).update(due_at=now + timedelta(seconds=EVERY_S)):
        return False
    for job in JOBS:
        try:
            job()
        except Exception:
            log.exception("tick: %s failed", job.__name__)
    PeriodicJob.objects.filter(name="tick").update(done_at=timezone.now())
    return True


def ticks(stopping: Event, beat: Callable[[], None]) -> None:
    """Tick until told to stop; while the database cannot be reached, keep trying. beat: called at each look."""
    while not stopping.is_set():
        try:
            close_old_connections()
            beat()
            tick()
        except DatabaseError as error:
            log.error("tick: no turn, the database says %s", error)
        except Exception:
            log.exception("tick: no turn")
        stopping.wait(LOOK_S)
    connections.close_all()


def last_tick() -> datetime | None:
    return PeriodicJob.objects.filter(name="tick").values_list("done_at", flat=True).first()
