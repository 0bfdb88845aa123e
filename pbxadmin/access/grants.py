"""What a user was granted, read once for each user object, which lives as long as a request."""

from typing import TYPE_CHECKING, TypeAlias

from django.contrib.auth.models import AnonymousUser

from .roles import ROLES, Action

if TYPE_CHECKING:
    from .models import User

    AnyUser: TypeAlias = User | AnonymousUser

Grant = tuple[int | None, str]  # customer (None: all of them) and role


def customer_ids(user: "AnyUser", action: Action = Action.SEE) -> frozenset[int] | None:
    """Customers for which the user was granted this; None means all, and the installation itself."""
    if user.is_active and user.is_superuser:
        return None
    found = {customer_id for customer_id, role in grants(user) if action in ROLES[role]}
    return None if None in found else frozenset(pk for pk in found if pk is not None)


def grants(user: "AnyUser") -> list[Grant]:
    if isinstance(user, AnonymousUser) or not user.is_active:
        return []
    if user.grants is None:
        user.grants = list(user.memberships.current().values_list("customer_id", "role"))
    return user.grants


def forget_grants(user: "User") -> None:
    user.grants = None
