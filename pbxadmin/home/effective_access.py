"""Effective access: what a person's roles add up to, customer by customer."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count, QuerySet

from ivr.models import Ivr
from pbxadmin.access.models import Customer, Membership, User
from pbxadmin.access.permissions import can
from pbxadmin.access.roles import IN_WORDS
from pbxadmin.fleet.models import Pbx


@dataclass(frozen=True)
class EffectiveAccess:
    """Access of a person to one customer. roles: their names and last days; may: what they allow together, in words."""

    customer: Customer
    roles: list[tuple[str, date | None]]
    may: list[str]
    pbxs: int
    ivrs: int


def effective_access(person: User, memberships: list[Membership], customers: list[Customer]) -> list[EffectiveAccess]:
    """Return the access of a person to each of these customers. memberships: those of the person that count now."""
    pbxs = count_by_customer(Pbx.objects.visible_to(person), "customer", customers)
    ivrs = count_by_customer(Ivr.objects.visible_to(person), "pbx__customer", customers)
    return [
        EffectiveAccess(
            customer,
            [(one.get_role_display(), one.ends_on) for one in memberships if one.customer_id in (customer.pk, None)],
            [words for action, words in IN_WORDS.items() if can(person, action, customer)],
            pbxs.get(customer.pk, 0),
            ivrs.get(customer.pk, 0),
        )
        for customer in customers
    ]


def count_by_customer(rows: QuerySet[Any], customer: str, customers: list[Customer]) -> dict[int, int]:
    """Count the rows of each of these customers. customer: the lookup that leads from a row to its customer."""
    within = rows.filter(**{f"{customer}__in": customers}).order_by()
    return dict(within.values_list(customer).annotate(count=Count("pk")))
