"""The desk: exceptions picked out of the log as it grows, each open until an auditor marks it reviewed.

The log alone decides what is on the desk. A chain has no gaps and its events are committed in order, so the desk reads
each chain from where it stopped, and never by event ids, which may be committed out of order.
"""

import logging
import time
from collections.abc import Collection, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Max, OuterRef, Q, Subquery
from django.utils import timezone

from pbxadmin.access.customer_rules import is_at_work
from pbxadmin.access.models import Customer, as_named
from pbxadmin.access.rules import Rule
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import AuditContext, acting
from pbxadmin.audit.log import record
from pbxadmin.audit.models import MAX_ID, Event, is_text

from .kinds import LOOKED_AT, Facts, kinds_of
from .models import DeskItem, DeskReading
from .reopening import periods_reopen

log = logging.getLogger(__name__)

EVENTS_AT_A_TIME = 1000
READ_S = 5.0
# A chain's event may be committed after one of another chain with a higher id, but not thousands of events later.
LOOK_BACK = 5000
REFUSED_AGAIN = timedelta(days=1)
GONE = "Gone from the log"


def desk_read(seconds: float = READ_S) -> int:
    """Read the events that came into the log since the last time; return how many. Stops after `seconds`.

    A chain that cannot be read does not stop the others, and is tried again the next time.
    """
    give_up = time.monotonic() + seconds
    seen, _ = DeskReading.objects.get_or_create(chain="")
    newest = Event.objects.aggregate(newest=Max("id"))["newest"] or 0
    count, is_whole = 0, True
    for chain in chains_to_read(max(seen.sequence - LOOK_BACK, 0)):
        try:
            while took := chain_read(chain):
                count += took
                if time.monotonic() > give_up:
                    return count
        except Exception:
            log.exception("desk: chain %s could not be read", chain)
            is_whole = False
    if is_whole:
        DeskReading.objects.filter(chain="", sequence=seen.sequence).update(sequence=newest)
    return count


def chains_to_read(after: int) -> list[str]:
    """Return the chains with events after this id that hold something new, or something else than was read."""
    last = Max("sequence", filter=Q(sequence__lte=MAX_ID))
    events = Event.objects.filter(id__gt=after).order_by().values_list("chain").annotate(last=last)
    recent = {chain: number or 0 for chain, number in events if is_text(chain)}
    here = Event.objects.filter(chain=OuterRef("chain"), sequence=OuterRef("sequence"))
    readings = DeskReading.objects.filter(chain__in=recent).annotate(kept=Subquery(here.values("hash")[:1]))
    read = {row.chain: row.sequence for row in readings if row.hash in ("", row.kept)}
    return sorted(chain for chain, number in recent.items() if number > read.get(chain, -1))


@acting(AuditContext())  # not the person whose page made us look, nor their address
def chain_read(chain: str) -> int:
    """Read one batch of a chain; return how many events. 0 when nothing is new, or another process reads it now."""
    reading, _ = DeskReading.objects.get_or_create(chain=chain)
    if reading.hash and reading.hash != Event.objects.hash_at(chain, reading.sequence):
        read_anew(reading)
    following = Event.objects.filter(chain=chain, sequence__gt=reading.sequence, sequence__lte=MAX_ID)
    events = [event for event in following.order_by("sequence")[:EVENTS_AT_A_TIME] if event.sequence]
    if not events:
        return 0
    with transaction.atomic():
        here = DeskReading.objects.filter(chain=chain, sequence=reading.sequence)
        if not here.update(sequence=events[-1].sequence, hash=events[-1].hash):
            return 0
        customer = customer_of_chain(chain)
        DeskItem.objects.bulk_create(items_of(events, customer), ignore_conflicts=True)
        if customer:
            periods_reopen(customer, events)
    return len(events)


