"""The pages of a single edit while a batch of 5,000 IVRs runs in the same process, against the same pages at rest."""

import time
from statistics import median
from threading import Event, Thread
from typing import Any

from django.db import connections
from django.test import Client

from ivr.models import Change, Ivr
from pbxadmin.access.models import User
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import Actor
from pbxadmin.batches.models import Batch, BatchState
from pbxadmin.batches.selectors import chosen_of
from pbxadmin.batches.services import Pace, batch_continue, batch_plan, batch_start
from pbxadmin.batches.work import work_slice
from pbxadmin.fleet.models import Pbx
from tests.factories import make_customer, make_pbx, make_user

from .batch_run import one_reading, worked
from .edit_calls import changed
from .figures import goal, heading
from .fleet import distant_fleet
from .refresh_run import record_of

PBXS, EACH, LATENCY_S, EDITS = 50, 100, 0.2, 10
PAGES = ("form", "plan", "apply")


def main() -> None:
    heading(f"The pages of {EDITS} edits beside a batch of {PBXS * EACH:,} IVRs, {LATENCY_S * 1000:.0f} ms each call")
    with distant_fleet(PBXS + 1, LATENCY_S, EACH) as fleet:
        customer = make_customer()
        of_person, *_ = [make_pbx(customer, **record_of(pbx)) for pbx in fleet.pbxs]
        admin = User.objects.create_superuser("bench-batch", password="only-for-the-bench")
        client = Client()
        client.force_login(make_user(Role.MANAGER, customer))
        one_reading(Pbx.objects.all())
        at_rest = edits(client, of_person, ("4", "5"))
        batch = running(admin, of_person)
        is_over = Event()
        worker = Thread(target=work_until, args=(batch, is_over))
        worker.start()
        beside = edits(client, of_person, ("6", "7"))
        done = Change.objects.filter(batch_id=batch.pk, status=Change.Status.VERIFIED).count()
        is_over.set()
        Batch.objects.filter(pk=batch.pk).update(state=BatchState.STOPPED)
        worker.join()
    print(f"{done} targets verified meanwhile\n{'':<10}{'x':>6}{'at rest s':>11}{'beside s':>10}")
    for page in PAGES:
        ratio = median(beside[page]) / median(at_rest[page])
        print(f"{page:<10}{ratio:>6.2f}{median(at_rest[page]):>11.3f}{median(beside[page]):>10.3f}")
        goal(f"{page}, x at rest (median)", ratio, 1.5)


def running(admin: User, of_person: Pbx) -> Batch:
    """Return a batch over all other PBXs that has gone on after its first IVR."""
    rows = Ivr.objects.exclude(pbx=of_person).select_related("pbx__customer")
    wanted, actor = {"response_timeout": "9"}, Actor(admin.pk, admin.username)
    pace = Pace(canary=1, halt_after=1000)
    batch = batch_plan(chosen=chosen_of(rows, wanted), wanted=wanted, pace=pace, actor=actor)
    worked(batch)
    batch.refresh_from_db()
    batch_start(batch=batch, actor=actor, confirmed=True)
    worked(batch)
    batch.refresh_from_db()
    batch_continue(batch=batch)
    return batch


def work_until(batch: Batch, is_over: Event) -> None:
    while not is_over.is_set():
        work_slice(batch.pk)
    connections.close_all()


def edits(client: Client, pbx: Pbx, values: tuple[str, str]) -> dict[str, list[float]]:
    """Return the seconds of each page of EDITS edits of one IVR, whose value goes to and fro."""
    taken: dict[str, list[float]] = {page: [] for page in PAGES}
    form = f"/pbxs/{pbx.pk}/ivrs/6500/edit/"
    for turn in range(EDITS):
        shown = timed(taken["form"], client.get, form)
        data = changed(shown.content.decode(), response_timeout=values[turn % 2])
        planned = timed(taken["plan"], client.post, form, data)
        timed(taken["apply"], client.post, f"{planned['Location']}apply/")
    return taken


def timed(taken: list[float], ask: Any, *args: Any) -> Any:
    began = time.perf_counter()
    answer = ask(*args)
    taken.append(time.perf_counter() - began)
    return answer
