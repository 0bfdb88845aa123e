"""Models of the API: keys, and the answers that are kept for a request that comes again."""

from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from pbxadmin.access.models import AnyUser, User, customer_ids
from pbxadmin.access.roles import Action

from .scopes import Scope

LONGEST_LIFE = timedelta(days=365)
ANSWERS_KEPT = timedelta(hours=24)
ANSWER_DUE = timedelta(seconds=60)  # a request without an answer after this was cut off


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def visible_to(self, user: AnyUser) -> Self:
        """Filter to the user's own keys, and those of people and service accounts whose roles they manage."""
        if customer_ids(user, Action.MANAGE_PEOPLE) is None:
            return self
        return self.filter(Q(holder_id=user.pk) | Q(holder__in=User.objects.visible_to(user, Action.MANAGE_PEOPLE)))

    def working(self) -> Self:
        """Filter to keys that are neither revoked nor past their last day."""
        return self.filter(revoked_at=None, last_day__gte=timezone.localdate())


class ApiKey(models.Model):
    """A key by which a script acts for its holder: a person, or a service account. Only a digest of it is stored.

    networks: addresses in CIDR form, with blanks between, from which it is taken; "" for all. used_until: by the rate
    limit, the time in seconds since 1970 up to which its requests are used up.
    """

    holder = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True)
    shown = models.CharField(max_length=20, help_text="how it begins")
    scope = models.CharField(max_length=6, choices=Scope.choices, default=Scope.READ)
    networks = models.CharField(max_length=500, blank=True)
    last_day = models.DateField()
    made_at = models.DateTimeField(default=timezone.now)
    made_by_name = models.CharField(max_length=200)
    used_at = models.DateTimeField(null=True)
    used_from = models.CharField(max_length=45, blank=True)
    used_until = models.FloatField(default=0)
    refused_at = models.DateTimeField(null=True, help_text="when a refusal of it was last recorded")
    revoked_at = models.DateTimeField(null=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(scope__in=Scope.values), name="api_key_scope_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.holder}"

    @property
    def network_list(self) -> list[str]:
        return self.networks.split()

    @property
    def is_over(self) -> bool:
        return self.last_day < timezone.localdate()

    def takes(self, address: str) -> bool:
        """Return whether it may be used from this address."""
        if not self.networks:
            return True
        return bool(address) and any(ip_address(address) in ip_network(network) for network in self.network_list)

    def why_refused(self, address: str) -> str:
        """Return why it is refused, as a sentence, "" when it is taken."""
        if self.revoked_at:
            return "This key was revoked."
        if self.is_over:
            return f"The last day of this key was {self.last_day}."
        if not self.holder.is_active:
            return "The account of this key is disabled."
        if not self.takes(address):
            return "This key may not be used from your address."
        return ""


class KeptAnswer(models.Model):
    """A request that writes, by its Idempotency-Key, and what it was answered: the same again gets the same.

    digest: of method, address and body. status: None until it is answered.
    """

    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="answers")
    idempotency_key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    asked_at = models.DateTimeField(default=timezone.now)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["api_key", "idempotency_key"], name="kept_answer_once_per_key"),
        ]
        indexes = [models.Index(fields=["asked_at"], name="kept_answer_by_age")]

    def __str__(self) -> str:
        return f"{self.idempotency_key}: {self.status or 'not answered'}"
