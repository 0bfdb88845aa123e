"""What happened to an IVR, a PBX, a customer or a person, newest first: one selector over the events of the log."""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import NamedTuple
from urllib.parse import urlencode

from django.urls import reverse

from ivr.addresses import ivr_address
from ivr.models import Change
from pbxadmin.access.models import AnyUser, Customer, User
from pbxadmin.access.permissions import can, can_anywhere, customer_ids
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventGroup
from pbxadmin.audit.models import MAX_ID, Event, EventQuerySet
from pbxadmin.fleet.models import Pbx

from .access_on import ABOUT_ACCESS
from .folds import Sent, folded
from .selectors import EventFilter
from .wording import gist

# What everybody sees of what they may see. The rest is for who reviews the log.
OPEN_GROUPS = (
    EventGroup.CHANGE_STEP,
    EventGroup.CHANGE_OUTCOME,
    EventGroup.OUTSIDE,
    EventGroup.OUTSIDE_DECISION,
    EventGroup.RING,
    EventGroup.CONTACT,
    EventGroup.PBX_IDENTITY,
    EventGroup.POLICY_EXCEPTION,
)
OPEN_ACTIONS = frozenset().union(*(group.actions for group in OPEN_GROUPS))
# The icon and the tone of a line; in this order, and for all others the last.
MARKS = (
    ("outside", "arrow-top-right-on-square", (EventGroup.OUTSIDE, EventGroup.OUTSIDE_DECISION)),
    ("accent", "pencil-square", (EventGroup.CHANGE_STEP, EventGroup.CHANGE_OUTCOME, EventGroup.BATCH)),
    ("calm", "users", (EventGroup.ROLE, EventGroup.PERSON, EventGroup.SIGN_IN, EventGroup.DENIED)),
    ("calm", "signal", (EventGroup.CONTACT, EventGroup.RING, EventGroup.PBX_IDENTITY)),
)
MOST_MOVED = 500  # changes from under other numbers
OTHER_MARK = ("calm", "document-text")


@dataclass(frozen=True)
class Subject:
    """What a timeline is of. query, log_query: of its own page, and of the log. sources: events, whose union it is.

    customer_id: whose it is; None for a person. places: names that its lines need not repeat. customer_name: of a PBX
    or an IVR, whose name does not say it.
    """

    name: str
    address: str
    query: str
    log_query: str
    customer_id: int | None
    sources: tuple[EventQuerySet, ...]
    places: tuple[str, ...] = ()
    customer_name: str = ""


def of_customer(customer: Customer) -> Subject:
    query, events = urlencode({"customer": customer.pk}), Event.objects.filter(customer_id=customer.pk)
    return Subject(customer.name, customer.get_absolute_url(), query, query, customer.pk, (events,))


def of_pbx(pbx: Pbx) -> Subject:
    query, events = urlencode({"pbx": pbx.pk}), Event.objects.filter(pbx_id=pbx.pk)
    whose = pbx.customer.name
    return Subject(pbx.name, pbx.get_absolute_url(), query, query, pbx.customer_id, (events,), (pbx.name,), whose)


def of_ivr(pbx: Pbx, number: str) -> Subject:
    """Return what happened under this number, and the changes of the IVR from the time when it had others."""
    moves = Change.objects.of_ivr(pbx.pk, number).exclude(number=number).order_by("-pk").values_list("pk", flat=True)
    sources = (
        Event.objects.filter(pbx_id=pbx.pk, ivr_number=number),
        Event.objects.filter(change_id__in=list(moves[:MOST_MOVED])).exclude(ivr_number=number),
    )
    query = urlencode({"pbx": pbx.pk, "ivr": number})
    address = ivr_address(pbx.pk, number)
    name, places, whose = f"{number} on {pbx.name}", (pbx.name, number), pbx.customer.name
    return Subject(name, address, query, query, pbx.customer_id, sources, places, whose)


