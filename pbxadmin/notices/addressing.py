"""From the outbox to mails: to whom each notice goes, and which go together in one mail. Run by the tick.

Each step takes the same few queries however many notices there are, and can be killed at any point: a notice is marked
addressed in the transaction that writes its recipients, and a recipient has it once by a constraint.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Max, Min, OuterRef, Q, Subquery
from django.dispatch import Signal
from django.utils import timezone

from pbxadmin.access.models import Customer, Membership, User, customer_ids
from pbxadmin.access.roles import SITE_ADMIN, Action
from pbxadmin.web.times import zone_named

from .kinds import NOTICE_KINDS, STORMY
from .models import (
    Condition,
    Notice,
    NoticeChoice,
    NoticeClock,
    NoticeDelivery,
    NoticeMail,
    NoticePace,
    NoticeRoute,
    NoticeSeverity,
)
from .pace import next_mail, pace_of

ADDRESS_S = 5.0  # then the other jobs of the tick go on
AT_A_TIME = 1000  # notices of one transaction
MOST_DELIVERIES = 20_000  # recipients' rows that are put into mails in one transaction
BETWEEN_MAILS = timedelta(minutes=5)  # to one recipient, "at once": what comes meanwhile is one mail
STORM = 10  # PBXs whose state moved within the time that it is held back
STORM_WAIT = timedelta(minutes=5)  # longer than one is held back, until the others of a storm are due too
TOLD_AGAIN = {NoticeSeverity.CRITICAL: timedelta(hours=4), NoticeSeverity.WARNING: timedelta(days=1)}
KEPT = timedelta(days=90)
# Sent in the transaction that addresses these `notices`, in their order: other ways out than mail.
notices_addressed = Signal()


# --- who is told ---


@dataclass
class Recipient:
    """A person who may be told of something, with all that decides when."""

    user: User
    chosen: dict[int | None, str] = field(default_factory=dict)
    hour: int = 8

    def roles_for(self, customer_id: int | None) -> list[str]:
        admin = [SITE_ADMIN] if self.user.is_superuser else []
        return admin + [role for of, role in self.user.grants or () if of in (None, customer_id)]

    def due(self, notice: Notice, now: datetime) -> datetime | None:
        """Return when this person is told of a notice, None for never."""
        if not may_know(self.user, notice):
            return None
        pace = pace_of(self.chosen, notice.customer_id, self.roles_for(notice.customer_id), notice.severity)
        return None if pace == NoticePace.NEVER else next_mail(pace, now, self.hour, zone_named(self.user.time_zone))


def may_know(user: User, notice: Notice | Condition) -> bool:
    """Return whether a person may know of this now: by the right that its kind asks for."""
    kind = NOTICE_KINDS.get(notice.kind)
    if kind is None or not user.is_active:
        return False
    ids = customer_ids(user, kind.right)
    return ids is None or notice.customer_id in ids


def with_grants(people: Iterable[User]) -> list[User]:
    """Read what these people were granted in one query, for all that asks for it later."""
    found = list(people)
    grants: dict[int, list[tuple[int | None, str]]] = defaultdict(list)
    rows = Membership.objects.current().filter(user__in=[user.pk for user in found])
    for user_id, customer_id, role in rows.values_list("user_id", "customer_id", "role"):
        grants[user_id].append((customer_id, role))
    for user in found:
        user.grants = grants[user.pk]
    return found


def recipients_of(customers: Iterable[int]) -> list[Recipient]:
    """Return the people who may be told of something of these customers, or of the installation."""
    granted = Membership.objects.current().filter(Q(customer__in=list(customers)) | Q(customer=None))
    may_be = Q(is_superuser=True) | Q(Exists(granted.filter(user=OuterRef("pk"))))
    users = with_grants(User.objects.filter(may_be, is_active=True).exclude(email=""))
    people = {user.pk: Recipient(user) for user in users}
    for choice in NoticeChoice.objects.filter(person__in=list(people)):
        people[choice.person_id].chosen[choice.customer_id] = choice.pace
    for clock in NoticeClock.objects.filter(person__in=list(people)):
        people[clock.person_id].hour = clock.hour
    return list(people.values())


# --- from notices to recipients ---


def notices_address() -> int:
    """Write the recipients of notices that are due, for five seconds at most. Return how many notices these were."""
    give_up, count = time.monotonic() + ADDRESS_S, 0
    while took := some_address(timezone.now()):
        count += took
        if time.monotonic() > give_up:
            break
    return count


def some_address(now: datetime) -> int:
    """Write the recipients of some notices that are due, and mark those addressed, in one transaction."""
    due = Notice.objects.unaddressed().filter(due_at__lte=now)
    if is_storm_on(now):
        due = due.exclude(kind=STORMY, repeats=False)
    with transaction.atomic():
        notices = list(due.select_for_update().order_by("pk")[:AT_A_TIME])
        if not notices:
            return 0
        told = of_active_customers(notices)
        NoticeDelivery.objects.bulk_create(deliveries_of(told, now), batch_size=2000, ignore_conflicts=True)
        notices_addressed.send(Notice, notices=told)
        Notice.objects.filter(pk__in=[notice.pk for notice in notices]).update(addressed_at=now)
    return len(notices)


def is_storm_on(now: datetime) -> bool:
    """Tell whether so many PBXs moved that they wait for each other: until the last is due, or for five minutes."""
    waiting = Notice.objects.unaddressed().filter(kind=STORMY, repeats=False)
    if waiting[:STORM].count() < STORM:
        return False
    ends = waiting.aggregate(first=Min("due_at"), last=Max("due_at"))
    return bool(ends["last"] and ends["last"] > now and ends["first"] + STORM_WAIT > now)


def of_active_customers(notices: Sequence[Notice]) -> list[Notice]:
    """Leave out notices of archived customers: nobody is told of them."""
    ids = {notice.customer_id for notice in notices if notice.customer_id}
    active = {None, *Customer.objects.active().filter(pk__in=ids).values_list("pk", flat=True)}
    return [notice for notice in notices if notice.customer_id in active]


def deliveries_of(notices: Sequence[Notice], now: datetime) -> list[NoticeDelivery]:
    """Return a row for each notice and recipient."""
    customers = {notice.customer_id for notice in notices if notice.customer_id}
    people, routes = recipients_of(customers), routes_by_customer(customers)
    found = []
    for notice in notices:
        for one in people:
            due = one.due(notice, now)
            if due:
                found.append(NoticeDelivery(notice=notice, person=one.user, due_at=due))
        for route in takers(routes.get(notice.customer_id or 0, ()), notice):
            found.append(NoticeDelivery(notice=notice, route=route, due_at=now))
    return found


def takers(routes: Iterable[NoticeRoute], notice: Notice) -> Iterable[NoticeRoute]:
    """Return the routes that take a notice, one for each address."""
    fitting = (one for one in routes if takes(one, notice) and notice.severity >= one.least)
    return {one.address.lower(): one for one in fitting}.values()


def takes(route: NoticeRoute, notice: Notice) -> bool:
    """Return whether a notice is of the kind of a route. "Every kind" holds none of the log.

    A manager adds routes and need not be an auditor; who is one chooses such a kind by its name.
    """
    kind = NOTICE_KINDS.get(notice.kind)
    return route.kind == notice.kind or (not route.kind and kind is not None and kind.right is not Action.REVIEW_LOG)


def routes_by_customer(customers: Iterable[int]) -> Mapping[int, list[NoticeRoute]]:
    """Return the addresses of teams that are told of these customers."""
    found: dict[int, list[NoticeRoute]] = defaultdict(list)
    for route in NoticeRoute.objects.filter(customer__in=list(customers), ended_at=None).order_by("kind", "pk"):
        found[route.customer_id].append(route)
    return found


# --- from recipients to mails ---


def mails_gather() -> int:
    """Put what is due to each recipient into one mail. Return how many mails were made.

    Whoever got one within five minutes waits for the rest of them.
    """
    now = timezone.now()
    with transaction.atomic():
        due = NoticeDelivery.objects.filter(mail=None, due_at__lte=now)
        locked = due.select_for_update().order_by("pk")
        rows = list(locked.values_list("pk", "person_id", "route_id")[:MOST_DELIVERIES])
        recent = NoticeMail.objects.filter(made_at__gt=now - BETWEEN_MAILS)
        busy = set(recent.values_list("person_id", "route_id")) if rows else set()
        mine = [(pk, (person, route)) for pk, person, route in rows if (person, route) not in busy]
        to = sorted({whose for _, whose in mine}, key=str)
        mails = [NoticeMail(person_id=person, route_id=route, due_at=now, made_at=now) for person, route in to]
        NoticeMail.objects.bulk_create(mails, batch_size=1000)
        attach([pk for pk, _ in mine], mails)
    return len(mails)


def attach(delivery_ids: Sequence[int], mails: Sequence[NoticeMail]) -> None:
    """Put these rows into the new mail of their recipient."""
    if not mails:
        return
    made = NoticeMail.objects.filter(pk__gte=mails[0].pk, pk__lte=mails[-1].pk, state=NoticeMail.State.WAITING)
    same = Q(person=OuterRef("person")) | Q(route=OuterRef("route"))
    for start in range(0, len(delivery_ids), 5000):
        some = NoticeDelivery.objects.filter(pk__in=delivery_ids[start : start + 5000])
        some.update(mail=Subquery(made.filter(same).values("pk")[:1]))


# --- what is still open ---


def conditions_close() -> int:
    """Close conditions that are over without an event that says so, such as of a disabled PBX. Return how many."""
    count, now = 0, timezone.now()
    for name, kind in NOTICE_KINDS.items():
        rows = Condition.objects.still_open().filter(kind=name)
        keys = list(rows.values_list("key", flat=True))
        for start in range(0, len(keys), AT_A_TIME):
            some = keys[start : start + AT_A_TIME]
            over = set(some) - set(kind.still_open(some))
            count += rows.filter(key__in=over, changed_at__lt=now).update(closed_at=now) if over else 0
    return count


def conditions_repeat() -> int:
    """Tell again of what is still open and nobody acknowledged. Return of how many."""
    now = timezone.now()
    waited = Q(pk__in=[])
    for severity, after in TOLD_AGAIN.items():
        waited |= Q(severity=severity, told_at__lte=now - after)
    with transaction.atomic():
        due = Condition.objects.still_open().unacknowledged(now).filter(waited)
        rows = list(due.select_for_update().order_by("pk")[:AT_A_TIME])
        Notice.objects.bulk_create([repeat_of(row, now) for row in rows])
        Condition.objects.filter(pk__in=[row.pk for row in rows]).update(told_at=now)
    return len(rows)


def repeat_of(row: Condition, now: datetime) -> Notice:
    return Notice(
        kind=row.kind,
        severity=row.severity,
        customer_id=row.customer_id,
        customer_name=row.customer_name,
        condition=row.key,
        subject=f"Still open: {row.subject}"[:300],
        text=row.text,
        path=row.path,
        event_id=row.event_id,
        repeats=True,
        at=now,
        due_at=now,
    )


def notices_forget() -> int:
    """Delete notices, mails and closed conditions of more than 90 days ago. Return how many notices."""
    old = timezone.now() - KEPT
    NoticeMail.objects.filter(made_at__lt=old).delete()
    Condition.objects.filter(closed_at__lt=old).delete()
    return Notice.objects.filter(at__lt=old).delete()[0]
