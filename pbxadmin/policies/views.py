"""The pages of policies: what should be, what is not, and what was accepted all the same."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from pbxadmin.access.models import Customer
from pbxadmin.access.permissions import can, can_anywhere, customers_of, require, require_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.context import current
from pbxadmin.batches.asking import ask_for_batch
from pbxadmin.batches.selectors import Selection
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import PAGE_SIZE, keyset
from pbxadmin.web.posting import post_only

from .forms import ExceptionFilter, ExceptionForm, PolicyForm, ViolationFilter
from .models import Policy, PolicyException, Violation
from .selectors import asked_counts, ivrs_to_fix, policy_rows, violation_rows
from .services import exception_withdraw, policy_add, policy_delete, policy_edit, violation_accept


def seen_policy(request: HttpRequest, pk: int) -> Policy:
    return get_object_or_404(Policy.objects.visible_to(user_of(request)).select_related("customer"), pk=pk)


def right_over(customer: Customer | None) -> Action:
    """Return the action that a policy needs: managers set the rules of their customers, site admins those of all."""
    return Action.MANAGE_RULES if customer else Action.MANAGE_CUSTOMERS


def own_policy(request: HttpRequest, pk: int) -> Policy:
    """Return a policy that the person may change. Raises PermissionDenied for one that they only see."""
    policy = seen_policy(request, pk)
    require(user_of(request), right_over(policy.customer), policy.customer)
    return policy


@login_required
@require_GET
def policy_list(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    policies = list(Policy.objects.visible_to(user).select_related("customer"))
    context = {
        "rows": policy_rows(user, policies),
        "exceptions": PolicyException.objects.visible_to(user).current().count(),
        "may_add": can_anywhere(user, Action.MANAGE_RULES),
    }
    return render(request, "policies/policy_list.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def policy_add_view(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    require_anywhere(user, Action.MANAGE_RULES)
    form = PolicyForm(request.POST if request.method == "POST" else None, user=user)
    if form.is_valid():
        customer = form.cleaned_data["customer"]
        require(user, right_over(customer), customer)
        policy = policy_add(customer=customer, values=form.columns, actor=current().actor)
        return go(request, policy.get_absolute_url())
    return render(request, "policies/policy_form.html", {"form": form}, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET", "POST"])
def policy_edit_view(request: HttpRequest, pk: int) -> HttpResponse:
    policy = own_policy(request, pk)
    form = PolicyForm(request.POST if request.method == "POST" else None, user=user_of(request), policy=policy)
    if form.is_valid():
        policy_edit(policy=policy, values=form.columns)
        return go(request, policy.get_absolute_url())
    context = {"form": form, "policy": policy}
    return render(request, "policies/policy_form.html", context, status=422 if form.errors else 200)


@login_required
@post_only("policies:policy-list")
def policy_delete_view(request: HttpRequest, pk: int) -> HttpResponse:
    policy = own_policy(request, pk)
    policy_delete(policy=policy)
    messages.success(request, f"{policy.title} is deleted. Nothing is checked against it any more.")
    return go(request, reverse("policies:policy-list"))


@login_required
@require_GET
def policy_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what breaks a policy, of the customers that the person sees."""
    user, policy = user_of(request), seen_policy(request, pk)
    wanted = ViolationFilter(request.GET, user=user)
    mine = Violation.objects.visible_to(user).filter(policy=policy)
    found = wanted.narrow(mine).select_related("policy", "pbx__customer", "exception")
    page = keyset(found, ["-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    (row,) = policy_rows(user, [policy])
    context = {
        "policy": policy,
        "row": row,
        "asked": asked_counts(user, policy),
        "wanted": wanted,
        "query": wanted.query,
        "page": page,
        "rows": violation_rows(page.rows),
        "ruled": set(customers_of(user, Action.MANAGE_RULES).values_list("pk", flat=True)),
        "may_fix": bool(policy.fix) and row.open and can_anywhere(user, Action.BATCH),
        "may_edit": can(user, right_over(policy.customer), policy.customer),
    }
    return render_either(request, "policies/policy_page.html", "policies/_violation_table.html", context)


@login_required
@post_only("policies:policy-page", "pk")
def policy_fix(request: HttpRequest, pk: int) -> HttpResponse:
    """Open the form of a batch with what breaks a policy and the value that it asks for. Nothing is planned yet."""
    user, policy = user_of(request), seen_policy(request, pk)
    require_anywhere(user, Action.BATCH)
    if not policy.fix:
        messages.info(request, f"{policy.of_field.label} cannot be set in a batch.")
        return go(request, policy.get_absolute_url())
    selection = Selection(tuple(ivrs_to_fix(user, policy)))
    return ask_for_batch(request, selection, {policy.field: policy.fix, "reason": policy.title})


@login_required
@require_http_methods(["GET", "POST"])
def violation_accept_view(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    mine = Violation.objects.visible_to(user).select_related("policy", "pbx__customer")
    violation = get_object_or_404(mine, pk=pk)
    require(user, Action.MANAGE_RULES, violation.pbx.customer)
    form = ExceptionForm(request.POST if request.method == "POST" else None, value=violation.value)
    if not form.is_valid():
        context = {"form": form, "violation": violation, "row": violation_rows([violation])[0]}
        return render(request, "policies/violation_accept.html", context, status=422 if form.errors else 200)
    given = {name: form.cleaned_data[name] for name in ("value", "reason", "ends_on")}
    if violation_accept(violation=violation, actor=current().actor, **given):
        messages.success(request, f"Accepted through {given['ends_on']:%Y-%m-%d}, as long as the value stays.")
    else:
        messages.info(request, "Nothing was accepted: the value moved meanwhile, or somebody accepted it already.")
    return go(request, violation.policy.get_absolute_url())


@login_required
@require_GET
def exception_list(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    wanted = ExceptionFilter(request.GET, user=user)
    found = wanted.narrow(PolicyException.objects.visible_to(user))
    page = keyset(found, ["-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    context = {
        "wanted": wanted,
        "query": wanted.query,
        "page": page,
        "rows": page.rows,
        "exceptions": PolicyException.objects.visible_to(user).current().count(),
        "ruled": set(customers_of(user, Action.MANAGE_RULES).values_list("pk", flat=True)),
    }
    return render_either(request, "policies/exception_list.html", "policies/_exception_table.html", context)


@login_required
@post_only("policies:exception-list")
def exception_withdraw_view(request: HttpRequest, pk: int) -> HttpResponse:
    user = user_of(request)
    exception = get_object_or_404(PolicyException.objects.visible_to(user), pk=pk)
    require(user, Action.MANAGE_RULES, exception.customer_id)
    if exception_withdraw(exception=exception, actor=current().actor):
        messages.success(request, "Withdrawn. What it accepted is open again.")
    else:
        messages.info(request, "It was over already.")
    return go(request, reverse("policies:exception-list"))
