"""The pages of API keys and service accounts. A key is shown once, on the answer to its form."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from pbxadmin.access.models import User
from pbxadmin.access.permissions import require_anywhere, require_rule_over
from pbxadmin.access.person import user_of
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import Action
from pbxadmin.web.htmx import go
from pbxadmin.web.posting import post_only

from .forms import ApiKeyForm, ServiceAccountForm
from .models import ApiKey
from .services import api_key_make, api_key_revoke, service_account_make


@login_required
@requires_reauthentication
def own_keys(request: HttpRequest) -> HttpResponse:
    """Show the person's own keys, and make one."""
    return keys_page(request, user_of(request), may_make=True)


@login_required
@requires_reauthentication
def holder_keys(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the keys of somebody whose roles the person manages; of a service account, make one."""
    user = user_of(request)
    holder = get_object_or_404(User.objects.visible_to(user, Action.MANAGE_PEOPLE), pk=pk)
    require_rule_over(user, holder)
    return keys_page(request, holder, may_make=holder.is_service)


def keys_page(request: HttpRequest, holder: User, *, may_make: bool) -> HttpResponse:
    form = ApiKeyForm(request.POST if request.method == "POST" and may_make else None)
    if form.is_valid():
        try:
            key, text = api_key_make(holder=holder, **form.entered())
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return render(request, "api/key_made.html", {"key": key, "text": text, "address": address_of_keys(key)})
    context = {
        "holder": holder,
        "is_own": holder == user_of(request),
        "keys": ApiKey.objects.filter(holder=holder),
        "form": form if may_make else None,
        "action": request.path,
    }
    return render(request, "api/key_list.html", context, status=422 if form.errors else 200)


def address_of_keys(key: ApiKey) -> str:
    return reverse("keys:holder-keys", args=[key.holder_id]) if key.holder.is_service else reverse("keys:own-keys")


@login_required
@post_only("keys:own-keys")
@requires_reauthentication
def key_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """End a key at once: one's own, or one of somebody whose account the person may change."""
    user = user_of(request)
    key = get_object_or_404(ApiKey.objects.visible_to(user).select_related("holder"), pk=pk)
    if key.holder != user:
        require_rule_over(user, key.holder)
    if api_key_revoke(key=key):
        messages.success(request, f"{key.name} is revoked. It no longer works.")
    else:
        messages.info(request, f"{key.name} was revoked already.")
    is_own = key.holder == user
    return go(request, reverse("keys:own-keys") if is_own else reverse("keys:holder-keys", args=[key.holder_id]))


@login_required
@requires_reauthentication
def service_account_add(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    require_anywhere(user, Action.MANAGE_PEOPLE)
    form = ServiceAccountForm(request.POST if request.method == "POST" else None, user=user)
    if form.is_valid():
        values = form.cleaned_data
        try:
            account = service_account_make(
                name=values["name"], role=values["role"], customer=values["customer"], last_day=values["ends_on"]
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, f"{account.display_name} is added. Make its first key.")
            return go(request, reverse("keys:holder-keys", args=[account.pk]))
    return render(request, "api/service_account_add.html", {"form": form}, status=422 if form.errors else 200)
