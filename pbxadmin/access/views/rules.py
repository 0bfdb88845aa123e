"""Page of the rules and working hours of a customer."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from pbxadmin.access import services
from pbxadmin.access.forms import RulesForm
from pbxadmin.access.models import Customer
from pbxadmin.access.permissions import require
from pbxadmin.access.roles import Action
from pbxadmin.web.htmx import go


@login_required
def customer_rules(request: HttpRequest, pk: int) -> HttpResponse:
    customer = get_object_or_404(Customer.objects.visible_to(request.user), pk=pk)
    require(request.user, Action.MANAGE_RULES, customer)
    form = RulesForm(request.POST if request.method == "POST" else None, customer=customer)
    if form.is_valid():
        services.customer_set_rules(customer=customer, values=form.cleaned_data)
        return go(request, reverse("access:customer-page", args=[pk]))
    context = {"customer": customer, "form": form}
    return render(request, "access/customer_rules.html", context, status=422 if form.errors else 200)
