"""What a person can see and do, customer by customer, as far as whoever asks manages people there."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from ivr.models import Ivr
from pbxadmin.access.models import Customer, Membership, User
from pbxadmin.access.permissions import can
from pbxadmin.access.roles import IN_WORDS, Action
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.pages import keyset

PAGE_SIZE = 50


@dataclass(frozen=True)
class Sight:
    """roles: their names and last days; may: what they add up to for this customer, in words."""

    customer: Customer
    roles: list[tuple[str, date | None]]
    may: list[str]
    pbxs: int
    ivrs: int


@login_required
@require_GET
def person_sees(request: HttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User.objects.visible_to(request.user), pk=pk)
    customers = Customer.objects.visible_to(person).allowing(request.user, Action.MANAGE_PEOPLE)
    page = keyset(customers, ("folded", "id"), request.GET.get("cursor", ""), PAGE_SIZE)
    memberships = list(person.memberships.current()) if person.is_active else []
    context = {
        "person": person,
        "page": page,
        "sights": sights(person, memberships, list(page.rows)),
        "of_all": [one.get_role_display() for one in memberships if one.customer_id is None],
    }
    return render(request, "home/person_sees.html", context)


def sights(person: User, memberships: list[Membership], customers: list[Customer]) -> list[Sight]:
    pbxs = counts(Pbx.objects.visible_to(person), "customer", customers)
    ivrs = counts(Ivr.objects.visible_to(person), "pbx__customer", customers)
    return [
        Sight(
            customer,
            [(one.get_role_display(), one.ends_on) for one in memberships if one.customer_id in (customer.pk, None)],
            [words for action, words in IN_WORDS.items() if can(person, action, customer)],
            pbxs.get(customer.pk, 0),
            ivrs.get(customer.pk, 0),
        )
        for customer in customers
    ]


def counts(rows: QuerySet[Any], customer: str, customers: list[Customer]) -> dict[int, int]:
    """How many of these rows each of these customers has. `customer` is the way from a row to its customer."""
    mine = rows.filter(**{f"{customer}__in": customers}).order_by()
    return dict(mine.values_list(customer).annotate(count=Count("pk")))
