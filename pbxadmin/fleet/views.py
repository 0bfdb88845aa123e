"""Pages of PBX records: list, one, add and edit, test and pin, disable and delete."""

from functools import partial

from allauth.core import ratelimit
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import can_anywhere, only_customer, require, require_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import Action
from pbxadmin.web.csv import csv_response
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import keyset
from pbxadmin.web.words import number_of

from . import filters, imports, services
from .connection_test import connection_test
from .decorators import waits_for_pbx
from .forms import DeleteForm, ImportForm, PbxFilter, PbxForm, PinForm, ReplacementForm
from .imports import ImportPlan
from .models import Pbx, PbxImport, PbxQuerySet, SavedFilter
from .record_fields import EXPORT_COLUMNS, IMPORT_COLUMNS
from .sheet import exported

PAGE_SIZE = 50


def visible_pbx(request: HttpRequest, pk: int) -> Pbx:
    return get_object_or_404(Pbx.objects.visible_to(request.user).select_related("customer"), pk=pk)


def managed_pbx(request: HttpRequest, pk: int) -> Pbx:
    pbx = visible_pbx(request, pk)
    require(request.user, Action.MANAGE_PBXS, pbx.customer)
    return pbx


def to_page(request: HttpRequest, pbx: Pbx) -> HttpResponse:
    return go(request, reverse("fleet:pbx-page", args=[pbx.pk]))


@login_required
@require_GET
def pbx_list(request: HttpRequest) -> HttpResponseBase:
    wanted = PbxFilter(request.GET, user=request.user)
    found = wanted.found(Pbx.objects.visible_to(request.user)).select_related("customer")
    if request.GET.get("format") == "csv":
        return pbxs_csv(user_of(request), found, wanted)
    page = keyset(found.with_tags(), ("name", "id"), request.GET.get("cursor", ""), PAGE_SIZE)
    chosen = wanted.chosen_customer
    context = {
        "wanted": wanted,
        "page": page,
        "has_pbxs": bool(page.rows) or Pbx.objects.visible_to(request.user).exists(),
        "may_add": can_anywhere(request.user, Action.MANAGE_PBXS),
        "customers": Customer.objects.visible_to(request.user).values_list("pk", "name"),
        "chosen": chosen,
        "tags": Pbx.objects.visible_to(request.user).tags_in_use(),
        "saved": filters.saved_for(request.user, SavedFilter.List.PBXS),
        "shareable": filters.shareable(request.user, chosen.pk if chosen else None) if wanted.query else None,
    }
    return render_either(request, "fleet/pbx_list.html", "fleet/_pbx_table.html", context)


def pbxs_csv(user: User, found: PbxQuerySet, wanted: PbxFilter) -> HttpResponseBase:
    """The whole filter, not only the page, in the columns that an import takes; without passwords."""
    chosen = wanted.chosen_customer
    customer = only_customer(user, Action.SEE, chosen.pk if chosen else None)
    services.export_record(found.count(), wanted.query, customer)
    rows = found.order_by("customer__name", "name", "id").with_tags().iterator()
    return csv_response("pbxs.csv", EXPORT_COLUMNS, map(exported, rows))


@login_required
@require_GET
def pbx_page(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "fleet/pbx_page.html", {"pbx": visible_pbx(request, pk)})


@login_required
def pbx_add(request: HttpRequest) -> HttpResponse:
    require_anywhere(request.user, Action.MANAGE_PBXS)
    data, customer = request.POST if request.method == "POST" else None, request.GET.get("customer", "")
    form = PbxForm(data, user=request.user, customer=customer)
    if pbx := form.saved(services.pbx_create):
        return to_page(request, pbx)
    return show_form(request, form)


@login_required
@requires_reauthentication
def pbx_import(request: HttpRequest) -> HttpResponse:
    """Bring a file with many PBX records. What is wrong with it is shown; else it is kept for its preview."""
    require_anywhere(request.user, Action.MANAGE_PBXS)
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    plan = None
    if form.is_valid():
        data = form.cleaned_data["file"].read()
        plan = imports.import_plan(data, request.user)
        if not plan.faults:
            kept = imports.import_keep(user_of(request), data)
            return go(request, reverse("fleet:pbx-import-preview", args=[kept.pk]))
    context = {"form": form, "plan": plan, "columns": IMPORT_COLUMNS}
    return render(request, "fleet/pbx_import.html", context, status=422 if form.errors or plan else 200)


@login_required
@requires_reauthentication
def pbx_import_preview(request: HttpRequest, pk: int) -> HttpResponse:
    """What a file would add and change, and then the import of exactly that."""
    found = imports.import_kept(user_of(request), pk)
    if found is None:
        raise Http404
    kept, data = found
    require_anywhere(request.user, Action.MANAGE_PBXS)
    if request.method == "POST" and "discard" in request.POST:
        kept.delete()
        messages.info(request, "The file is forgotten. Nothing was imported.")
        return go(request, reverse("fleet:pbx-import"))
    plan, problem = imports.import_plan(data, request.user), ""
    if request.method == "POST":
        problem = imported(request, plan, data, kept)
        if not problem:
            return go(request, reverse("fleet:pbx-list"))
    context = {"kept": kept, "plan": plan, "problem": problem}
    return render(request, "fleet/pbx_import_preview.html", context, status=409 if problem else 200)


