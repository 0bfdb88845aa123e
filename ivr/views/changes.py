"""A change through its life at one address: plan, apply, receipt."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_GET

from ivr.addresses import ivr_address
from ivr.changes.apply import NotConfirmed, NotRecorded, change_apply_now
from ivr.changes.opening import may_change, require_rights
from ivr.changes.plan import change_resolve
from ivr.changes.receipts import place_in_log, receipt, receipt_for_customer, ticket_link
from ivr.changes.reconcile import change_check
from ivr.changes.restore import left_something
from ivr.changes.risks import Risks, change_risks
from ivr.changes.spool import waits
from ivr.field_rules import FIELD_RULES
from ivr.models import Change, ChangeQuerySet
from ivr.selectors import OUTCOME_CHOICES, ChangeFilter
from ivr.wording import caller_hears, conflict_rows, open_to_callers, tick_count, untouched_rows
from pbxadmin.access.models import Customer, User, as_named
from pbxadmin.access.permissions import can, only_customer, require
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.fleet.concurrency import TooManyWaiting
from pbxadmin.fleet.decorators import waits_for_pbx
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.csv import csv_response
from pbxadmin.web.htmx import go, in_place_of, render_either
from pbxadmin.web.pages import count_capped, keyset
from pbxadmin.web.posting import post_only
from pbxadmin.web.site import site_address
from pbxadmin.web.times import times_as_asked
from pbxadmin.yeastar.fields import BY_NAME
from pbxadmin.yeastar.readings import IvrSettings

from .common import actor, names_in
from .ring import ring_context

CHANGES_PER_PAGE = 50
MOST_NAMED, FEW_NAMED = 500, 100  # to choose from: with the customer chosen, and without
CSV_CHUNK = 2000
CSV_COLUMNS = (
    *("change", "customer", "pbx", "number", "name", "field", "before", "asked", "found", "outcome"),
    *("planned_by", "applied_by", "planned_at", "sent_at", "finished_at", "ticket", "reason"),
)


def visible_change(request: HttpRequest, pk: int) -> Change:
    return get_object_or_404(Change.objects.visible_to(user_of(request)), pk=pk)


@login_required
@require_GET
def change_page(request: HttpRequest, pk: int) -> HttpResponse:
    change = visible_change(request, pk)
    if request.GET.get("seen") == change.progress:  # nothing new for a page that waits
        return HttpResponse(status=204)
    return show(request, change)


def show(
    request: HttpRequest,
    change: Change,
    status: int = 200,
    problem: str = "",
    heading: str = "Nothing was sent",
    unconfirmed: bool = False,
) -> HttpResponse:
    """Show a change, with what went wrong with the request if anything did.

    unconfirmed: its risks have to be confirmed first.
    """
    now, after = values_now_and_after(change)
    risks = change_risks(change) if change.status in (Change.Status.PLANNED, Change.Status.CONFLICT) else Risks()
    customer = Customer.objects.get(pk=change.customer_id)
    pbx = Pbx.objects.filter(pk=change.pbx_id).first()
    context = {
        "change": change,
        "lines": [(line, FIELD_RULES[line.field.name].callers_notice) for line in change.lines()],
        "conflicts": conflict_rows(change, request.POST),
        "kept": untouched_rows(change),
        "pbx": pbx,
        "unchanged": len(BY_NAME) - len(change.wanted),
        "now": now,
        "after": after,
        "now_hears": caller_hears(now),
        "after_hears": caller_hears(after),
        "now_may": open_to_callers(now),
        "after_may": open_to_callers(after),
        "ticks": {name: tick_count(getattr(now, name)) for name in ("prompt_repeat", "response_timeout")},
        "ticks_after": {name: tick_count(getattr(after, name)) for name in ("prompt_repeat", "response_timeout")},
        "ticket_link": ticket_link(change),
        "place_in_log": place_in_log(change),
        "receipt": receipt(change, f"{site_address(request)}{change.get_absolute_url()}"),
        "may_apply": may_change(user_of(request), customer, change.wanted),
        "may_check": can(user_of(request), Action.EDIT_IVR, customer),
        "may_restore": pbx is not None and left_something(user_of(request), change, pbx),
        "may_review": can(user_of(request), Action.REVIEW_LOG, customer),
        "waits": waits(change.pk) if change.status == Change.Status.SENDING else "",
        "problem": problem,
        "heading": heading,
        **ring_context(user_of(request), pbx, change.number_now),
        "risks": risks,
        "unconfirmed": unconfirmed,
    }
    answer = render_either(request, "ivr/change_page.html", "ivr/_change.html", context, status=status)
    return in_place_of(answer, "#change")


def values_now_and_after(change: Change) -> tuple[IvrSettings, IvrSettings]:
    """Return the IVR as it is now, as far as we know, and as the change would leave it."""
    now: dict[str, Any] = dict(change.live or change.base)
    return IvrSettings(**now), IvrSettings(**{**now, **change.wanted})


@login_required
@post_only("ivr:change-page", "pk")
@waits_for_pbx
def change_apply_view(request: HttpRequest, pk: int) -> HttpResponse:
    change = visible_change(request, pk)
    require_rights(user_of(request), change)
    risks = change_risks(change)
    is_confirmed = request.POST.get("seen") == risks.digest if risks.breaks else bool(request.POST.get("confirm"))
    try:
        problem = apply_now(change, confirmed=is_confirmed, typed=request.POST.get("typed", ""))
    except NotConfirmed:
        return show(request, change, status=422, unconfirmed=True)
    if problem:
        return show(request, change, status=503, problem=problem)
    if change.status == Change.Status.CONFLICT:
        return show(request, change, status=409)
    return go(request, change.get_absolute_url())


def apply_now(change: Change, *, confirmed: bool = False, typed: str = "") -> str:
    """Apply a change. Return why nothing was sent when we failed ourselves, else "". Raises NotConfirmed."""
    try:
        change_apply_now(change=change, actor=actor(), confirmed=confirmed, typed=typed)
    except (TooManyWaiting, NotRecorded) as error:
        return str(error)
    return ""


def apply_seen(request: HttpRequest, change: Change) -> HttpResponse:
    """Apply a plan whose values the person has just seen beside the button, and lead to its page.

    A plan that brings risks is not applied: its page asks for their confirmation.
    """
    try:
        problem = apply_now(change)
    except NotConfirmed:
        problem = ""
    if problem:
        messages.error(request, f"Nothing was sent. {problem}")
    return go(request, change.get_absolute_url())


@login_required
@post_only("ivr:change-page", "pk")
@waits_for_pbx
def change_check_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Read once more, now, what a change of unknown outcome came to."""
    change = visible_change(request, pk)
    require(user_of(request), Action.EDIT_IVR, Customer.objects.get(pk=change.customer_id))
    try:
        unread = change_check(change, insist=True)
    except TooManyWaiting:
        problem = "Too many people wait for PBXs at this moment. Try again in a few seconds."
        return show(request, change, status=503, problem=problem, heading="It was not read")
    if unread:
        messages.error(request, f"It could not be read. {unread}")
    return go(request, change.get_absolute_url())


