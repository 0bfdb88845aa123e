"""Valid rows for tests; a test names only what it is about."""

from typing import Any

from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_create, membership_grant

PASSWORD = "correct horse battery"


def make_user(role: str | None = None, customer: Customer | None = None, *, ends_on: Any = None, **fields: Any) -> User:
    """Somebody with a role for a customer, or for all when none is given; without a role, somebody who sees nothing."""
    fields.setdefault("username", f"user{User.objects.count() + 1}")
    user = User.objects.create_user(**{"password": PASSWORD} | fields)
    if role is not None:
        membership_grant(user=user, role=Role(role), customer=customer, ends_on=ends_on)
    return user


def make_customer(name: str = "Acme Logistics") -> Customer:
    return customer_create(name=name)
