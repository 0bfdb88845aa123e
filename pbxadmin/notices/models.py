"""Who is told of what: the outbox of notices, the conditions they tell of, their recipients, and the mails.

Rows are the truth. A notice is written in the transaction of the event that it tells of; workers do the rest.
"""

from datetime import datetime, timedelta
from typing import Self
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils import timezone

from pbxadmin.access.models import AnyUser, Customer, User
from pbxadmin.access.permissions import customer_ids
from pbxadmin.access.roles import Action

ACKNOWLEDGED_FOR = timedelta(days=1)


class NoticeSeverity(models.IntegerChoices):
    """How much a notice matters. It is stored as a number, so that a route can ask for "at least"."""

    INFORMATION = 1, "Information"
    WARNING = 2, "Warning"
    CRITICAL = 3, "Critical"


class NoticeQuerySet(models.QuerySet["Notice"]):
    def unaddressed(self) -> Self:
        return self.filter(addressed_at=None)


class Notice(models.Model):
    """Something to tell people, in the one form that every notice has.

    condition: what it is about, such as "pbx/12"; of the notices about one thing, the last one says how it is.
    was, now: of a state that moved, before and after. due_at: held back until then, as what moves back is not told.
    event_id: the event that it tells of. repeats: whether it tells again of a condition that is still open.
    """

    kind = models.CharField(max_length=20)
    severity = models.PositiveSmallIntegerField(choices=NoticeSeverity.choices)
    customer_id = models.BigIntegerField(null=True)
    customer_name = models.CharField(max_length=200, blank=True)
    condition = models.CharField(max_length=60)
    subject = models.CharField(max_length=300)
    text = models.TextField(blank=True)
    path = models.CharField(max_length=500)
    was = models.CharField(max_length=20, blank=True)
    now = models.CharField(max_length=20, blank=True)
    event_id = models.BigIntegerField()
    repeats = models.BooleanField(default=False)
    at = models.DateTimeField()
    due_at = models.DateTimeField()
    addressed_at = models.DateTimeField(null=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["due_at"], name="notice_unaddressed", condition=Q(addressed_at=None)),
            models.Index(fields=["condition"], name="notice_held", condition=Q(addressed_at=None)),
            models.Index(fields=["at"], name="notice_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}"


class ConditionQuerySet(models.QuerySet["Condition"]):
    def visible_to(self, user: AnyUser) -> Self:
        """Filter to conditions of customers that this person sees, and of logs that they review."""
        seen, reviewed = customer_ids(user, Action.SEE), customer_ids(user, Action.REVIEW_LOG)
        found = self if seen is None else self.filter(customer_id__in=seen)
        if reviewed is None:
            return found
        return found.filter(~Q(of_log=True) | Q(customer_id__in=reviewed))

    def still_open(self) -> Self:
        return self.filter(closed_at=None)

    def unacknowledged(self, now: datetime) -> Self:
        """Filter to what nobody acknowledged since it changed, or longer than a day ago."""
        return self.filter(Q(acknowledged_at=None) | Q(acknowledged_at__lte=now - ACKNOWLEDGED_FOR))


class Condition(models.Model):
    """Something that is wrong until it is put right: one row for each thing, whatever becomes of it.

    told_at: when it began, changed, or was told of again. of_log: only for whoever reviews the log.
    """

    key = models.CharField(max_length=60, unique=True)
    kind = models.CharField(max_length=20)
    severity = models.PositiveSmallIntegerField(choices=NoticeSeverity.choices)
    customer_id = models.BigIntegerField(null=True)
    customer_name = models.CharField(max_length=200, blank=True)
    of_log = models.BooleanField(default=False)
    subject = models.CharField(max_length=300)
    text = models.TextField(blank=True)
    path = models.CharField(max_length=500)
    event_id = models.BigIntegerField()
    changed_at = models.DateTimeField()
    told_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by_id = models.BigIntegerField(null=True)
    acknowledged_by_name = models.CharField(max_length=200, blank=True)

    objects = ConditionQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["-severity", "-id"], name="condition_open", condition=Q(closed_at=None)),
            models.Index(fields=["customer_id", "-id"], name="condition_by_customer", condition=Q(closed_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.subject}"

    @property
    def is_acknowledged(self) -> bool:
        """Whether somebody acknowledged it as it is now, within a day."""
        return self.acknowledged_at is not None and self.acknowledged_at > timezone.now() - ACKNOWLEDGED_FOR


class NoticePace(models.TextChoices):
    """When somebody is told."""

    AT_ONCE = "at-once", "At once"
    HOURLY = "hourly", "Once an hour"
    DAILY = "daily", "Once a day"
    NEVER = "never", "Not by e-mail"


class NoticeClock(models.Model):
    """At which hour, of their own time zone, a person gets the mail of a day."""

    person = models.OneToOneField(User, on_delete=models.CASCADE, related_name="notice_clock")
    hour = models.PositiveSmallIntegerField(default=8)

    def __str__(self) -> str:
        return f"{self.person}: {self.hour}:00"


class NoticeChoice(models.Model):
    """When a person wants to be told of a customer, or of all that have no choice of their own."""

    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notice_choices")
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, null=True, related_name="+")
    pace = models.CharField(max_length=8, choices=NoticePace.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "customer"], condition=Q(customer__isnull=False), name="notice_choice_of_customer"
            ),
            models.UniqueConstraint(fields=["person"], condition=Q(customer=None), name="notice_choice_of_all"),
        ]

    def __str__(self) -> str:
        return f"{self.person}, {self.customer or 'all customers'}: {self.pace}"


