"""Pages of notices: what is open, when one is told, the addresses of teams, mails that were given up, and the end."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from pbxadmin.access.models import Customer, User, grants_of
from pbxadmin.access.permissions import can, require
from pbxadmin.access.person import user_of
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import SITE_ADMIN, Action
from pbxadmin.accounts.services import time_zone_choose
from pbxadmin.env import EMAIL_BACKENDS
from pbxadmin.web.htmx import go, page_of, render_either
from pbxadmin.web.pages import PAGE_SIZE, keyset
from pbxadmin.web.posting import post_only

from .deliver import mail_send_again
from .forms import EVERY_KIND, ChoicesForm, ConditionFilter, CustomerChoiceForm, RouteForm
from .kinds import NOTICE_KINDS
from .models import Condition, NoticeChoice, NoticeClock, NoticeMail, NoticeRoute
from .selectors import condition_rows
from .services import (
    as_seen,
    clock_set,
    condition_acknowledge,
    mails_end,
    pace_choose,
    route_add,
    route_end,
)
from .unsubscribing import ending_with


@login_required
@require_GET
def condition_list(request: HttpRequest) -> HttpResponse:
    """List what is open for all customers that the person sees, what is critical first."""
    user, now = user_of(request), timezone.now()
    wanted = ConditionFilter(request.GET, user=user)
    found = wanted.narrow(Condition.objects.still_open().visible_to(user), now)
    page = keyset(found, ["-severity", "-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    context = {
        "wanted": wanted,
        "query": wanted.query,
        "page": page,
        "rows": condition_rows(user, page.rows),
        "is_admin": user.is_superuser,
    }
    return render_either(request, "notices/condition_list.html", "notices/_condition_table.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether to acknowledge a condition, and do it."""
    user = user_of(request)
    condition = get_object_or_404(Condition.objects.visible_to(user), pk=pk)
    if request.method == "GET":
        look = NOTICE_KINDS[condition.kind].look if condition.kind in NOTICE_KINDS else None
        may = may_acknowledge(user, condition)
        return render(request, "notices/acknowledge.html", {"condition": condition, "look": look, "may": may})
    if not may_acknowledge(user, condition):
        require(user, Action.EDIT_IVR, condition.customer_id)
    seen = as_seen(request.POST.get("changed", ""))
    condition.changed_at = seen or condition.changed_at
    if condition_acknowledge(condition=condition, by=user):
        messages.success(request, f"Acknowledged: {condition.subject}. Nobody is told again for a day.")
    else:
        messages.info(request, "It is over, has changed, or was acknowledged already. Look at it again.")
    return go(request, page_of(request, "Referer"))  # the list as it was filtered, or Home


def may_acknowledge(user: User, condition: Condition) -> bool:
    """Return whether this person may silence it for all: who edits IVRs of the customer, or reviews its log."""
    return any(can(user, action, condition.customer_id) for action in (Action.EDIT_IVR, Action.REVIEW_LOG))


# --- when one is told ---


@login_required
@require_http_methods(["GET", "POST"])
def choices_page(request: HttpRequest) -> HttpResponse:
    """Show when the person is told, and take another choice for all customers and the hour."""
    user = user_of(request)
    form = choices_form(user, request.POST if request.method == "POST" else None)
    if form.is_valid():
        given = form.cleaned_data
        clock_set(person=user, hour=given["hour"])
        time_zone_choose(person=user, time_zone=given["time_zone"])
        pace_choose(person=user, customer=None, pace=given["pace"])
        messages.success(request, "Saved. It holds from the next notice on.")
        return go(request, reverse("notices:choices"))
    return show_choices(request, form, CustomerChoiceForm(None, user=user))


@login_required
@post_only("notices:choices")
def customer_choice(request: HttpRequest) -> HttpResponse:
    """Take the choice of the person for one customer."""
    user = user_of(request)
    form = CustomerChoiceForm(request.POST, user=user)
    if not form.is_valid():
        return show_choices(request, choices_form(user, None), form)
    pace_choose(person=user, **form.cleaned_data)
    messages.success(request, f"Saved for {form.cleaned_data['customer']}.")
    return go(request, reverse("notices:choices"))


