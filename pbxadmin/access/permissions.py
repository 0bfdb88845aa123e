"""Decides what a user may do, for pages, fragments, exports, jobs and templates alike."""

from datetime import date
from typing import NoReturn, Self, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record

from .models import AnyUser, Customer, CustomerQuerySet, User, as_named, customer_ids
from .roles import ROLES, WITH_ARCHIVED, Action, Role

OwnedT = TypeVar("OwnedT", bound=Model)

__all__ = [
    "CustomerRows",
    "can",
    "can_anywhere",
    "customer_ids",
    "customers_of",
    "last_day_to_give",
    "manages",
    "only_customer",
    "outlasts",
    "require",
    "require_anywhere",
    "require_role",
    "require_rule_over",
    "roles_to_give",
    "rules_over",
]


class CustomerRows(QuerySet[OwnedT]):
    """Rows that each belong to one customer, in the field `of_customer`, and may be seen with the right `right`.

    A row of no customer belongs to the installation, and is seen with the right for all.
    """

    right = Action.SEE
    of_customer = "customer_id"

    def visible_to(self, user: AnyUser) -> Self:
        """Filter to rows of customers for whom this user has the right."""
        ids = customer_ids(user, self.right)
        return self if ids is None else self.filter(**{f"{self.of_customer}__in": ids})


def can(user: AnyUser, action: Action, customer: Customer | int | None) -> bool:
    """Return whether the user may do this for this customer; None asks for the installation as a whole.

    A customer given by its id costs a query when the action writes; a Customer costs none.
    """
    ids = customer_ids(user, action)
    customer_id = customer.pk if isinstance(customer, Customer) else customer
    if ids is not None and customer_id not in ids:
        return False
    return action in WITH_ARCHIVED or not is_archived(customer)


def require(user: AnyUser, action: Action, customer: Customer | int | None) -> None:
    """Raise PermissionDenied (403) if the user may not do this, and record the attempt.

    Call visible_to() first: what a user may not even see is a 404.
    """
    if not can(user, action, customer):
        deny(action, Customer.objects.filter(pk=customer).first() if isinstance(customer, int) else customer)


def require_anywhere(user: AnyUser, action: Action) -> None:
    """Raise PermissionDenied if the user may do this for no customer. For pages such as the form of a new PBX."""
    if not can_anywhere(user, action):
        deny(action, None)


def roles_to_give(user: AnyUser, customer_id: int | None) -> list[Role]:
    """Return the roles that this user may give and take for a customer: those whose rights the user has there.

    customer_id: None asks for roles for all customers, which only site admins give.
    """
    if customer_id is None and not user.is_superuser:
        return []

    def has(action: Action) -> bool:
        ids = customer_ids(user, action)
        return ids is None or customer_id in ids

    return [role for role in Role if has(Action.MANAGE_PEOPLE) and all(has(action) for action in ROLES[role])]


def last_day_to_give(user: User, customer_id: int | None) -> date | None:
    """Return the last day of the user's own right to manage people there, or None. Roles they give end by that day."""
    if user.is_superuser:
        return None
    managing = [role for role in Role if Action.MANAGE_PEOPLE in ROLES[role]]
    mine = user.memberships.current().filter(Q(customer_id=customer_id) | Q(customer_id=None), role__in=managing)
    days = list(mine.values_list("ends_on", flat=True))
    return max((day for day in days if day), default=None) if None not in days else None


def outlasts(day: date | None, latest: date | None) -> bool:
    """Return whether a role that ends on this day (None: never) outlasts the latest day that may be given."""
    return latest is not None and (day is None or day > latest)


def require_role(user: AnyUser, role: str, customer: Customer | None) -> None:
    """Raise PermissionDenied if the user may not give or take this role, and record the attempt."""
    if role not in roles_to_give(user, customer.pk if customer else None):
        deny(Action.MANAGE_PEOPLE, customer)


def rules_over(user: AnyUser, person: User) -> bool:
    """Return whether this user may change the account of the person: its name, and whether it may sign in.

    A manager may if they could take away every role of the person; a site admin always may.
    """
    if can_anywhere(user, Action.MANAGE_PEOPLE) and user.is_superuser:
        return True
    if not manages(user, person):
        return False
    theirs = person.memberships.current().values_list("customer_id", "role")
    return not person.is_superuser and all(role in roles_to_give(user, customer_id) for customer_id, role in theirs)


def manages(user: AnyUser, person: User) -> bool:
    """Return whether the person has a role, also one that is over, for a customer whose people this user manages."""
    return User.objects.visible_to(user, Action.MANAGE_PEOPLE).filter(pk=person.pk).exists()


def require_rule_over(user: AnyUser, person: User) -> None:
    if not rules_over(user, person):
        deny(Action.MANAGE_PEOPLE, None)


def deny(action: Action, customer: Customer | None) -> NoReturn:
    record(EventAction.ACCESS_DENIED, customer=as_named(customer), detail={"action": action})
    raise PermissionDenied


def can_anywhere(user: AnyUser, action: Action) -> bool:
    """Return whether the user may do this for at least one customer, or for the installation."""
    return customer_ids(user, action) != frozenset()


def customers_of(user: AnyUser, action: Action = Action.SEE) -> CustomerQuerySet:
    """Return the customers for which the user may do this; archived ones are included only for reading actions."""
    return Customer.objects.allowing(user, action)


def only_customer(user: AnyUser, action: Action, chosen: int | None) -> Customer | None:
    """Return the customer that owns all exported rows (chosen, or the only one), or None if there are several."""
    ids = customer_ids(user, action)
    only = {chosen} if chosen else ids
    if only is None or len(only) != 1:
        return None
    return customers_of(user, action).filter(pk__in=only).first()


def is_archived(customer: Customer | int | None) -> bool:
    if isinstance(customer, int):
        return not Customer.objects.active().filter(pk=customer).exists()
    return customer is not None and customer.archived_at is not None
