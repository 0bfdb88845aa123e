"""Pages of webhooks: the endpoints, one with what went to it, and what is done to it. A secret is shown once."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from pbxadmin.access.models import User, customer_ids
from pbxadmin.access.permissions import require, require_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import Action
from pbxadmin.fleet.concurrency import TooManyWaiting, serving_page, waiting_slot
from pbxadmin.web.htmx import go, render_either, wants_fragment
from pbxadmin.web.pages import PAGE_SIZE, keyset
from pbxadmin.web.posting import post_only

from .forms import WebhookAddForm, WebhookEditForm
from .models import Webhook, WebhookDelivery
from .posting import PostResult
from .selectors import delivery_rows, kind_labels, webhook_rows
from .services import (
    delivery_send_again,
    webhook_add,
    webhook_delete,
    webhook_edit,
    webhook_rotate,
    webhook_switch,
    webhook_test,
)

PAGE = "webhooks:webhook-page"


@login_required
@require_GET
def webhook_list(request: HttpRequest) -> HttpResponse:
    """List the endpoints of all customers whose people the person manages."""
    user = user_of(request)
    require_anywhere(user, Action.MANAGE_PEOPLE)
    ids = customer_ids(user, Action.MANAGE_PEOPLE)
    every = Webhook.objects.select_related("customer")
    mine = every if ids is None else every.filter(customer__in=ids)
    page = keyset(mine, ["-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    context = {"page": page, "rows": webhook_rows(page.rows)}
    return render_either(request, "webhooks/webhook_list.html", "webhooks/_webhook_table.html", context)


@login_required
@requires_reauthentication
@require_http_methods(["GET", "POST"])
def webhook_add_page(request: HttpRequest) -> HttpResponse:
    """Show the form of a new endpoint, add it, and show its secret."""
    user = user_of(request)
    require_anywhere(user, Action.MANAGE_PEOPLE)
    form = WebhookAddForm(request.POST if request.method == "POST" else None, user=user)
    if form.is_valid():
        given = form.cleaned_data
        require(user, Action.MANAGE_PEOPLE, given["customer"])
        try:
            webhook, secret = webhook_add(**given)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return show_secret(request, webhook, secret)
    return render(request, "webhooks/webhook_add.html", {"form": form}, status=422 if form.errors else 200)


def show_secret(request: HttpRequest, webhook: Webhook, secret: str, *, is_new: bool = True) -> HttpResponse:
    context = {"webhook": webhook, "secret": secret, "is_new": is_new}
    answer = render(request, "webhooks/secret_shown.html", context)
    answer["Cache-Control"] = "no-store"
    return answer


def webhook_of(user: User, pk: int) -> Webhook:
    """Return an endpoint that this person may manage. Raises Http404 and PermissionDenied."""
    webhook = get_object_or_404(Webhook.objects.visible_to(user).select_related("customer"), pk=pk)
    require(user, Action.MANAGE_PEOPLE, webhook.customer)
    return webhook


@login_required
@require_GET
def webhook_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show an endpoint and what went to it, the newest first."""
    user = user_of(request)
    webhook = webhook_of(user, pk)
    return show_webhook(request, webhook, WebhookEditForm(None, webhook=webhook, user=user))


def show_webhook(request: HttpRequest, webhook: Webhook, form: WebhookEditForm) -> HttpResponse:
    wanted = request.GET.get("state", "")
    found = webhook.deliveries.select_related("notice")
    found = found.filter(state=wanted) if wanted in WebhookDelivery.State.values else found
    page = keyset(found, ["-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    context: dict[str, Any] = {
        "webhook": webhook,
        "row": webhook_rows([webhook])[0],
        "kinds": kind_labels(webhook),
        "form": form,
        "page": page,
        "rows": delivery_rows(page.rows),
        "wanted": wanted,
        "query": f"state={wanted}" if wanted in WebhookDelivery.State.values else "",
    }
    status = 422 if form.errors else 200
    return render_either(request, "webhooks/webhook_page.html", "webhooks/_delivery_table.html", context, status)


@login_required
@post_only(PAGE, "pk")
@requires_reauthentication
def webhook_edit_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Take other values of an endpoint."""
    user = user_of(request)
    webhook = webhook_of(user, pk)
    form = WebhookEditForm(request.POST, webhook=webhook, user=user)
    if form.is_valid():
        try:
            is_other = webhook_edit(webhook=webhook, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, "Saved." if is_other else "Nothing was different.")
            return go(request, reverse(PAGE, args=[pk]))
    return show_webhook(request, webhook, form)


@login_required
@post_only(PAGE, "pk")
def webhook_test_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Post a test message, and tell what came of it."""
    webhook = webhook_of(user_of(request), pk)
    try:
        with serving_page(), waiting_slot():
            result = webhook_test(webhook=webhook)
    except TooManyWaiting as error:
        result = PostResult(0, str(error))
    if wants_fragment(request):
        return render(request, "webhooks/_tested.html", {"result": result})
    tell = messages.success if result.is_taken else messages.error
    tell(request, f"Test: {result.words}")
    return go(request, reverse(PAGE, args=[pk]))


@login_required
@post_only(PAGE, "pk")
@requires_reauthentication
def webhook_rotate_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Give an endpoint a new secret, and show it."""
    webhook = webhook_of(user_of(request), pk)
    return show_secret(request, webhook, webhook_rotate(webhook=webhook), is_new=False)


@login_required
@post_only(PAGE, "pk")
@requires_reauthentication
def webhook_switch_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch an endpoint on or off."""
    webhook, on = webhook_of(user_of(request), pk), request.POST.get("on") == "yes"
    if webhook_switch(webhook=webhook, on=on):
        words = "on. What waits for it goes within the next seconds." if on else "off. Nothing is collected for it."
        messages.success(request, f"{webhook.name} is {words}")
    return go(request, reverse(PAGE, args=[pk]))


@login_required
@requires_reauthentication
@require_http_methods(["GET", "POST"])
def webhook_delete_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether to delete an endpoint, and do it."""
    webhook = webhook_of(user_of(request), pk)
    if request.method == "GET":
        return render(request, "webhooks/webhook_delete.html", {"row": webhook_rows([webhook])[0], "webhook": webhook})
    webhook_delete(webhook=webhook)
    messages.success(request, f"{webhook.name} is deleted. Nothing goes there any more.")
    return go(request, reverse("webhooks:webhook-list"))


@login_required
@post_only("webhooks:webhook-list")
def delivery_send_again_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a message that was given up again."""
    user = user_of(request)
    delivery = get_object_or_404(
        WebhookDelivery.objects.filter(webhook__in=Webhook.objects.visible_to(user)).select_related(
            "webhook__customer"
        ),
        pk=pk,
    )
    require(user, Action.MANAGE_PEOPLE, delivery.webhook.customer)
    if delivery_send_again(delivery=delivery):
        messages.success(request, "It is sent again, within the next seconds.")
    else:
        messages.info(request, "It was not given up, or somebody sent it again already.")
    return go(request, reverse(PAGE, args=[delivery.webhook_id]))
