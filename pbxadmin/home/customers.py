"""The list of customers, with figures of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Aggregate, Count, OuterRef, QuerySet, Subquery, Sum

from ivr.models import Change, OutsideChange
from pbxadmin.access.models import AnyUser, Customer
from pbxadmin.fleet.models import IS_URGENT, Pbx


@dataclass(frozen=True)
class CustomerRow:
    """A customer and how much it has. urgent: PBXs that need attention. outside: open changes made outside."""

    customer: Customer
    pbxs: int
    urgent: int
    ivrs: int
    outside: int
    changed_at: datetime | None


def customer_rows(user: AnyUser, customers: Sequence[Customer]) -> list[CustomerRow]:
    """Return a row for each of these customers, in three queries."""
    ids = [customer.pk for customer in customers]
    sums: dict[str, Aggregate] = {
        "pbxs": Count("pk"),
        "urgent": Count("pk", filter=IS_URGENT),
        "ivrs": Sum("ivr_count"),
    }
    pbxs = of_each(Pbx.objects.visible_to(user).filter(customer_id__in=ids), **sums)
    open_ones = OutsideChange.objects.visible_to(user).filter(customer_id__in=ids).still_open()
    outside = of_each(open_ones, count=Count("pk"))
    newest = Change.objects.filter(customer_id=OuterRef("pk")).order_by("-pk").values("planned_at")[:1]
    changed = dict(Customer.objects.filter(pk__in=ids).values_list("pk", Subquery(newest)))
    return [
        CustomerRow(
            customer,
            pbxs=pbxs.get(customer.pk, {}).get("pbxs", 0),
            urgent=pbxs.get(customer.pk, {}).get("urgent", 0),
            ivrs=pbxs.get(customer.pk, {}).get("ivrs") or 0,
            outside=outside.get(customer.pk, {}).get("count", 0),
            changed_at=changed.get(customer.pk),
        )
        for customer in customers
    ]


def of_each(rows: QuerySet[Any], **sums: Aggregate) -> dict[int, dict[str, Any]]:
    """Aggregate rows by their customer. Returns the aggregates by the id of the customer."""
    return {found["customer_id"]: found for found in rows.order_by().values("customer_id").annotate(**sums)}
