"""Views that save the filter of a list under a name, and delete it."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from pbxadmin.access.permissions import customers_of, require
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.fleet.forms import SavedFilterForm
from pbxadmin.fleet.models import SavedFilter, list_address
from pbxadmin.fleet.saved_filters import filter_delete, filter_save, may_delete
from pbxadmin.web.htmx import go
from pbxadmin.web.posting import post_only


@login_required
@post_only("fleet:pbx-list")
def filter_add(request: HttpRequest) -> HttpResponse:
    """Save a filter and lead to the list that it makes."""
    form = SavedFilterForm(request.POST, customers=customers_of(request.user, Action.SEE))
    if not form.is_valid():
        messages.error(request, f"Nothing was saved. {form.sentence}")
        return go(request, list_address(form.list_))
    values = form.cleaned_data
    if values["customer"]:
        require(request.user, Action.EDIT_IVR, values["customer"])
    owner, list_ = user_of(request), values["list"]
    try:
        saved = filter_save(
            owner=owner, list_=list_, name=values["name"], query=values["query"], customer=values["customer"]
        )
    except ValidationError as error:
        messages.error(request, f"Nothing was saved. {' '.join(error.messages)}")
        return go(request, list_address(list_))
    messages.success(request, f"Saved as {saved.name}.")
    return go(request, saved.address)


@login_required
@post_only("fleet:pbx-list")
def filter_remove(request: HttpRequest, pk: int) -> HttpResponse:
    saved = get_object_or_404(SavedFilter.objects.visible_to(request.user).select_related("customer"), pk=pk)
    if not may_delete(request.user, saved):
        require(request.user, Action.MANAGE_PBXS, saved.customer)
    filter_delete(saved=saved)
    messages.success(request, f"{saved.name} is deleted.")
    return go(request, saved.list_address)
