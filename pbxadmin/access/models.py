"""Models of people, customers and memberships (a role of a person for a customer)."""

from calendar import day_abbr
from collections.abc import Sequence
from datetime import date
from importlib import import_module
from typing import Any, ClassVar, Self, TypeAlias

from django.conf import settings
from django.contrib.auth.models import AbstractUser, AnonymousUser, UserManager
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Lower
from django.urls import reverse

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.search import SearchedField, found_by
from pbxadmin.web.times import utc_today

from .names import FoldedField, NameField, fold
from .roles import ROLES, WITH_ARCHIVED, Action, Role
from .rules import Rule, check_link, check_pattern, example

Grant: TypeAlias = tuple[int | None, str]  # customer (None: all of them) and role


class PeopleQuerySet(models.QuerySet["User"]):
    def visible_to(self, user: "AnyUser", right: Action = Action.SEE_PEOPLE) -> Self:
        """Filter to people with a role for a customer for which this user has the right."""
        ids = customer_ids(user, right)
        return self if ids is None else self.having(Membership.objects.filter(customer_id__in=ids))

    def having(self, memberships: "MembershipQuerySet") -> Self:
        return self.filter(Exists(memberships.filter(user=OuterRef("pk"))))

    def matching(self, typed: str) -> Self:
        """Filter to people in whose names or e-mail address each typed word stands."""
        return found_by(self, typed)


class PeopleManager(UserManager["User"]):
    use_in_migrations = False

    def get_queryset(self) -> PeopleQuerySet:
        return PeopleQuerySet(self.model, using=self._db)

    def visible_to(self, user: "AnyUser", right: Action = Action.SEE_PEOPLE) -> PeopleQuerySet:
        return self.get_queryset().visible_to(user, right)

    def create_superuser(self, *args: Any, **kwargs: Any) -> "User":
        """Create a site admin, as the command of this name does, and record it: the log says who could do what."""
        with transaction.atomic():
            user = super().create_superuser(*args, **kwargs)
            record(EventAction.PERSON_ADMIN_GIVEN, detail={"user_id": user.pk, "user": user.username})
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(folded=fold(username or ""))


class User(AbstractUser):
    """A person who signs in, or a service account. `is_superuser` makes a site admin; others have memberships.

    A service account has no password and never signs in: it works through its API keys alone.
    """

    folded = FoldedField(source="username", error_messages={"unique": "This user name is taken."})
    is_service = models.BooleanField(default=False, db_default=False)
    words = SearchedField()
    time_zone = models.CharField(max_length=64, blank=True)  # "": not chosen yet, so UTC

    objects: ClassVar[PeopleManager] = PeopleManager()

    class Meta(AbstractUser.Meta):
        constraints = [
            # An address leads to one account: a reset of the password, an invitation, a single sign-on.
            models.UniqueConstraint(
                Lower("email"),
                condition=~Q(email=""),
                name="user_email_unique",
                violation_error_message="Somebody has this e-mail address already.",
            ),
            # By an address, somebody could set a password or sign in through a provider.
            models.CheckConstraint(
                condition=Q(is_service=False) | Q(email="", is_superuser=False),
                name="user_service_has_no_email",
                violation_error_message="A service account has no e-mail address, and is no site admin.",
            ),
        ]

    grants: list[Grant] | None = None  # filled by grants_of(), which alone reads it
    limit: frozenset[Action] | None = None  # the most that this object may do, such as with an API key; None: no limit

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username

    def searched_texts(self) -> Sequence[str]:
        return self.first_name, self.last_name, self.username, self.email


AnyUser: TypeAlias = User | AnonymousUser


def customer_ids(user: AnyUser, action: Action = Action.SEE) -> frozenset[int] | None:
    """Return the customers for which the user was granted this; None means all, and the installation itself."""
    if isinstance(user, User) and user.limit is not None and action not in user.limit:
        return frozenset()
    if user.is_active and user.is_superuser:
        return None
    found = {customer_id for customer_id, role in grants_of(user) if action in ROLES[role]}
    return None if None in found else frozenset(pk for pk in found if pk is not None)