@login_required
@post_only("ivr:change-page", "pk")
@waits_for_pbx
def change_resolve_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Plan again as the person chose field by field; with `apply`, also apply it, with a re-read of its own."""
    change = visible_change(request, pk)
    require_rights(user_of(request), change)
    chosen = {line["name"]: line["chosen"] for line in conflict_rows(change, request.POST)}
    if change.status != Change.Status.CONFLICT or not set(chosen.values()) <= {"yours", "theirs"}:
        return show(request, change, status=422, problem="Choose a value in each row first.")
    if not Pbx.objects.filter(pk=change.pbx_id).exists():
        return show(request, change, status=422, problem=f"{change.pbx_name} was deleted.")
    yours = [name for name, choice in chosen.items() if choice == "yours"]
    try:
        plan = change_resolve(change=change, yours=yours, actor=actor())
    except ValidationError as error:  # the customer's rules became stricter since
        return show(request, change, status=422, problem=" ".join([*error.messages, "Edit the IVR again."]))
    if plan is None:
        messages.info(request, f"{change.pbx_name} stays as it is. Nothing was sent.")
        return go(request, ivr_address(change.pbx_id, change.number))
    return apply_seen(request, plan) if "apply" in request.POST else go(request, plan.get_absolute_url())


@login_required
@require_GET
def change_receipt(request: HttpRequest, pk: int) -> HttpResponse:
    change = visible_change(request, pk)
    if request.GET.get("for") == "customer":
        text = receipt_for_customer(change)
    else:
        text = receipt(change, f"{site_address(request)}{change.get_absolute_url()}")
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@login_required
@require_GET
@times_as_asked
def change_list(request: HttpRequest) -> HttpResponseBase:
    """List changes, newest first, narrowed by words (q), customer, pbx, outcome and period."""
    user = user_of(request)
    wanted = without_foreign_pbx(user, ChangeFilter.from_query(request.GET))
    found = wanted.narrow(Change.objects.visible_to(user))
    if request.GET.get("format") == "csv":
        return changes_csv(user, found, wanted)
    page = keyset(found, wanted.order, request.GET.get("cursor", ""), CHANGES_PER_PAGE)
    names = names_in(user, wanted)
    context = {
        "page": page,
        "changes": page.rows,
        "wanted": wanted,
        "query": wanted.query,
        "count": count_capped(found) if page.next_cursor or page.previous_cursor else len(page.rows),
        "chips": wanted.shown_chips(names),
        "outcomes": OUTCOME_CHOICES,
        "customers": list(Customer.objects.visible_to(user).values_list("pk", "name")[:MOST_NAMED]),
        "pbxs": pbx_choices(user, wanted, names.get("pbx", "")),
    }
    return render_either(request, "ivr/change_list.html", "ivr/_change_answer.html", context)


def without_foreign_pbx(user: User, wanted: ChangeFilter) -> ChangeFilter:
    """Return the filter without a PBX that another customer than the chosen one has: the choice of before."""
    if not (wanted.customer and wanted.pbx):
        return wanted
    others = Pbx.objects.visible_to(user).filter(pk=wanted.pbx).exclude(customer_id=wanted.customer)
    return replace(wanted, pbx=None) if others.exists() else wanted


def pbx_choices(user: User, wanted: ChangeFilter, chosen: str) -> list[tuple[int, str]]:
    """Return the PBXs of the chosen customer, as there may be thousands; without one all, if they are few.

    chosen: the name of the PBX that the filter has, which can be chosen in any case.
    """
    mine = Pbx.objects.visible_to(user).values_list("pk", "name")
    if wanted.customer is not None:
        found = list(mine.filter(customer_id=wanted.customer)[:MOST_NAMED])
    else:
        few = list(mine[: FEW_NAMED + 1])
        found = few if len(few) <= FEW_NAMED else []
    own = {wanted.pbx: chosen or f"PBX {wanted.pbx}"} if wanted.pbx else {}
    return list((own | dict(found)).items())


def changes_csv(user: User, found: ChangeQuerySet, wanted: ChangeFilter) -> HttpResponseBase:
    """Export all changes of the filter, a row for each field of each. The export is an event."""
    customer = only_customer(user, Action.SEE, wanted.customer)
    detail = {"changes": found.count(), "filter": wanted.query, "zone": timezone.get_current_timezone_name()}
    record(EventAction.CHANGES_EXPORTED, customer=as_named(customer), detail=detail)
    rows = found.order_by(*wanted.order).iterator(CSV_CHUNK)
    return csv_response("changes.csv", CSV_COLUMNS, (cells for change in rows for cells in csv_rows(change)))


def csv_rows(change: Change) -> Iterator[list[str]]:
    times = [f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else "" for at in (change.planned_at, change.sent_at, change.finished_at)]
    what = [str(change.pk), change.customer_name, change.pbx_name, change.number, change.name]
    people = [change.planned_by_name, change.applied_by_name]
    before, found = change.live or change.base, change.found or {}
    for name, asked in change.wanted_in_order:
        values = [name, before.get(name) or "", asked, found.get(name) or ""]
        yield [*what, *values, change.outcome, *people, *times, change.ticket, change.reason]
