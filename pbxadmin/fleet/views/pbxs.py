"""Pages of PBX records: list, one, add and edit, disable and delete."""

from functools import partial

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import can_anywhere, only_customer, require_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import Action
from pbxadmin.fleet import saved_filters, services
from pbxadmin.fleet.availability import availability_of
from pbxadmin.fleet.engineer import engineer_text
from pbxadmin.fleet.forms import DeleteForm, PbxFilter, PbxForm
from pbxadmin.fleet.models import IS_URGENT, NEEDS_A_PERSON, Pbx, PbxQuerySet, SavedFilter
from pbxadmin.fleet.pbx_clock import clock_told
from pbxadmin.fleet.record_fields import EXPORT_COLUMNS
from pbxadmin.fleet.sheet import exported
from pbxadmin.web.csv import csv_response
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import PAGE_SIZE, keyset
from pbxadmin.web.posting import post_only
from pbxadmin.web.site import site_address

from .common import managed_pbx, pbx_to_show, to_pbx_page

MOST_SAME = 3  # other records of one device that its page names


@login_required
@require_GET
def pbx_list(request: HttpRequest) -> HttpResponseBase:
    wanted = PbxFilter(request.GET, user=request.user)
    found = wanted.narrow(Pbx.objects.visible_to(request.user)).select_related("customer")
    if request.GET.get("format") == "csv":
        return pbxs_csv(user_of(request), found, wanted)
    rows = found.with_tags().with_urgency()
    page = keyset(rows, wanted.order, request.GET.get("cursor", ""), PAGE_SIZE)
    chosen = wanted.chosen_customer
    context = {
        "wanted": wanted,
        "page": page,
        "chips": wanted.shown_chips(),
        "counts": pbx_counts(found, Pbx.objects.visible_to(request.user)),
        "has_pbxs": bool(page.rows) or Pbx.objects.visible_to(request.user).exists(),
        "may_add": can_anywhere(request.user, Action.MANAGE_PBXS),
        "customers": Customer.objects.visible_to(request.user).values_list("pk", "name"),
        "chosen": chosen,
        "tags": Pbx.objects.visible_to(request.user).tags_in_use(),
        "saved": saved_filters.saved_for(request.user, SavedFilter.List.PBXS),
        "shareable": saved_filters.shareable(request.user, chosen.pk if chosen else None) if wanted.query else None,
    }
    return render_either(request, "fleet/pbx_list.html", "fleet/_pbx_table.html", context)


def pbx_counts(found: PbxQuerySet, seen: PbxQuerySet) -> dict[str, int]:
    """Return how many PBXs a filter found, how many of these need attention, and of how many there are."""
    counts = found.aggregate(found=Count("pk"), urgent=Count("pk", filter=IS_URGENT))
    return {**counts, "all": seen.count()}


def pbxs_csv(user: User, found: PbxQuerySet, wanted: PbxFilter) -> HttpResponseBase:
    """Return all PBXs of the filter in the columns that an import takes, without passwords."""
    chosen = wanted.chosen_customer
    customer = only_customer(user, Action.SEE, chosen.pk if chosen else None)
    services.export_record(found.count(), wanted.query, customer)
    rows = found.order_by("customer__name", "name", "id").with_tags().iterator()
    return csv_response("pbxs.csv", EXPORT_COLUMNS, map(exported, rows))


@login_required
@require_GET
def pbx_page(request: HttpRequest, pk: int) -> HttpResponse:
    pbx = pbx_to_show(request, pk)
    link = f"{site_address(request)}{pbx.get_absolute_url()}"
    engineer = engineer_text(pbx, link) if pbx.state in NEEDS_A_PERSON else ""
    clock = clock_told(pbx.clock, pbx.identity_at) if pbx.identity_at else None
    context = {
        "pbx": pbx,
        "same_device": Pbx.objects.visible_to(request.user).same_device_as(pbx).select_related("customer")[:MOST_SAME],
        "availability": availability_of(pbx),
        "engineer": engineer,
        "clock": clock,
    }
    return render(request, "fleet/pbx_page.html", context)


@login_required
def pbx_add(request: HttpRequest) -> HttpResponse:
    require_anywhere(request.user, Action.MANAGE_PBXS)
    data, customer = request.POST if request.method == "POST" else None, request.GET.get("customer", "")
    form = PbxForm(data, user=request.user, customer=customer)
    if pbx := form.saved(services.pbx_create):
        messages.success(request, f"{pbx.name} is added. Test the connection: nothing was sent to it yet.")
        return to_pbx_page(request, pbx)
    return show_form(request, form)


@login_required
@requires_reauthentication
def pbx_edit_view(request: HttpRequest, pk: int) -> HttpResponse:
    pbx = managed_pbx(request, pk)
    form = PbxForm(request.POST if request.method == "POST" else None, user=request.user, pbx=pbx)
    changed = form.saved(partial(services.pbx_edit, pbx=pbx))
    if changed is None:
        return show_form(request, form)
    if changed:
        messages.success(request, f"{pbx.name} is saved. Nothing was sent to it.")
    else:
        messages.info(request, "Nothing was changed.")
    return to_pbx_page(request, pbx)


def show_form(request: HttpRequest, form: PbxForm) -> HttpResponse:
    context = {"form": form, "pbx": form.pbx}
    status = 422 if form.errors else 200
    return render_either(request, "fleet/pbx_edit.html", "fleet/_pbx_form.html", context, status=status)


@login_required
@post_only("fleet:pbx-page", "pk")
def pbx_switch_view(request: HttpRequest, pk: int, enabled: bool) -> HttpResponse:
    pbx = managed_pbx(request, pk)
    services.pbx_switch(pbx=pbx, enabled=enabled)
    return to_pbx_page(request, pbx)


@login_required
@requires_reauthentication
def pbx_delete_view(request: HttpRequest, pk: int) -> HttpResponse:
    pbx = managed_pbx(request, pk)
    form = DeleteForm(request.POST if request.method == "POST" else None, pbx=pbx)
    if not form.is_valid():
        context = {"form": form, "pbx": pbx}
        return render(request, "fleet/pbx_delete.html", context, status=422 if form.errors else 200)
    services.pbx_delete(pbx=pbx)
    messages.success(request, f"{pbx.name} is deleted. Its changes and events stay readable.")
    return go(request, reverse("fleet:pbx-list"))
