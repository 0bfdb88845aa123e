"""Use cases of notices: acknowledge a condition, choose when one is told, send kinds of a customer to a team."""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from pbxadmin.access.models import Customer, User, as_named
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record

from .models import Condition, NoticeChoice, NoticeClock, NoticePace, NoticeRoute
from .unsubscribing import MailEnding


def condition_acknowledge(*, condition: Condition, by: User) -> bool:
    """Keep a condition from being told again until it changes, or for a day. False when it is over or is another now.

    condition: as the person saw it.
    """
    now = timezone.now()
    same = Condition.objects.still_open().filter(pk=condition.pk, changed_at=condition.changed_at)
    mark = {"acknowledged_at": now, "acknowledged_by_id": by.pk, "acknowledged_by_name": by.display_name}
    with transaction.atomic():
        if not same.unacknowledged(now).update(**mark):
            return False
        record(
            EventAction.CONDITION_ACKNOWLEDGED,
            customer=(condition.customer_id, condition.customer_name) if condition.customer_id else None,
            detail={"condition": condition.key, "subject": condition.subject},
        )
    return True


def clock_set(*, person: User, hour: int) -> None:
    """Store at which hour, of their own time zone, a person gets the mail of a day."""
    NoticeClock.objects.update_or_create(person=person, defaults={"hour": hour})


def pace_choose(*, person: User, customer: Customer | None, pace: str) -> None:
    """Store when a person is told of a customer, or of all others. pace: "" for as it is without a choice."""
    if pace:
        NoticeChoice.objects.update_or_create(person=person, customer=customer, defaults={"pace": pace})
    else:
        NoticeChoice.objects.filter(person=person, customer=customer).delete()


def route_add(*, customer: Customer, address: str, kind: str, least: int, by: User) -> NoticeRoute | None:
    """Send notices of a customer to the address of a team. kind: "" for all. None when they go there already."""
    facts = {"address": address, "kind": kind, "least": int(least)}
    try:
        with transaction.atomic():
            route = NoticeRoute.objects.create(customer=customer, made_by_name=by.display_name, **facts)
            record(EventAction.NOTICE_ROUTE_ADDED, customer=as_named(customer), detail=facts)
    except IntegrityError:
        return None
    return route


def route_end(*, route: NoticeRoute, why: str = "") -> bool:
    """End a route. False when it has ended already. why: when nobody who is signed in did it."""
    with transaction.atomic():
        if not NoticeRoute.objects.filter(pk=route.pk, ended_at=None).update(ended_at=timezone.now()):
            return False
        detail = {"address": route.address, "kind": route.kind} | ({"why": why} if why else {})
        record(EventAction.NOTICE_ROUTE_ENDED, customer=as_named(route.customer), detail=detail)
    return True


def mails_end(*, ending: MailEnding) -> None:
    """Send no more mails of the kind that a link stands in."""
    if ending.route:
        route_end(route=ending.route, why="the link in a mail")
    elif ending.person and ending.customer:
        pace_choose(person=ending.person, customer=ending.customer, pace=NoticePace.NEVER)
    elif ending.person:
        with transaction.atomic():
            NoticeChoice.objects.filter(person=ending.person).exclude(customer=None).delete()
            pace_choose(person=ending.person, customer=None, pace=NoticePace.NEVER)


def as_seen(stamp: str) -> datetime | None:
    """Return the time that a form carries, None for what is none."""
    try:
        return datetime.fromisoformat(stamp)
    except ValueError:
        return None
