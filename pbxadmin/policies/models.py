"""Policies, what breaks them, and what was accepted all the same. `services.py` and `watching.py` alone write them."""

from datetime import date
from typing import Self

from django.db import models
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone

from ivr.addresses import ivr_address
from pbxadmin.access.models import AnyUser, Customer
from pbxadmin.access.permissions import CustomerRows, customer_ids
from pbxadmin.access.roles import Action
from pbxadmin.fleet.inputs import LONGEST_TAG
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.fields import BY_NAME, IvrField, Kind

from .rules import COMMA, Demand, PolicyComparison, demand_in_words

DIAL_OUT = "dial-out"  # the policy that Home has a tile of


class Severity(models.TextChoices):
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


class PolicyQuerySet(models.QuerySet["Policy"]):
    def visible_to(self, user: AnyUser) -> Self:
        """Filter to policies of customers that this user sees, and to those for all: whoever sees one sees them."""
        ids = customer_ids(user, Action.SEE)
        if ids is None:
            return self
        return self.filter(Q(customer=None) | Q(customer_id__in=ids)) if ids else self.none()


class Policy(models.Model):
    """What the value of one field should be, on the PBXs of one customer or of all, perhaps only those with a tag.

    value: canonical text; of "one of" several, with commas between them. kind: names a policy that others refer to.
    recheck_at: when all IVRs are next held against it, beside those that change.
    """

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    title = models.CharField(max_length=80)
    reason = models.CharField(max_length=500)
    severity = models.CharField(max_length=6, choices=Severity.choices, default=Severity.MEDIUM)
    field = models.CharField(max_length=30)
    comparison = models.CharField(max_length=8, choices=PolicyComparison.choices, default=PolicyComparison.IS)
    value = models.CharField(max_length=500, blank=True)
    tag = models.CharField(max_length=LONGEST_TAG, blank=True)
    kind = models.CharField(max_length=20, blank=True)
    recheck_at = models.DateTimeField(default=timezone.now)
    made_at = models.DateTimeField(default=timezone.now)
    made_by_name = models.CharField(max_length=200, blank=True)

    objects = PolicyQuerySet.as_manager()

    class Meta:
        ordering = ["title", "id"]
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=~Q(kind=""), name="policy_of_a_kind_once"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("policies:policy-page", args=[self.pk])

    @property
    def demand(self) -> Demand:
        return Demand(self.pk, self.customer_id, self.tag, self.field, self.comparison, self.value)

    @property
    def of_field(self) -> IvrField:
        return BY_NAME[self.field]

    @property
    def asks(self) -> str:
        """Return what it asks for, in words."""
        return demand_in_words(self.field, self.comparison, self.value)

    @property
    def fix(self) -> str:
        """Return the value that a batch would set to keep it, "" when no batch can."""
        is_settable = self.of_field.writable and self.of_field.kind not in (Kind.NUMBER, Kind.NAME, Kind.TEXT)
        return self.value.split(COMMA)[0] if is_settable else ""


class PolicyExceptionQuerySet(CustomerRows["PolicyException"]):
    def current(self) -> Self:
        return self.filter(ended_at=None)

    def over(self, today: date) -> Self:
        """Filter to those whose last day is over, and that nothing has ended yet."""
        return self.current().filter(ends_on__lt=today)


class PolicyException(models.Model):
    """A value that somebody accepts although it breaks a policy: this value, on this IVR, through its last day.

    Ids and names are kept as they were. ended_why: a sentence, once it is over.
    """

    policy = models.ForeignKey(Policy, on_delete=models.SET_NULL, null=True, related_name="exceptions")
    policy_title = models.CharField(max_length=80)
    customer_id = models.BigIntegerField()
    customer_name = models.CharField(max_length=200)
    pbx_id = models.BigIntegerField()
    pbx_name = models.CharField(max_length=200)
    number = models.CharField(max_length=200)
    name = models.TextField(blank=True)
    field = models.CharField(max_length=30)
    value = models.TextField()
    reason = models.CharField(max_length=500)
    ends_on = models.DateField()
    by_id = models.BigIntegerField()
    by_name = models.CharField(max_length=200)
    accepted_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=500, blank=True)

    objects = PolicyExceptionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "pbx_id", "number"], condition=Q(ended_at=None), name="policy_exception_once"
            ),
        ]
        indexes = [
            models.Index(fields=["pbx_id", "number"], name="exception_current", condition=Q(ended_at=None)),
            models.Index(fields=["customer_id", "-id"], name="exception_by_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.policy_title}: {self.pbx_name} {self.number}"

    @property
    def accepts(self) -> str:
        """Return the accepted value in words."""
        return f"{BY_NAME[self.field].label} {BY_NAME[self.field].in_words(self.value)}"

    @property
    def address(self) -> str:
        return ivr_address(self.pbx_id, self.number)


def seen_by(user: AnyUser, prefix: str = "") -> Q:
    """Return the condition that a violation is of a PBX in use of a customer that this user sees.

    prefix: of rows that violations point at, such as "violations__".
    """
    of_pbx = f"{prefix}pbx__"
    in_use = Q(**{f"{of_pbx}is_enabled": True, f"{of_pbx}customer__archived_at": None})
    ids = customer_ids(user, Action.SEE)
    return in_use if ids is None else in_use & Q(**{f"{of_pbx}customer_id__in": ids})


class ViolationQuerySet(models.QuerySet["Violation"]):
    def visible_to(self, user: AnyUser) -> Self:
        """Filter to PBXs in use of customers that this user sees."""
        return self.filter(seen_by(user))

    def still_open(self) -> Self:
        """Filter to what nobody has accepted."""
        return self.filter(exception=None)

    def counts(self) -> dict[int, tuple[int, int]]:
        """Return by policy how many are open and how many accepted."""
        rows = self.order_by().values_list("policy_id").annotate(all=Count("pk"), accepted=Count("exception"))
        return {policy_id: (count - accepted, accepted) for policy_id, count, accepted in rows}


class Violation(models.Model):
    """An IVR whose value breaks a policy now. It has held it since a time between `since` and `until`.

    since: None when no earlier reading says that it was otherwise. exception: the one that accepts it.
    """

    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="violations")
    pbx = models.ForeignKey(Pbx, on_delete=models.CASCADE, related_name="+")
    number = models.CharField(max_length=200)
    value = models.TextField()
    since = models.DateTimeField(null=True)
    until = models.DateTimeField()
    exception = models.ForeignKey(PolicyException, on_delete=models.SET_NULL, null=True, related_name="+")

    objects = ViolationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "pbx", "number"], name="violation_once"),
        ]
        indexes = [models.Index(fields=["policy", "-id"], name="violation_by_policy")]

    def __str__(self) -> str:
        return f"{self.pbx_id}/{self.number}"

    @property
    def key(self) -> tuple[int, int, str]:
        return self.policy_id, self.pbx_id, self.number

    @property
    def address(self) -> str:
        return ivr_address(self.pbx_id, self.number)
