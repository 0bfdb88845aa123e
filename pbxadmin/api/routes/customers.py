"""Customers: read."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from pbxadmin.access.models import Customer
from pbxadmin.api.calling import caller, row_or_404
from pbxadmin.api.paging import PageQuery, list_page_out
from pbxadmin.api.schemas import CustomerOut, CustomersOut

router = Router(tags=["Customers"])


def customer_out(customer: Customer) -> dict[str, Any]:
    return {"id": customer.pk, "name": customer.name, "archived": customer.archived_at is not None}


def customers_out(customers: Sequence[Customer]) -> list[dict[str, Any]]:
    return [customer_out(customer) for customer in customers]


@router.get("", response=CustomersOut, operation_id="customer_list")
def customer_list_operation(
    request: HttpRequest, response: HttpResponse, asked: Query[PageQuery], q: str = ""
) -> dict[str, Any]:
    """List the customers that you see, by name."""
    found = Customer.objects.visible_to(caller(request)).matching(q)
    return list_page_out(request, response, found, ["folded", "id"], customers_out)


@router.get("/{customer_id}", response=CustomerOut, operation_id="customer_read")
def customer_read_operation(request: HttpRequest, customer_id: int) -> dict[str, Any]:
    """Read one customer."""
    return customer_out(row_or_404(Customer.objects.visible_to(caller(request)), customer_id))
