"""Webhooks: HTTPS endpoints that are told what people are told, and each message on its way to one of them.

Rows are the truth. A delivery is written in the transaction that addresses its notice; workers send it.
"""

from datetime import datetime, timedelta
from typing import Self
from uuid import uuid4

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from ivr.claims import unclaimed
from pbxadmin.access.models import Customer
from pbxadmin.access.permissions import CustomerRows
from pbxadmin.notices.kinds import given_up_key, switched_off_key
from pbxadmin.notices.models import Notice
from pbxadmin.sealed import SealedField

FAILING_FOR = timedelta(days=3)  # then an endpoint is switched off


class PayloadForm(models.TextChoices):
    """What is posted."""

    STANDARD = "standard", "Standard: the facts as JSON"
    SLACK = "slack", "Slack and compatible: a text"
    TEAMS = "teams", "Microsoft Teams: a card"


class WebhookQuerySet(CustomerRows["Webhook"]):
    def switched_on(self) -> Self:
        return self.filter(off_at=None)


class Webhook(models.Model):
    """An HTTPS endpoint of a customer, or without one of the installation, which is told of all customers.

    place: scheme, host and port, which anybody may see who sees the row. address: all of it, sealed, because those of
    chat services hold a secret. old_secret: signs too until old_until. failing_since, failed_at: the first and the last
    failure after which nothing succeeded. paused_until: nothing answered there, so that others go first.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, null=True, related_name="webhooks")
    name = models.CharField(max_length=60)
    place = models.CharField(max_length=300)
    address = SealedField()
    secret = SealedField()
    old_secret = SealedField()
    old_until = models.DateTimeField(null=True)
    kinds = models.JSONField(default=list, help_text="names of kinds of notices")
    form = models.CharField(max_length=8, choices=PayloadForm.choices, default=PayloadForm.STANDARD)
    made_at = models.DateTimeField(default=timezone.now)
    made_by_name = models.CharField(max_length=200)
    off_at = models.DateTimeField(null=True)
    off_why = models.CharField(max_length=300, blank=True)
    tried_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=300, blank=True, help_text="what came of the last try")
    failing_since = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    paused_until = models.DateTimeField(null=True)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_on(self) -> bool:
        return self.off_at is None

    @property
    def has_old_secret(self) -> bool:
        """Whether the secret before this one still signs too."""
        return self.old_until is not None and self.old_until > timezone.now()

    def wants(self, notice: Notice) -> bool:
        """Return whether it is told of a notice. How it does itself is told elsewhere."""
        if notice.condition in (switched_off_key(self.pk), given_up_key(self.pk)):
            return False
        return notice.kind in self.kinds and self.customer_id in (None, notice.customer_id)


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):
    def waiting(self) -> Self:
        return self.filter(state=WebhookDelivery.State.WAITING)

    def first_in_line(self) -> Self:
        """Filter to what waits while nothing earlier about the same does."""
        earlier = WebhookDelivery.objects.waiting().filter(webhook=OuterRef("webhook"), pk__lt=OuterRef("pk"))
        return self.waiting().filter(
            ~Exists(earlier.filter(condition=OuterRef("condition"))),
            ~Exists(earlier.filter(thing=OuterRef("thing"))),
        )

    def free(self, now: datetime) -> Self:
        """Filter to what may be sent now: the first in line, due, and claimed by nobody."""
        is_paused = Q(webhook__paused_until__gt=now)
        return self.first_in_line().filter(unclaimed(now), ~is_paused, due_at__lte=now, webhook__off_at=None)


class WebhookDelivery(models.Model):
    """One notice on its way to one endpoint. It is claimed by one worker at a time.

    condition, thing: what it is about; the IVR, or again the condition. Messages about the same go in their order.
    message_key: stays the same however often it is tried. first_tried_at: since when it is tried again.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        DEAD = "dead"  # given up, until somebody sends it again
        DROPPED = "dropped"  # the endpoint is not told of this any more

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="+")
    condition = models.CharField(max_length=60)
    thing = models.CharField(max_length=240)
    message_key = models.UUIDField(default=uuid4, unique=True)
    state = models.CharField(max_length=7, choices=State.choices, default=State.WAITING)
    made_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)
    first_tried_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    answer = models.CharField(max_length=300, blank=True, help_text="what came of the last try")
    ended_at = models.DateTimeField(null=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["webhook", "notice"], name="webhook_once_a_notice"),
        ]
        indexes = [
            models.Index(fields=["webhook", "condition", "id"], name="hook_by_condition", condition=Q(state="waiting")),
            models.Index(fields=["webhook", "thing", "id"], name="hook_by_thing", condition=Q(state="waiting")),
            models.Index(fields=["due_at", "id"], name="hook_waiting", condition=Q(state="waiting")),
            models.Index(fields=["webhook", "-id"], name="hook_by_endpoint"),
            models.Index(fields=["webhook", "-id"], name="hook_dead", condition=Q(state="dead")),
            models.Index(fields=["made_at"], name="hook_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.message_id}: {self.state}"

    @property
    def message_id(self) -> str:
        """Return the id by which a receiver knows a message that comes twice."""
        return f"msg_{self.message_key.hex}"