def read_anew(reading: DeskReading) -> None:
    """Read a chain from its start: it is not the one that was read, but cut off, or of an older copy of the database.

    Its new events have numbers that were read already and would be skipped. Items on the desk stay as they are.
    """
    sentence = f"The desk had read {reading.chain} up to number {reading.sequence}, which is gone or another event."
    log.error("%s It is read anew.", sentence)
    here = DeskReading.objects.filter(chain=reading.chain, sequence=reading.sequence, hash=reading.hash)
    with transaction.atomic():
        if here.update(sequence=0, hash=""):
            record(
                EventAction.LOG_REGRESSED,
                customer=as_named(customer_of_chain(reading.chain)),
                detail={"sentence": sentence},
            )
    reading.refresh_from_db()


def reading_hold(chain: str) -> None:
    """Keep other processes from reading this chain until the caller's transaction ends."""
    DeskReading.objects.get_or_create(chain=chain)
    DeskReading.objects.select_for_update().get(chain=chain)


def items_of(events: Sequence[Event], customer: Customer | None) -> list[DeskItem]:
    items = []
    for event in events:
        kinds = list(kinds_of(facts_of(event, customer))) if event.action in LOOKED_AT else []
        if kinds:
            names = f" {' '.join(kinds)} "
            items.append(DeskItem(event_id=event.pk, customer_id=event.customer_id, at=event.at, kinds=names))
    return items


def customer_of_chain(chain: str) -> Customer | None:
    number = chain.removeprefix("customer:")
    return Customer.objects.filter(pk=number).first() if number.isdecimal() and len(number) < 19 else None


def facts_of(event: Event, customer: Customer | None) -> Facts:
    return Facts(
        event.data,
        was_refused_before=event.outcome == "refused" and refused_before(event),
        is_out_of_hours=customer is not None and not is_at_work(customer, event.at),
        needs_reason=customer is not None and customer.reason_rule == Rule.REQUIRED,
    )


def refused_before(event: Event) -> bool:
    same = Event.objects.filter(pbx_id=event.pbx_id, ivr_number=event.ivr_number, outcome="refused", id__lt=event.pk)
    return same.filter(at__gte=event.at - REFUSED_AGAIN).exists()


def events_of(items: Collection[DeskItem]) -> dict[int, Event]:
    """Return the events of these items by id. For one that is gone from the log, return what the desk knows of it."""
    events = Event.objects.in_bulk([item.event_id for item in items])
    gone = [item for item in items if item.event_id not in events]
    names = Customer.objects.in_bulk({item.customer_id for item in gone if item.customer_id})
    for item in gone:
        name = names[item.customer_id].name if item.customer_id in names else ""
        events[item.event_id] = Event(
            pk=item.event_id, at=item.at, action=GONE, customer_id=item.customer_id, customer_name=name
        )
    return events


def items_review(items: Collection[DeskItem], *, note: str, by: str) -> int:
    """Mark items reviewed, each with an event; return how many were still open.

    by: the name of the auditor, who is the actor of the events.
    """
    events, count = events_of(items), 0
    with transaction.atomic():
        for item in sorted(items, key=lambda item: item.customer_id or 0):  # in the order in which chains are locked
            mark = {"reviewed_at": timezone.now(), "reviewed_by_name": by, "note": note}
            if DeskItem.objects.still_open().filter(pk=item.pk).update(**mark):
                mark_record(item, events[item.event_id], note)
                count += 1
    return count


def mark_record(item: DeskItem, event: Event, note: str) -> None:
    said = event.data
    record(
        EventAction.DESK_REVIEWED,
        customer=(said["customer_id"], said["customer_name"]) if said["customer_id"] else None,
        pbx=(said["pbx_id"], said["pbx_name"]) if said["pbx_id"] else None,
        ivr=(said["ivr_number"], said["ivr_name"]) if said["ivr_number"] else None,
        change_id=event.change_id,
        detail={"event": event.pk, "kinds": item.kind_names},
        reason=note,
    )
