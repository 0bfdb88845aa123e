"""May this user do this? The only place that answers, for pages, fragments, exports, jobs and templates."""

from typing import TYPE_CHECKING, NoReturn

from django.core.exceptions import PermissionDenied

from pbxadmin.audit.log import record

from .grants import customer_ids
from .models import Customer, CustomerQuerySet
from .roles import WITH_ARCHIVED, Action

if TYPE_CHECKING:
    from .grants import AnyUser

__all__ = ["can", "can_anywhere", "customer_ids", "customers_of", "require", "require_anywhere"]


def can(user: "AnyUser", action: Action, customer: Customer | int | None) -> bool:
    """May this user do this for this customer? None asks for the installation as a whole.

    A customer given by its id costs a query when the action writes; a Customer costs none.
    """
    ids = customer_ids(user, action)
    customer_id = customer.pk if isinstance(customer, Customer) else customer
    if ids is not None and customer_id not in ids:
        return False
    return action in WITH_ARCHIVED or not is_archived(customer)


def require(user: "AnyUser", action: Action, customer: Customer | int | None) -> None:
    """Raises PermissionDenied (403) when the user may not, and records that they tried.

    What they may not even see is a 404: ask visible_to() first.
    """
    if not can(user, action, customer):
        deny(action, Customer.objects.filter(pk=customer).first() if isinstance(customer, int) else customer)


def require_anywhere(user: "AnyUser", action: Action) -> None:
    """The same for what needs the right for some customer, such as the empty form of a new PBX."""
    if not can_anywhere(user, action):
        deny(action, None)


def deny(action: Action, customer: Customer | None) -> NoReturn:
    record("access.denied", customer=(customer.pk, customer.name) if customer else None, detail={"action": action})
    raise PermissionDenied


def can_anywhere(user: "AnyUser", action: Action) -> bool:
    """May this user do this for some customer, or for the installation?"""
    return customer_ids(user, action) != frozenset()


def customers_of(user: "AnyUser", action: Action = Action.SEE) -> CustomerQuerySet:
    """Customers for which the user may do this, as a query; archived ones only where the action reads."""
    return Customer.objects.allowing(user, action)


def is_archived(customer: Customer | int | None) -> bool:
    if isinstance(customer, int):
        return not Customer.objects.active().filter(pk=customer).exists()
    return customer is not None and customer.archived_at is not None
