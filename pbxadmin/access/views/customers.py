"""Pages of customers and of who works for them."""

from functools import partial

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from pbxadmin.access import services
from pbxadmin.access.forms import ArchiveForm, CustomerForm
from pbxadmin.access.models import Customer, Membership
from pbxadmin.access.permissions import can, require
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import Action
from pbxadmin.web.htmx import go
from pbxadmin.web.posting import post_only


@login_required
def customer_add(request: HttpRequest) -> HttpResponse:
    require(request.user, Action.MANAGE_CUSTOMERS, None)
    form = CustomerForm(request.POST if request.method == "POST" else None)
    if customer := form.saved(services.customer_create):
        return go(request, customer.get_absolute_url())
    return render(request, "access/customer_add.html", {"form": form}, status=422 if form.errors else 200)


@login_required
@require_GET
def customer_page(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects.visible_to(request.user), pk=pk)
    return show_customer(request, customer, CustomerForm(initial={"name": customer.name}))


@login_required
@post_only("access:customer-page", "pk")
def customer_rename_view(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects.visible_to(request.user), pk=pk)
    require(request.user, Action.MANAGE_CUSTOMERS, customer)
    form = CustomerForm(request.POST)
    if form.saved(partial(services.customer_rename, customer=customer)):
        return go(request, reverse("access:customer-page", args=[pk]))
    return show_customer(request, customer, form)


@login_required
@requires_reauthentication
def customer_archive_view(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects.visible_to(request.user), pk=pk)
    require(request.user, Action.MANAGE_CUSTOMERS, customer)
    form = ArchiveForm(request.POST if request.method == "POST" else None, customer=customer)
    if not form.is_valid():
        context = {"form": form, "customer": customer}
        return render(request, "access/customer_archive.html", context, status=422 if form.errors else 200)
    services.customer_archive(customer=customer)
    messages.success(request, f"{customer.name} is archived. Its history stays readable.")
    return go(request, reverse("access:customer-page", args=[pk]))


@login_required
@post_only("access:customer-page", "pk")
@requires_reauthentication
def customer_unarchive_view(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects.visible_to(request.user), pk=pk)
    require(request.user, Action.MANAGE_CUSTOMERS, customer)
    services.customer_unarchive(customer=customer)
    return go(request, reverse("access:customer-page", args=[pk]))


def show_customer(request: HttpRequest, customer: Customer, form: CustomerForm) -> HttpResponse:
    """Render the page of a customer. Only users who may see people see who works for it."""
    context = {"customer": customer, "form": form}
    if can(request.user, Action.SEE_PEOPLE, customer):
        context["memberships"] = Membership.objects.for_customer(customer)
    return render(request, "access/customer_page.html", context, status=422 if form.errors else 200)
