"""Periods of a customer's log, and their sign-off."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import transaction
from django.db.models import Count, Max
from django.utils import timezone

from pbxadmin.access.models import Customer
from pbxadmin.access.names import saving_a_name
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.chain import verify
from pbxadmin.audit.checkpoints import Checkpoint, Head, heads_by_chain, newest_head, read_checkpoints
from pbxadmin.audit.log import hold, record
from pbxadmin.audit.models import MAX_ID, Event, is_text
from pbxadmin.web.words import number_of

from .desk import chain_read, reading_hold
from .models import DeskItem, DeskItemQuerySet, Period
from .selectors import within_period


class NotReady(Exception):
    """A period cannot be signed off now. str() says why, for the auditor."""


def month(day: date) -> tuple[date, date]:
    """Return the first and the last day of the month of a day."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def quarter(day: date) -> tuple[date, date]:
    first = day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return first, month(first + timedelta(days=62))[1]


def quarter_number(day: date) -> int:
    return (day.month + 2) // 3


def stretches(today: date, stretch: Callable[[date], tuple[date, date]], count: int) -> list[tuple[date, date]]:
    """Return first and last day of the current month or quarter and of those before, the newest first."""
    found, day = [], today
    for _ in range(count):
        found.append(stretch(day))
        day = found[-1][0] - timedelta(days=1)
    return found


def period_add(*, customer: Customer, starts_on: date, ends_on: date, by: str) -> Period:
    """Raises ValidationError when the customer has this period already, or it ends before it starts."""
    period = Period(customer=customer, starts_on=starts_on, ends_on=ends_on, added_by_name=by)
    with saving_a_name(period.validate_constraints):
        period.validate_constraints()
        period.save()
        period_event(EventAction.PERIOD_ADDED, period)
    return period


@dataclass(frozen=True)
class ChainState:
    """The state of the chain of a period's customer, compared with its newest checkpoint.

    last: its last number, 0 for none. Everything before the checkpoint is checked when the period is signed.
    """

    last: int
    checkpoint: Checkpoint | None = None
    head: Head | None = None
    holds_checkpoint: bool = False


def chain_state(period: Period) -> ChainState:
    chain = chain_of(period)
    last = Event.objects.filter(chain=chain, sequence__lte=MAX_ID).aggregate(last=Max("sequence"))["last"] or 0
    found = newest_head(chain)
    if found is None:
        return ChainState(last)
    return ChainState(last, *found, Event.objects.hash_at(chain, found[1].sequence) == found[1].hash)


def counts_in(period: Period, reviews: int) -> dict[str, int]:
    """Count the events in the period by outcome ("" for none), without the work of auditors on it, `reviews_in`."""
    found = within_period(Event.objects.filter(customer_id=period.customer_id), period.starts_on, period.ends_on)
    counts: Counter[str] = Counter()
    for outcome, count in found.order_by().values_list("outcome").annotate(count=Count("pk")):
        counts[outcome if is_text(outcome) else ""] += count
    counts[""] -= reviews
    return +counts


def reviews_in(period: Period) -> int:
    """Count the events of the auditors' work in the period: reviews and sign-offs."""
    found = Event.objects.filter(customer_id=period.customer_id, action__in=EventGroup.REVIEW.actions)
    return within_period(found, period.starts_on, period.ends_on).count()


def items_in(period: Period) -> DeskItemQuerySet:
    return DeskItem.objects.filter(customer_id=period.customer_id).within(*period.bounds)


def period_sign(*, period: Period, by: str) -> None:
    """Sign a period off when its customer's chain is whole and fits its checkpoints and every exception was reviewed.

    by: the name of the auditor, who is the actor of the event. Raises NotReady. From the first count on nobody else can
    append to this chain, so that no exception slips in between. Locks are taken in the order in which the desk takes
    them when it reads, so that neither waits for the other.
    """
    file = read_checkpoints()
    if file.faults:
        raise NotReady(f"The checkpoints of the log are not whole. First: {file.faults[0]}")
    # Outside the transaction: this reads the whole chain, and others may go on appending meanwhile.
    faults = verify(chain_of(period), heads_by_chain(file.entries)).faults
    if faults:
        raise NotReady(f"The chain of {period.customer} has {number_of(len(faults), 'fault')}. First: {faults[0]}")
    with transaction.atomic():
        reading_hold(chain_of(period))
        period = Period.objects.select_for_update(of=("self",)).select_related("customer").get(pk=period.pk)
        if period.state == "signed":
            return
        # From here on nobody else appends: count, record, and let the desk read up to the signature.
        hold(chain_of(period))
        counts = counts_in(period, reviews_in(period))
        by_outcome = {outcome or "none": count for outcome, count in sorted(counts.items())}
        event = period_event(EventAction.PERIOD_SIGNED, period, events=by_outcome)
        while chain_read(event.chain):
            pass
        still_open = items_in(period).still_open().count()
        if still_open:
            raise NotReady(still_open_words(still_open))
        columns = {
            "signed_at": timezone.now(),
            "signed_by_name": by,
            "signed_sequence": event.sequence,
            "signed_event_id": event.pk,
            "reopened_at": None,
            "reopened_why": "",
        }
        Period.objects.filter(pk=period.pk).update(**columns)


def chain_of(period: Period) -> str:
    return f"customer:{period.customer_id}"


def still_open_words(count: int) -> str:
    first = "1 exception of this period is" if count == 1 else f"{count} exceptions of this period are"
    return f"{first} still open. Review what is left first."


def period_event(action: EventAction, period: Period, **more: object) -> Event:
    days = {"from": period.starts_on.isoformat(), "to": period.ends_on.isoformat()}
    customer = (period.customer_id, period.customer.name)
    return record(action, customer=customer, detail={"period": period.pk, **days, **more})