def imported(request: HttpRequest, plan: ImportPlan, data: bytes, kept: PbxImport) -> str:
    """Import what was shown; why not, when it does not come to that."""
    if plan.faults or request.POST.get("plan") != plan.digest:
        return "Something changed since you saw this. Nothing was imported. Look again."
    try:
        done = imports.import_apply(plan, source=data, kept=kept)
    except ValidationError as error:
        return f"{' '.join(error.messages)} Nothing was imported."
    if not done:
        return "This file was imported or forgotten meanwhile."
    added = f"{number_of(len(plan.added), 'PBX')} added"
    messages.success(request, f"Imported: {added}, {len(plan.changed)} changed.")
    return ""


@login_required
@requires_reauthentication
def pbx_edit(request: HttpRequest, pk: int) -> HttpResponse:
    pbx = managed_pbx(request, pk)
    form = PbxForm(request.POST if request.method == "POST" else None, user=request.user, pbx=pbx)
    changed = form.saved(partial(services.pbx_edit, pbx=pbx))
    if changed is None:
        return show_form(request, form)
    if not changed:
        messages.info(request, "Nothing was changed.")
    return to_page(request, pbx)


def show_form(request: HttpRequest, form: PbxForm) -> HttpResponse:
    context = {"form": form, "pbx": form.pbx}
    status = 422 if form.errors else 200
    return render_either(request, "fleet/pbx_edit.html", "fleet/_pbx_form.html", context, status=status)


@login_required
@require_POST
@waits_for_pbx
def pbx_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Test the connection now and show what each step found; the page is the answer to the POST."""
    pbx = managed_pbx(request, pk)
    if not may_test_again(request):
        most = settings.ACCOUNT_RATE_LIMITS["connection_test"].split("/")[0]
        messages.error(request, f"Not tested: {most} tests a minute are enough. Wait a minute.")
        return to_page(request, pbx)
    detects = "detect" in request.POST
    test = connection_test(pbx, f"{request.user} is testing the connection", detects=detects)
    return render(request, "fleet/pbx_test.html", {"pbx": pbx, "test": test})


def may_test_again(request: HttpRequest) -> bool:
    """Count this test, and return whether the limit allows it. No person reaches it; a search for open ports does."""
    return ratelimit.consume(request, action="connection_test", key=request.session.session_key)


@login_required
@require_POST
@requires_reauthentication
def pbx_use_version(request: HttpRequest, pk: int) -> HttpResponse:
    """Talk to the PBX by the API version that answered when it was looked for."""
    pbx = managed_pbx(request, pk)
    if not pbx.capability or request.POST.get("version") != pbx.capability:
        messages.error(request, "Nothing was changed. Test the connection again to see which version answers.")
        return to_page(request, pbx)
    services.pbx_edit(pbx=pbx, values={"api_version": pbx.capability})
    messages.success(request, f"{pbx.name} is talked to by API {pbx.capability} from now on. Test the connection.")
    return to_page(request, pbx)


@login_required
@require_POST
@requires_reauthentication
def pbx_pin(request: HttpRequest, pk: int) -> HttpResponse:
    """Trust the certificate that the test showed, from now on and no other."""
    pbx = managed_pbx(request, pk)
    form = PinForm(request.POST, pbx=pbx)
    if "fingerprint" in form.errors:
        return HttpResponseBadRequest("This is not a fingerprint.")
    if form.errors:
        messages.error(request, "Nothing was pinned. Another certificate in place of the pinned one needs a reason.")
        return to_page(request, pbx)
    services.pbx_pin(pbx=pbx, fingerprint=form.cleaned_data["fingerprint"], reason=form.cleaned_data["reason"])
    messages.success(request, f"The certificate is pinned. {pbx.name} is trusted by it alone.")
    return to_page(request, pbx)


@login_required
@require_POST
@requires_reauthentication
def pbx_accept(request: HttpRequest, pk: int) -> HttpResponse:
    """Accept the device that answers now in place of the one that was known."""
    pbx = managed_pbx(request, pk)
    form = ReplacementForm(request.POST)
    if not form.is_valid() or form.cleaned_data["serial"] != pbx.other_serial:
        messages.error(request, "Nothing was accepted. Look at the serial number again and give a reason.")
        return to_page(request, pbx)
    services.pbx_accept_replacement(pbx=pbx, reason=form.cleaned_data["reason"])
    messages.success(request, f"{pbx.name} is now the device with serial {pbx.other_serial}.")
    return to_page(request, pbx)


@login_required
@require_POST
def pbx_switch(request: HttpRequest, pk: int, enabled: bool) -> HttpResponse:
    pbx = managed_pbx(request, pk)
    services.pbx_switch(pbx=pbx, enabled=enabled)
    return to_page(request, pbx)


@login_required
@requires_reauthentication
def pbx_delete(request: HttpRequest, pk: int) -> HttpResponse:
    pbx = managed_pbx(request, pk)
    form = DeleteForm(request.POST if request.method == "POST" else None, pbx=pbx)
    if not form.is_valid():
        context = {"form": form, "pbx": pbx}
        return render(request, "fleet/pbx_delete.html", context, status=422 if form.errors else 200)
    services.pbx_delete(pbx=pbx)
    messages.success(request, f"{pbx.name} is deleted. Its changes and events stay readable.")
    return go(request, reverse("fleet:pbx-list"))