class NoticeRoute(models.Model):
    """An address of a team that is told of a customer. kind: "" for every kind. ended_at: by a link in a mail."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="notice_routes")
    address = models.EmailField(max_length=254)
    kind = models.CharField(max_length=20, blank=True)
    least = models.PositiveSmallIntegerField(choices=NoticeSeverity.choices, default=NoticeSeverity.WARNING)
    made_by_name = models.CharField(max_length=200)
    made_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "address", "kind"], condition=Q(ended_at=None), name="notice_route_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.customer}: {self.kind or 'all'} to {self.address}"


class NoticeMail(models.Model):
    """One e-mail to one recipient, with one notice or many. It is claimed by one worker at a time.

    message_key: stays the same however often it is tried, so that who gets it twice can tell.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        DEAD = "dead"  # given up, until somebody sends it again
        DROPPED = "dropped"  # nothing in it is for the recipient any more

    person = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    route = models.ForeignKey(NoticeRoute, on_delete=models.CASCADE, null=True, related_name="+")
    message_key = models.UUIDField(default=uuid4, unique=True)
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    made_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)
    why = models.CharField(max_length=300, blank=True, help_text="why the last try failed")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["due_at", "id"], name="notice_mail_waiting", condition=Q(state="waiting")),
            models.Index(fields=["-id"], name="notice_mail_dead", condition=Q(state="dead")),
            models.Index(fields=["person", "-made_at"], name="notice_mail_by_person"),
            models.Index(fields=["made_at"], name="notice_mail_by_time"),
        ]

    def __str__(self) -> str:
        return f"mail {self.pk}: {self.state}"


class NoticeDelivery(models.Model):
    """One notice for one recipient: a person or the address of a team. mail: what takes it there."""

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    person = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    route = models.ForeignKey(NoticeRoute, on_delete=models.CASCADE, null=True, related_name="+")
    due_at = models.DateTimeField()
    mail = models.ForeignKey(NoticeMail, on_delete=models.CASCADE, null=True, related_name="deliveries")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["notice", "person"], condition=Q(person__isnull=False), name="notice_once_a_person"
            ),
            models.UniqueConstraint(
                fields=["notice", "route"], condition=Q(route__isnull=False), name="notice_once_a_route"
            ),
        ]
        indexes = [models.Index(fields=["due_at"], name="notice_delivery_waiting", condition=Q(mail=None))]

    def __str__(self) -> str:
        return f"notice {self.notice_id} to {self.person_id or self.route_id}"