def grants_of(user: AnyUser) -> list[Grant]:
    """Return what a user was granted, read once for each user object, which lives as long as a request."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return []
    if user.grants is None:
        user.grants = list(user.memberships.current().values_list("customer_id", "role"))
    return user.grants


def forget_grants(user: User) -> None:
    user.grants = None


class CustomerQuerySet(models.QuerySet["Customer"]):
    def visible_to(self, user: AnyUser) -> Self:
        return self.allowing(user, Action.SEE)

    def allowing(self, user: AnyUser, action: Action) -> Self:
        """Filter to customers for which the user may do this; archived ones are included only for reading actions."""
        found = self if action in WITH_ARCHIVED else self.active()
        ids = customer_ids(user, action)
        return found if ids is None else found.filter(pk__in=ids)

    def matching(self, typed: str) -> Self:
        """Filter to customers in whose name each typed word stands."""
        return found_by(self, typed)

    def active(self) -> Self:
        return self.filter(archived_at=None)


class Customer(models.Model):
    """An organisation whose PBXs we manage. Archived, never deleted: its history stays readable."""

    name = NameField(max_length=100)
    folded = FoldedField(error_messages={"unique": "There is a customer with this name already."})
    words = SearchedField()
    archived_at = models.DateTimeField(null=True, blank=True)
    reason_rule = models.CharField(max_length=8, choices=Rule.choices, default=Rule.OPTIONAL)
    ticket_rule = models.CharField(max_length=8, choices=Rule.choices, default=Rule.OPTIONAL)
    ticket_pattern = models.CharField(max_length=40, blank=True, validators=[check_pattern])
    ticket_link = models.CharField(max_length=300, blank=True, validators=[check_link])
    time_zone = models.CharField(max_length=64, default="UTC")
    hours_from = models.TimeField(null=True, blank=True)
    hours_to = models.TimeField(null=True, blank=True)
    working_days = models.CharField(max_length=7, default="12345", blank=True, help_text="1 is Monday")

    objects = CustomerQuerySet.as_manager()

    class Meta:
        ordering = ["folded"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("access:customer-page", args=[self.pk])

    def searched_texts(self) -> Sequence[str]:
        return (self.name,)

    @property
    def ticket_example(self) -> str:
        return example(self.ticket_pattern)

    @property
    def days(self) -> str:
        """Return the working days in words, such as "Mon, Tue, Wed"."""
        return ", ".join(day_abbr[int(day) - 1] for day in self.working_days)


def as_named(customer: Customer | None) -> tuple[int, str] | None:
    """Return id and name, as `record` takes them; None stands for the installation."""
    return (customer.pk, customer.name) if customer else None


class MembershipQuerySet(models.QuerySet["Membership"]):
    def current(self) -> Self:
        """Filter to memberships that count today. `ends_on` is the last day that counts."""
        return self.until(utc_today())

    def until(self, day: date | None) -> Self:
        """Filter to memberships that last at least to this day; None keeps only those without an end."""
        lasts = Q(ends_on=None)
        return self.filter(lasts | Q(ends_on__gte=day) if day else lasts)

    def shown_to(self, user: AnyUser) -> Self:
        """Filter to memberships that this user may see: for customers whose people they see, or for all."""
        ids = customer_ids(user, Action.SEE_PEOPLE)
        return self if ids is None else self.filter(Q(customer_id__in=ids) | Q(customer=None))

    def for_customer(self, customer: Customer) -> Self:
        """Filter to current memberships of active people for a customer, including memberships for all customers."""
        mine = self.current().filter(Q(customer=customer) | Q(customer=None), user__is_active=True)
        return mine.select_related("user").order_by("user__folded", "role")


class Membership(models.Model):
    """A role of a user, for one customer or, when `customer` is empty, for all."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, null=True, blank=True, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    ends_on = models.DateField(null=True, blank=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "customer", "role"],
                condition=Q(customer__isnull=False),
                name="membership_unique_for_customer",
            ),
            models.UniqueConstraint(
                fields=["user", "role"], condition=Q(customer=None), name="membership_unique_for_all"
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.role} of {self.customer or 'all customers'}"

    @property
    def words(self) -> str:
        """Return the role and its customer, such as "Helpdesk of Acme Logistics"."""
        return f"{self.get_role_display()} of {self.customer or 'all customers'}"

    @property
    def is_over(self) -> bool:
        return self.ends_on is not None and self.ends_on < utc_today()


class Session(AbstractBaseSession):
    """A session of a browser, and the user who signed in with it. Its other facts are in its data."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="sessions")
    seen_at = models.DateTimeField()

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
        return store
