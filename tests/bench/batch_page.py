"""The page of a batch of 5,000 that is running, against one without targets."""

import gzip
from datetime import timedelta
from itertools import cycle

from django.db import connection
from django.utils import timezone

from ivr.models import Ivr
from pbxadmin.access.models import User
from pbxadmin.access.services import customer_create
from pbxadmin.audit.context import Actor
from pbxadmin.batches.models import Batch, BatchState, BatchUnit, TargetClass
from pbxadmin.batches.selectors import chosen_of
from pbxadmin.batches.services import Pace, batch_plan
from pbxadmin.fleet.models import Pbx

from .figures import goal, heading, in_turns, table
from .ivr_list import get, ivr, pbx, queries, signed_in

CUSTOMERS, PBXS, EACH, IN_HAND = 50, 500, 10, 8
ROUNDS = 20
KIB = 1024


def main() -> None:
    heading(f"The page of a running batch of {PBXS * EACH:,} IVRs on {PBXS} PBXs, {IN_HAND} in hand, {ROUNDS} rounds")
    admin = User.objects.create_superuser("bench-batch", password="only-for-the-bench")
    fill()
    client = signed_in(admin)
    empty, full = running(admin, 0), running(admin, PBXS * EACH)
    ways = {
        "without targets": get(client, empty.get_absolute_url()),
        "5,000, page": get(client, full.get_absolute_url()),
        "5,000, poll": get(client, full.get_absolute_url(), **{"HX-Request": "true"}),
    }
    taken = in_turns(ways, ROUNDS)
    table(taken, "without targets")
    poll = ways["5,000, poll"]
    goal("page, x one without targets (min)", min(taken["5,000, page"]) / min(taken["without targets"]), 2.0)
    goal("queries of the page", queries(ways["5,000, page"]), 12)
    goal("KiB of a poll, compressed", len(gzip.compress(poll().encode(), 6)) / KIB, 30)


def fill() -> None:
    now = timezone.now()
    customers = cycle([customer_create(name=f"Customer_{number:03}") for number in range(CUSTOMERS)])
    pbxs = Pbx.objects.bulk_create(pbx(next(customers), number) for number in range(PBXS))
    Ivr.objects.bulk_create((ivr(one, number, now) for one in pbxs for number in range(EACH)), batch_size=1000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def running(admin: User, count: int) -> Batch:
    """Store a batch that is half done: every tenth of those done was not verified."""
    rows = Ivr.objects.select_related("pbx__customer").order_by("pk")[:count]
    wanted = {"response_timeout": "9"}
    actor = Actor(admin.pk, admin.username)
    batch = batch_plan(chosen=chosen_of(rows, wanted), wanted=wanted, pace=Pace(pbxs_at_once=IN_HAND), actor=actor)
    now = timezone.now()
    previewed = {"klass": TargetClass.WOULD_CHANGE, "wanted": wanted, "base": {"response_timeout": "3"}, "read_at": now}
    targets = batch.targets.all()
    targets.update(**previewed)
    done = targets.filter(place__lt=count // 2)
    done.update(outcome="verified", sentence="Verified.", finished_at=now)
    done.filter(pk__in=[pk for pk in done.values_list("pk", flat=True) if pk % 10 == 0]).update(outcome="refused")
    in_hand = BatchUnit.objects.filter(batch=batch).order_by("pk")[count // EACH // 2 :][:IN_HAND]
    BatchUnit.objects.filter(pk__in=list(in_hand.values_list("pk", flat=True))).update(
        claimed_until=now + timedelta(hours=1)
    )
    started = {"previewed_at": now, "started_at": now, "resumed_at": now - timedelta(minutes=9), "is_canary_done": True}
    Batch.objects.filter(pk=batch.pk).update(state=BatchState.RUNNING, **started)
    return batch
