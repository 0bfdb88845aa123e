"""The pages of batches: choose and set, preview, run, end. One address through a batch's life."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from ivr.kicks import kick_once
from ivr.selectors import outside_chosen
from pbxadmin.access.models import Customer, as_named
from pbxadmin.access.permissions import only_customer, require_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import current
from pbxadmin.audit.log import record
from pbxadmin.web.csv import csv_response
from pbxadmin.web.filters import whole
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import found_of, keyset
from pbxadmin.web.posting import post_only
from pbxadmin.web.words import number_of
from pbxadmin.yeastar.fields import BY_NAME

from .asked import (
    NoSuchTarget,
    NotPaused,
    batch_again,
    batch_asked,
    batch_back,
    batch_begin,
    batch_go_on,
    batch_of_form,
)
from .asking import show_batch_form
from .forms import RestoreForm
from .models import (
    AT_WORK,
    NOT_VERIFIED_OUTCOMES,
    WAITING,
    Batch,
    BatchState,
    BatchTarget,
    BatchTargetQuerySet,
    Origin,
    TargetClass,
)
from .outside import restorable
from .selectors import (
    RESULT_COLUMNS,
    BatchFilter,
    TargetTally,
    next_tries,
    pbxs_in_hand,
    progress_of,
    result_lines,
    risk_lines,
    tallies_of,
    why_told,
)
from .services import (
    RisksNotConfirmed,
    batch_cancel,
    batch_stop,
    may_run,
    must_be_typed,
    require_to_run,
    risks_in,
)
from .work import batch_work

LIVE_POLL_S = 2
TARGETS_PER_PAGE = 20  # fewer than in a list: they are made anew every two seconds
BATCHES_PER_PAGE = 50
MOST_CUSTOMERS = 500  # to choose from in a filter
CSV_ROWS = 500


def visible_batch(request: HttpRequest, pk: int) -> Batch:
    return get_object_or_404(Batch.objects.visible_to(user_of(request)), pk=pk)


def own_batch(request: HttpRequest, pk: int) -> Batch:
    """Return a batch that the person may start and stop. Raises PermissionDenied for one that they only see."""
    batch = visible_batch(request, pk)
    require_to_run(user_of(request), batch)
    return batch


@login_required
@require_GET
def batch_list(request: HttpRequest) -> HttpResponse:
    """List the batches of the customers that the person sees, newest first."""
    user, wanted = user_of(request), BatchFilter.from_query(request.GET)
    seen = Batch.objects.visible_to(user)
    found = wanted.narrow(seen)
    page = keyset(found, ["-id"], request.GET.get("cursor", ""), BATCHES_PER_PAGE)
    tallies = tallies_of(page.rows, BatchTarget.objects.visible_to(user))
    customers = list(Customer.objects.visible_to(user).values_list("pk", "name")[:MOST_CUSTOMERS])
    context = {
        "page": page,
        "rows": [(batch, tallies[batch.pk]) for batch in page.rows],
        "wanted": wanted,
        "counts": found_of(page, found, seen if wanted.is_narrow else None),
        "chips": wanted.shown_chips(dict(customers)),
        "customers": customers,
        "states": BatchState.choices,
    }
    return render_either(request, "batches/batch_list.html", "batches/_batch_table.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def batch_add(request: HttpRequest) -> HttpResponse:
    """Show the form for IVRs that were chosen, then plan the batch. The chosen set is frozen when the form opens."""
    user = user_of(request)
    require_anywhere(user, Action.BATCH)
    if request.method == "GET":
        return go(request, reverse("ivr:ivr-list-all"))
    asked = batch_asked(user, request.POST)
    if not asked.is_ready:
        return show_batch_form(request, asked.form, asked.selection, asked.rows.count(), asked.problem)
    return go(request, asked.planned().get_absolute_url())


@login_required
@post_only("ivr:outside-list")
def outside_restore(request: HttpRequest) -> HttpResponse:
    """Ask how to restore the outside changes that were chosen, then plan the batch."""
    user = user_of(request)
    require_anywhere(user, Action.BATCH)
    found = restorable(user, outside_chosen(user, request.POST.getlist("event")))
    customers = list(Customer.objects.filter(pk__in={each.customer_id for each in found.chosen}).order_by("name"))
    form = RestoreForm(customers, request.POST if "canary" in request.POST else None)
    if not found.chosen or not form.is_valid():
        context = {"form": form, "found": found, "events": request.POST.getlist("event"), "customers": customers}
        status = 422 if not found.chosen or form.errors else 200
        page, part = "batches/outside_restore.html", "batches/_outside_restore.html"
        return render_either(request, page, part, context, status=status)
    batch = batch_of_form(form, chosen=found.chosen, origin=Origin.RESTORE)
    return go(request, batch.get_absolute_url())


@login_required
@require_GET
def batch_page(request: HttpRequest, pk: int) -> HttpResponse:
    return show_batch(request, visible_batch(request, pk))


def show_batch(request: HttpRequest, batch: Batch, status: int = 200, problem: str = "") -> HttpResponse:
    user = user_of(request)
    targets = batch.targets.visible_to(user)
    tally = TargetTally.of(targets)
    page = keyset(shown_targets(request, targets), ["place"], request.GET.get("cursor", ""), TARGETS_PER_PAGE)
    in_hand = pbxs_in_hand(batch, targets)
    again_at = next_tries(batch, page.rows)
    context: dict[str, Any] = {
        "batch": batch,
        "size": tally.size,
        "whose": whose_targets(targets),
        "classes": tally.class_rows(),
        "sum_is_right": is_complete(batch, tally),
        "outcomes": [(outcome, count) for outcome, count in tally.outcomes().items() if outcome],
        "progress": progress_of(batch, targets, tally),
        "in_hand": in_hand,
        "previewed": tally.previewed,
        "not_reachable": tally.of_class(TargetClass.NOT_REACHABLE),
        "page": page,
        "rows": [(target, target_lines(target), again_at.get(target.pbx_id)) for target in page.rows],
        "canary": targets.filter(is_canary=True)[:20] if batch.state == BatchState.READY else [],
        "wanted": [(BY_NAME[name], BY_NAME[name].in_words(text)) for name, text in batch.wanted.items()],
        "may_run": may_run(user, batch),
        "why": why_told(batch, tally),
        "klass": request.GET.get("class", ""),
        "outcome": request.GET.get("outcome", ""),
        "shown_query": shown_query(request),
        "problem": problem,
        "poll_s": LIVE_POLL_S if batch.state in AT_WORK or in_hand else 0,
        **risks_shown(batch),
    }
    return render_either(request, "batches/batch_page.html", "batches/_batch.html", context, status=status)


def is_complete(batch: Batch, tally: TargetTally) -> bool:
    """Tell whether the classes add up to the targets that were chosen, once the preview is made."""
    return batch.state == BatchState.PREVIEWING or tally.previewed == tally.size


def risks_shown(batch: Batch) -> dict[str, Any]:
    """Return what the start of a batch asks to confirm."""
    risks = risks_in(batch) if batch.state == BatchState.READY else []
    return {
        "risks": risk_lines(risks),
        "risk_count": len(risks),
        "risk_customers": len({customer_id for _, customer_id, _ in risks}),
        "must_type": bool(risks) and must_be_typed(batch, risks),
    }


def shown_query(request: HttpRequest) -> str:
    """Return the query of the class and the outcome that the address names, for the pager and the file."""
    asked = {name: request.GET[name] for name in ("class", "outcome") if request.GET.get(name)}
    return urlencode(asked)


def whose_targets(targets: BatchTargetQuerySet) -> str:
    """Name the customer of these targets, or say how many customers they belong to."""
    count = targets.order_by().values("customer_id").distinct().count()
    return targets.values_list("customer_name", flat=True)[0] if count == 1 else number_of(count, "customer")


def shown_targets(request: HttpRequest, targets: BatchTargetQuerySet) -> BatchTargetQuerySet:
    """Narrow targets to the class and the outcome that the address names."""
    klass, outcome = request.GET.get("class", ""), request.GET.get("outcome", "")
    if klass in TargetClass.values:
        targets = targets.filter(klass=klass)
    if outcome in (*NOT_VERIFIED_OUTCOMES, WAITING, "verified"):
        targets = targets.filter(outcome=outcome)
    return targets


def target_lines(target: BatchTarget) -> list[str]:
    """Return the fields of a target that would change, or did, in words."""
    fields = ((BY_NAME[name], text) for name, text in target.wanted.items())
    return [f"{f.label} {f.in_words(target.base.get(f.name))} → {f.in_words(text)}" for f, text in fields]


@login_required
@post_only("batches:batch-page", "pk")
def batch_start_view(request: HttpRequest, pk: int) -> HttpResponse:
    batch = own_batch(request, pk)
    was_old = batch.state == BatchState.READY and batch.is_preview_old
    try:
        is_confirmed, typed = bool(request.POST.get("confirm")), request.POST.get("typed", "")
        started = batch_begin(batch, confirmed=is_confirmed, typed=typed)
    except RisksNotConfirmed as error:
        return show_batch(request, batch, status=422, problem=str(error))
    if was_old:
        messages.info(request, "The preview was older than 30 minutes. It is made again; nothing was sent.")
    elif not started:
        messages.info(request, "It was started, stopped or has expired meanwhile.")
    return go(request, batch.get_absolute_url())


@login_required
@post_only("batches:batch-page", "pk")
def batch_continue_view(request: HttpRequest, pk: int) -> HttpResponse:
    batch = own_batch(request, pk)
    try:
        batch_go_on(batch, reason=request.POST.get("reason", ""))
    except ValidationError as error:
        return show_batch(request, batch, status=422, problem=" ".join(error.messages))
    except NotPaused as error:
        messages.info(request, str(error))
    return go(request, batch.get_absolute_url())


@login_required
@post_only("batches:batch-page", "pk")
def batch_stop_view(request: HttpRequest, pk: int) -> HttpResponse:
    batch = own_batch(request, pk)
    in_flight = batch_stop(batch=batch, actor=current().actor)
    if in_flight is None:
        messages.info(request, "It was over already.")
    else:
        words = f" {number_of(in_flight, 'PBX')} in hand: what is being sent is still read back." if in_flight else ""
        messages.success(request, f"Stopped. Nothing more is sent.{words}")
    return go(request, batch.get_absolute_url())


@login_required
@post_only("batches:batch-page", "pk")
def batch_cancel_view(request: HttpRequest, pk: int) -> HttpResponse:
    """End targets that wait: those that are named, or all."""
    batch = own_batch(request, pk)
    named = [found for text in request.POST.getlist("target") if (found := whole(text)) is not None]
    count = batch_cancel(batch=batch, actor=current().actor, target_ids=named or None)
    messages.success(request, f"Cancelled: {number_of(count, 'IVR')}. Nothing was sent to them.")
    kick_once(batch_work, batch.pk)
    return go(request, batch.get_absolute_url())


@login_required
@post_only("batches:batch-page", "pk")
def batch_retry_view(request: HttpRequest, pk: int) -> HttpResponse:
    batch = own_batch(request, pk)
    return to_made(request, batch, lambda: batch_again(batch, outcomes=request.POST.getlist("outcome")))


@login_required
@post_only("batches:batch-page", "pk")
def batch_restore_view(request: HttpRequest, pk: int) -> HttpResponse:
    batch = own_batch(request, pk)
    return to_made(request, batch, lambda: batch_back(batch))


def to_made(request: HttpRequest, batch: Batch, make: Callable[[], Batch]) -> HttpResponse:
    """Make a batch from another and lead to it, or say that there was nothing to make."""
    try:
        return go(request, make().get_absolute_url())
    except NoSuchTarget as error:
        messages.info(request, str(error))
        return go(request, batch.get_absolute_url())


@login_required
@require_GET
def batch_results(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Export what happened to each target, one line for each field."""
    batch, user = visible_batch(request, pk), user_of(request)
    targets = shown_targets(request, batch.targets.visible_to(user))
    count = targets.count()
    named = as_named(only_customer(user, Action.SEE, whole(request.GET.get("customer"))))
    record(
        EventAction.IVRS_EXPORTED, customer=named, batch_id=batch.pk, detail={"ivrs": count, "filter": f"batch {pk}"}
    )

    zone = timezone.get_current_timezone()  # here, because the request is over when the lines are made

    def lines() -> Iterator[list[str]]:
        for start in range(0, count, CSV_ROWS):
            yield from result_lines(list(targets[start : start + CSV_ROWS]), zone)

    return csv_response(f"batch-{pk}.csv", list(RESULT_COLUMNS), lines())
