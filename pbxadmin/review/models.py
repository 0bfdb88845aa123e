"""Tables beside the log: exceptions on the desk, periods to sign off, and counts of each day."""

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time
from typing import Self

from django.db import models
from django.db.models import Max, Min, Q, Sum
from django.urls import reverse
from django.utils import timezone

from pbxadmin.access.models import Customer
from pbxadmin.access.permissions import CustomerRows
from pbxadmin.access.roles import Action

NO_CUSTOMER, ALL_CUSTOMERS = 0, -1  # in the counts of days: of no customer, and of all of them and the installation


class DeskItemQuerySet(CustomerRows["DeskItem"]):
    """Items of the desk, which are seen by who reviews the log of their customer."""

    right = Action.REVIEW_LOG

    def still_open(self) -> Self:
        return self.filter(reviewed_at=None)

    def within(self, first: datetime, last: datetime) -> Self:
        return self.filter(at__gte=first, at__lte=last)


class DeskItem(models.Model):
    """An event that an auditor has to look at. It is open until somebody marks it reviewed, which is an event too.

    kinds: names of review.kinds, with a blank before and after each.
    """

    event_id = models.BigIntegerField(unique=True)
    customer_id = models.BigIntegerField(null=True)
    at = models.DateTimeField()
    kinds = models.CharField(max_length=200)
    reviewed_at = models.DateTimeField(null=True)
    reviewed_by_name = models.CharField(max_length=200, blank=True)
    note = models.CharField(max_length=500, blank=True)

    objects = DeskItemQuerySet.as_manager()

    class Meta:
        ordering = ["-event_id"]
        indexes = [
            models.Index(
                fields=["customer_id", "-event_id"], condition=Q(reviewed_at=None), name="desk_open_by_customer"
            ),
            models.Index(fields=["-event_id"], condition=Q(reviewed_at=None), name="desk_open"),
            models.Index(fields=["customer_id", "at"], name="desk_by_customer_and_time"),
        ]

    def __str__(self) -> str:
        return f"event {self.event_id}:{self.kinds}"

    @property
    def kind_names(self) -> list[str]:
        return self.kinds.split()


class DeskReading(models.Model):
    """The place up to which the desk has read a chain. A conditional update moves it, so that no event is read twice.

    hash: of the last event read; "" when it was read before hashes were stored. A chain with another hash at this place
    is not the one that was read. The row of the chain "" holds the highest event id seen in any chain.
    """

    chain = models.CharField(max_length=40, primary_key=True)
    sequence = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return f"{self.chain or 'all'}: {self.sequence}"


class PeriodQuerySet(CustomerRows["Period"]):
    right = Action.REVIEW_LOG

    def signed(self) -> Self:
        return self.exclude(signed_at=None).filter(reopened_at=None)

    def holding(self, days: Iterable[date]) -> Self:
        """Filter to periods that contain one of these days."""
        some = Q(pk__in=[])
        for day in days:
            some |= Q(starts_on__lte=day, ends_on__gte=day)
        return self.filter(some)


class Period(models.Model):
    """A stretch of whole days, UTC, of one customer's log, which an auditor signs off.

    signed_sequence: the place in the chain of the event that signed it. An event that comes later and belongs to the
    period reopens it.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")
    starts_on = models.DateField()
    ends_on = models.DateField()
    added_by_name = models.CharField(max_length=200)
    added_at = models.DateTimeField(default=timezone.now)
    signed_at = models.DateTimeField(null=True)
    signed_by_name = models.CharField(max_length=200, blank=True)
    signed_sequence = models.PositiveBigIntegerField(null=True)
    signed_event_id = models.BigIntegerField(null=True)
    reopened_at = models.DateTimeField(null=True)
    reopened_why = models.CharField(max_length=300, blank=True)

    objects = PeriodQuerySet.as_manager()

    class Meta:
        ordering = ["-ends_on", "-starts_on", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "starts_on", "ends_on"],
                name="period_unique_per_customer",
                violation_error_message="This customer has this period already.",
            ),
            models.CheckConstraint(condition=Q(ends_on__gte=models.F("starts_on")), name="period_ends_after_it_starts"),
        ]

    def __str__(self) -> str:
        return f"{self.customer}, {self.days}"

    def get_absolute_url(self) -> str:
        return reverse("review:period-page", args=[self.pk])

    @property
    def days(self) -> str:
        """Say "2026-03-01 to 2026-03-31", or the one day that it is."""
        return str(self.starts_on) if self.starts_on == self.ends_on else f"{self.starts_on} to {self.ends_on}"

    @property
    def state(self) -> str:
        if self.reopened_at:
            return "reopened"
        return "signed" if self.signed_at else "open"

    @property
    def is_over(self) -> bool:
        return self.ends_on < timezone.now().date()

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Return its first and its last moment."""
        return datetime.combine(self.starts_on, time.min, UTC), datetime.combine(self.ends_on, time.max, UTC)


class RolledUp(models.Model):
    """The last event that the roll-up counted. One row; later events are counted when somebody asks."""

    up_to = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"up to event {self.up_to}"


class DayQuerySet(models.QuerySet["Day"]):
    def within(self, since: date | None, until: date | None) -> Self:
        found = self.filter(day__gte=since) if since else self
        return found.filter(day__lte=until) if until else found

    def ids(self) -> tuple[int | None, int | None]:
        """Return the first and the last event id of these days, as far as they are rolled up."""
        found = self.aggregate(first=Min("first_id"), last=Max("last_id"))
        return found["first"], found["last"]


class Day(models.Model):
    """The range of event ids of a day: none of its events lies outside."""

    day = models.DateField(primary_key=True)
    first_id = models.PositiveBigIntegerField()
    last_id = models.PositiveBigIntegerField()

    objects = DayQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.day}: {self.first_id} to {self.last_id}"


class DayCountQuerySet(models.QuerySet["DayCount"]):
    def for_customers(self, ids: Collection[int] | None) -> Self:
        """Filter to counts of these customers; None means all customers and the installation."""
        return self.filter(customer_id__in=[ALL_CUSTOMERS] if ids is None else ids)

    def in_groups(self) -> Iterable[tuple[date, str, str, int]]:
        """Return day, action, outcome and count, added up over the customers."""
        return self.values_list("day", "action", "outcome").annotate(total=Sum("count"))


class DayCount(models.Model):
    """The number of events of a customer, an action and an outcome on a day.

    There are rows for all customers together too: they are needed most, and adding up would read many more. There are
    none by PBX or person: that would be a row for almost every event.
    """

    day = models.DateField()
    customer_id = models.BigIntegerField()
    action = models.CharField(max_length=40)
    outcome = models.CharField(max_length=20, blank=True)
    count = models.PositiveBigIntegerField()

    objects = DayCountQuerySet.as_manager()

    class Meta:
        constraints = [
            # The customer first: that is how most people ask, and an upsert needs the same columns in any order.
            models.UniqueConstraint(fields=["customer_id", "day", "action", "outcome"], name="day_count_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.count} {self.action} {self.outcome}"
