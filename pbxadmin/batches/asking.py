"""The form of a batch for IVRs that were chosen, for every page that offers one. Nothing is planned here."""

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict

from ivr.models import IvrQuerySet
from pbxadmin.access.models import Customer
from pbxadmin.access.person import user_of
from pbxadmin.web.htmx import render_either

from .forms import BatchForm, batch_fields
from .selectors import Selection
from .services import MOST_TARGETS


def batch_form(
    rows: IvrQuerySet, selection: Selection, data: QueryDict | None = None, initial: dict[str, Any] | None = None
) -> BatchForm:
    """Return the form for IVRs that were chosen. initial: values that it opens with."""
    customers = Customer.objects.filter(pbxs__ivrs__in=selection.ids).distinct().order_by("name")
    fields = batch_fields(rows.order_by().values_list("pbx__api_version", flat=True).distinct())
    return BatchForm(fields, customers, data, initial)


def ask_for_batch(request: HttpRequest, selection: Selection, initial: dict[str, Any]) -> HttpResponse:
    """Show the form of a batch for these IVRs, filled in with these values. Nothing is planned yet."""
    rows = selection.rows(user_of(request))
    form = batch_form(rows, selection, initial=initial)
    return show_batch_form(request, form, selection, rows.count(), selection_problem(selection))


def selection_problem(selection: Selection) -> str:
    if not selection.ids:
        return "Choose some in the list of IVRs first, or all that match."
    if len(selection.ids) > MOST_TARGETS:
        return f"{len(selection.ids):,} IVRs are chosen. A batch takes {MOST_TARGETS:,} at most; narrow the list."
    return ""


def show_batch_form(
    request: HttpRequest, form: BatchForm, selection: Selection, there: int, problem: str
) -> HttpResponse:
    context = {
        "form": form,
        "selection": selection,
        "count": len(selection.ids),
        "missing": len(selection.ids) - there,
        "customers": form.customers,
        "problem": problem,
    }
    status = 422 if problem or form.errors else 200
    return render_either(request, "batches/batch_add.html", "batches/_batch_form.html", context, status=status)