def of_person(person: User) -> Subject:
    """Return what a person did, and what was done to their access."""
    about = Event.objects.filter(action__in=ABOUT_ACCESS, text__contains=f'"user_id":{person.pk}}}').order_by()
    about |= Event.objects.filter(action__in=ABOUT_ACCESS, text__contains=f'"user_id":{person.pk},').order_by()
    ids = list(about.exclude(actor_id=person.pk).values_list("pk", flat=True))
    sources = (Event.objects.filter(actor_id=person.pk), Event.objects.filter(pk__in=ids))
    address = reverse("accounts:person-page", args=[person.pk])
    query, log_query = urlencode({"person": person.pk}), urlencode({"actor": person.pk})
    return Subject(person.display_name, address, query, log_query, None, sources)


class Moment(NamedTuple):
    """A line of a timeline. values: label, before and now of what moved. address: of the change or the event, or "".

    places: the names of the PBX and the IVR that it happened to, as far as the subject does not say them.
    outcome: of the event; of a change whose end the log does not know yet, as all pages tell it now.
    """

    event: Event
    sent: Sent | None
    tone: str
    icon: str
    values: list[tuple[str, str, str]]
    more: int
    address: str
    places: list[str]
    outcome: str


def moments_of(subject: Subject, user: AnyUser, size: int, below: int = MAX_ID) -> tuple[list[Moment], int]:
    """Return the newest lines below an id, and the id to go on from, 0 at the end: of so many events for each page."""
    sources = [newest_below(events_seen(source, user), size + 1, below) for source in subject.sources]
    events = list(islice(merge(*sources, key=attrgetter("pk"), reverse=True), size + 1))
    going_on = events[size - 1].pk if len(events) > size else 0
    reviewed = customer_ids(user, Action.REVIEW_LOG)
    lines = folded(events[:size], EventFilter())
    now = outcomes_now(line.event for line in lines)
    moments = []
    for event, sent in lines:
        outcome = now.get(event.change_id or 0, event.outcome) if event.outcome == "sending" else event.outcome
        places, address = places_of(event, subject), address_of(event, reviewed)
        moments.append(Moment(event, sent, *mark_of(event.action), *gist(event), address, places, outcome))
    return moments, going_on


def may_open_log(subject: Subject, user: AnyUser) -> bool:
    if subject.customer_id is None:
        return can_anywhere(user, Action.REVIEW_LOG)
    return can(user, Action.REVIEW_LOG, subject.customer_id)


def newest_below(events: EventQuerySet, size: int, below: int) -> list[Event]:
    return list(events.filter(pk__lt=below).order_by("-pk")[:size])


def events_seen(events: EventQuerySet, user: AnyUser) -> EventQuerySet:
    """Filter to what a person may see: all that they review, and of other customers that they see the open groups."""
    seen, reviewed = customer_ids(user), customer_ids(user, Action.REVIEW_LOG)
    if reviewed is None:
        return events
    if seen is not None and seen == reviewed:
        return events.for_customers(reviewed)
    open_to_all = events.for_customers(seen).filter(action__in=OPEN_ACTIONS)
    if seen is None:
        open_to_all = open_to_all.exclude(customer_id=None)
    return open_to_all | events.for_customers(reviewed) if reviewed else open_to_all


def outcomes_now(events: Iterable[Event]) -> dict[int, str]:
    """Return the outcomes of the changes that these events say are being sent, by their ids."""
    sending = [event.change_id for event in events if event.outcome == "sending" and event.change_id]
    return {change.pk: change.outcome for change in Change.objects.filter(pk__in=sending)} if sending else {}


def places_of(event: Event, subject: Subject) -> list[str]:
    said = event.data
    pbx, number = said["pbx_name"], said["ivr_number"]
    ivr = f"{number} {said['ivr_name']}".strip() if number not in subject.places else ""
    return [name for name in (pbx if pbx not in subject.places else "", ivr) if name]


def mark_of(action: str) -> tuple[str, str]:
    for tone, icon, groups in MARKS:
        if any(action in group.actions for group in groups):
            return tone, icon
    return OTHER_MARK


def address_of(event: Event, reviewed: frozenset[int] | None) -> str:
    """Return where a line leads: to the change, else to the event for who reviews it, else nowhere."""
    if event.change_id:
        return reverse("ivr:change-page", args=[event.change_id])
    may_open = reviewed is None or event.customer_id in reviewed
    return event.get_absolute_url() if may_open else ""
