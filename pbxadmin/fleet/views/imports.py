"""Pages that import many PBX records from a file."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from pbxadmin.access.permissions import require_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import Action
from pbxadmin.fleet import imports
from pbxadmin.fleet.forms import ImportForm
from pbxadmin.fleet.imports import ImportPlan
from pbxadmin.fleet.models import PbxImport
from pbxadmin.fleet.record_fields import IMPORT_COLUMNS
from pbxadmin.fleet.sheet import encoding_of
from pbxadmin.web.htmx import go
from pbxadmin.web.words import number_of


@login_required
@requires_reauthentication
def pbx_import(request: HttpRequest) -> HttpResponse:
    """Take a file with many PBX records. Show what is wrong with it, or store it and lead to its preview."""
    require_anywhere(request.user, Action.MANAGE_PBXS)
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    plan = None
    if form.is_valid():
        data = form.cleaned_data["file"].read()
        plan = imports.import_plan(data, request.user, encoding_of(data))
        if not plan.faults:
            stored = imports.import_store(user_of(request), data, plan.encoding)
            return go(request, reverse("fleet:pbx-import-preview", args=[stored.pk]))
    context = {"form": form, "plan": plan, "columns": IMPORT_COLUMNS}
    return render(request, "fleet/pbx_import.html", context, status=422 if form.errors or plan else 200)


@login_required
@requires_reauthentication
def pbx_import_preview(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what a file would add and change, and on POST import exactly that."""
    found = imports.import_stored(user_of(request), pk)
    if found is None:
        raise Http404
    stored, data = found
    require_anywhere(request.user, Action.MANAGE_PBXS)
    if request.method == "POST" and "discard" in request.POST:
        stored.delete()
        messages.info(request, "The file was discarded. Nothing was imported.")
        return go(request, reverse("fleet:pbx-import"))
    plan, problem = imports.import_plan(data, request.user, stored.encoding), ""
    if request.method == "POST":
        problem = imported(request, plan, data, stored)
        if not problem:
            return go(request, reverse("fleet:pbx-list"))
    context = {"stored": stored, "plan": plan, "problem": problem}
    return render(request, "fleet/pbx_import_preview.html", context, status=409 if problem else 200)


def imported(request: HttpRequest, plan: ImportPlan, data: bytes, stored: PbxImport) -> str:
    """Import what was shown. Return "" or why nothing was imported."""
    if plan.read_as and request.POST.get("read_as") != plan.encoding:
        return f"Say first that it is right to read this file as {plan.read_as}."
    if plan.faults or request.POST.get("plan") != plan.digest:
        return "Something changed since you saw this. Nothing was imported. Check the preview again."
    try:
        done = imports.import_apply(plan, source=data, stored=stored)
    except ValidationError as error:
        return f"{' '.join(error.messages)} Nothing was imported."
    if not done:
        return "This file was imported or discarded meanwhile."
    added = f"{number_of(len(plan.added), 'PBX')} added"
    messages.success(request, f"Imported: {added}, {len(plan.changed)} changed.")
    return ""
