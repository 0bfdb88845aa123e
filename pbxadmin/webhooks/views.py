"""Pages of webhooks: endpoints, what went to each, and what was given up."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from pbxadmin.access.permissions import require
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action

from .models import Webhook


@login_required
@require_GET
def webhook_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show an endpoint."""
    user = user_of(request)
    webhook = get_object_or_404(Webhook.objects.visible_to(user).select_related("customer"), pk=pk)
    require(user, Action.MANAGE_PEOPLE, webhook.customer)
    return render(request, "webhooks/webhook_page.html", {"webhook": webhook})