def choices_form(user: User, data: Any) -> ChoicesForm:
    chosen = NoticeChoice.objects.filter(person=user, customer=None).values_list("pace", flat=True).first()
    clock = NoticeClock.objects.filter(person=user).first() or NoticeClock(person=user)
    roles = [role for _, role in grants_of(user)] + ([SITE_ADMIN] if user.is_superuser else [])
    return ChoicesForm(data, chosen=chosen or "", roles=roles, clock=clock)


def show_choices(request: HttpRequest, form: ChoicesForm, customer_form: CustomerChoiceForm) -> HttpResponse:
    mine = NoticeChoice.objects.filter(person=user_of(request), customer__isnull=False)
    visible = Customer.objects.visible_to(request.user)
    context = {
        "form": form,
        "customer_form": customer_form,
        "mine": list(mine.filter(customer__in=visible).select_related("customer").order_by("customer__folded")),
    }
    is_wrong = form.errors or customer_form.errors
    return render(request, "notices/choices.html", context, status=422 if is_wrong else 200)


# --- addresses of teams ---


@login_required
@requires_reauthentication
@require_http_methods(["GET", "POST"])
def customer_routes(request: HttpRequest, pk: int) -> HttpResponse:
    """Show where notices of a customer go besides its people, and add an address."""
    user = user_of(request)
    customer = get_object_or_404(Customer.objects.visible_to(user), pk=pk)
    require(user, Action.MANAGE_PEOPLE, customer)
    form = RouteForm(request.POST if request.method == "POST" else None, user=user, customer=customer)
    if form.is_valid():
        if route_add(customer=customer, by=user, **form.cleaned_data):
            messages.success(request, f"{form.cleaned_data['address']} is told from now on.")
            return go(request, reverse("notices:customer-routes", args=[pk]))
        form.add_error("address", "It goes to this address already.")
    labels = {name: kind.look.label for name, kind in NOTICE_KINDS.items()}
    routes = NoticeRoute.objects.filter(customer=customer, ended_at=None).order_by("address", "pk")
    rows = [(route, labels.get(route.kind, EVERY_KIND)) for route in routes]
    context = {"customer": customer, "form": form, "rows": rows}
    return render(request, "notices/customer_routes.html", context, status=422 if form.errors else 200)


@login_required
@post_only("notices:condition-list")
@requires_reauthentication
def route_end_view(request: HttpRequest, pk: int) -> HttpResponse:
    """End a route to the address of a team."""
    user = user_of(request)
    seen = NoticeRoute.objects.filter(customer__in=Customer.objects.visible_to(user)).select_related("customer")
    route = get_object_or_404(seen, pk=pk)
    require(user, Action.MANAGE_PEOPLE, route.customer)
    if route_end(route=route):
        messages.success(request, f"{route.address} is not told any more.")
    return go(request, reverse("notices:customer-routes", args=[route.customer_id]))


# --- mails that were given up ---


@login_required
@require_GET
def mail_list(request: HttpRequest) -> HttpResponse:
    """List mails that were given up, and how many wait."""
    require(user_of(request), Action.MANAGE_CUSTOMERS, None)
    dead = NoticeMail.objects.filter(state=NoticeMail.State.DEAD).select_related("person", "route")
    page = keyset(dead, ["-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    context = {
        "page": page,
        "waiting": NoticeMail.objects.filter(state=NoticeMail.State.WAITING).count(),
        "is_printed": EMAIL_BACKENDS["console"] == settings.EMAIL_BACKEND,
    }
    return render(request, "notices/mail_list.html", context)


@login_required
@post_only("notices:mail-list")
def mail_send_again_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a mail that was given up again."""
    require(user_of(request), Action.MANAGE_CUSTOMERS, None)
    mail = get_object_or_404(NoticeMail, pk=pk)
    if mail_send_again(mail=mail):
        messages.success(request, "It is sent again, within the next seconds.")
    else:
        messages.info(request, "It was not given up, or somebody sent it again already.")
    return go(request, reverse("notices:mail-list"))


# --- the link in each mail that ends it ---


@require_http_methods(["GET", "HEAD", "POST"])
def end(request: HttpRequest, token: str) -> HttpResponse:
    """Ask whether to end mails, and do it. The link alone does nothing: programs that look for viruses open it too."""
    ending = ending_with(token)
    if ending is None:
        return render(request, "notices/end_closed.html", status=404)
    if request.method == "POST":
        mails_end(ending=ending)
    context = {"ending": ending, "token": token, "is_done": request.method == "POST"}
    return render(request, "notices/end.html", context)
