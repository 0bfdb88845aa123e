"""Model of invitations. People and their sessions are models of `access`."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import CustomerRows
from pbxadmin.access.roles import Action, Role
from pbxadmin.web.times import utc_today


class InvitationQuerySet(CustomerRows["Invitation"]):
    """Invitations, which are seen by who manages the people of their customer."""

    right = Action.MANAGE_PEOPLE

    def waiting(self) -> Self:
        """Filter to invitations that were neither used nor withdrawn; they may have expired."""
        return self.filter(accepted_at=None, withdrawn_at=None)

    def open(self) -> Self:
        """Filter to invitations that can be accepted now."""
        still_counts = Q(ends_on=None) | Q(ends_on__gte=utc_today())
        return self.waiting().filter(still_counts, expires_at__gt=timezone.now())


class Invitation(models.Model):
    """An offer of a role to the person who has the link. Only a digest of the link is stored."""

    email = models.EmailField(max_length=254)
    name = models.CharField(max_length=150)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, null=True, related_name="+")
    role = models.CharField(max_length=10, choices=Role.choices)
    ends_on = models.DateField(null=True)
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    token_digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    renewed_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    mails = models.PositiveIntegerField(default=0, help_text="how many the mail server took")
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        db_table = "access_invitation"  # its name from when it was a model of `access`
        indexes = [models.Index(fields=["invited_by", "-created_at"], name="invitation_by_inviter")]

    def __str__(self) -> str:
        return f"{self.email}: {self.role_words}"

    @property
    def role_words(self) -> str:
        return f"{self.get_role_display()} of {self.customer or 'all customers'}"

    @property
    def is_waiting(self) -> bool:
        return self.accepted_at is None and self.withdrawn_at is None

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()
