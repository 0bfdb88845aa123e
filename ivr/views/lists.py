"""The lists of IVRs, one IVR, and reading PBXs again."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET

from ivr.addresses import ivr_address, ivr_list_address, ivr_page_address
from ivr.changes.opening import allowed_settings, read_live, status_of
from ivr.field_history import field_histories
from ivr.models import Change, Ivr, IvrQuerySet, Refresh, RefreshItem
from ivr.refresh import pbx_refresh, refresh_start
from ivr.selectors import SPREAD_FIELDS, Extent, IvrFilter, extent_of, ivrs_found, pbxs_in_view
from ivr.spread import field_chosen, spread_of
from ivr.ways import ways_shown
from ivr.wording import caller_hears, callers_may, field_rows, open_to_callers, tick_count, with_edits
from pbxadmin.access.models import Customer, as_named
from pbxadmin.access.permissions import can, can_anywhere, only_customer
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.fleet.concurrency import TooManyWaiting
from pbxadmin.fleet.decorators import waits_for_pbx
from pbxadmin.fleet.models import Pbx, SavedFilter, why_stale
from pbxadmin.fleet.saved_filters import saved_for, shareable
from pbxadmin.web.csv import csv_response
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import Page, keyset
from pbxadmin.web.posting import post_only
from pbxadmin.web.times import local_time
from pbxadmin.web.words import number_of
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.fields import BY_NAME, FIELDS

from .common import actor, names_in, pbx_or_404
from .missing_ivr import missing_ivr_page, outside_events
from .ring import ring_context

IVRS_PER_PAGE = 50
LIST_COLUMNS = (
    "id",
    "pbx_id",
    "pbx__name",
    "pbx__customer__name",
    "number",
    "name",
    "prompt_repeat",
    "response_timeout",
    "response_timeout_s",
    "digit_timeout",
    "dial_extension",
    "check_voicemail",
    "dial_outbound",
    "read_at",
    "pbx__refresh_minutes",
    "pbx__state",
    "pbx__state_reason",
    "flaw",
    "pbx__is_enabled",
)


@login_required
@require_GET
def ivr_list_all(request: HttpRequest) -> HttpResponseBase:
    wanted = IvrFilter.from_query(request.GET)
    if request.GET.get("format") == "csv":
        return ivrs_csv(request, wanted, None)
    return list_page(request, wanted, None)


@login_required
@require_GET
def ivr_list(request: HttpRequest, pbx_id: int) -> HttpResponseBase:
    pbx = pbx_or_404(request, pbx_id)
    wanted = IvrFilter.from_query(request.GET, pbx=pbx.pk)
    if request.GET.get("format") == "csv":
        return ivrs_csv(request, wanted, pbx)
    return list_page(request, wanted, pbx)


def list_page(request: HttpRequest, wanted: IvrFilter, pbx: Pbx | None) -> HttpResponse:
    user = user_of(request)
    found = ivrs_found(user, wanted)
    extent = extent_of(user, found, wanted, pbx)
    page: Page[dict[str, Any]] = keyset(
        found.values(*LIST_COLUMNS), wanted.order, request.GET.get("cursor", ""), IVRS_PER_PAGE
    )
    context = {
        "pbx": pbx,
        "wanted": wanted,
        "page": page,
        "rows": [list_row(row) for row in page.rows],
        "extent": extent,
        "chips": wanted.shown_chips({} if pbx else names_in(user, wanted)),
        "customers": list(Customer.objects.visible_to(user).values_list("pk", "name")[:500]) if pbx is None else [],
        "tags": Pbx.objects.visible_to(user).tags_in_use() if pbx is None else [],
        "saved": saved_for(user, SavedFilter.List.IVRS) if pbx is None else [],
        "shareable": shareable(user, wanted.customer) if pbx is None and wanted.query else None,
        "has_pbxs": bool(page.rows) or Pbx.objects.visible_to(user).exists(),
        "may_add": can(user, Action.MANAGE_PBXS, pbx.customer if pbx else None),
        "matching": matching_count(found, extent) if can_anywhere(user, Action.BATCH) else 0,
    }
    return render_either(request, "ivr/ivr_list.html", "ivr/_ivr_table.html", context)


def matching_count(found: IvrQuerySet, extent: Extent) -> int:
    """Return how many IVRs match, which costs a query only when they are more than were counted."""
    return found.order_by().count() if extent.is_more else extent.ivrs


@login_required
@require_GET
def ivr_spread(request: HttpRequest) -> HttpResponse:
    """Show which values of a field the IVRs of a filter hold. Each leads to its IVRs, and from there to a batch."""
    user, wanted = user_of(request), replace(IvrFilter.from_query(request.GET), value="")
    name = field_chosen(request.GET.get("field", ""))
    context = {
        "wanted": wanted,
        "spread": spread_of(ivrs_found(user, wanted), wanted, name),
        "fields": [(each, BY_NAME[each].label, f"{wanted.query}&field={each}".lstrip("&")) for each in SPREAD_FIELDS],
        "may_batch": can_anywhere(user, Action.BATCH),
        "chips": [(said, f"{rest}&field={name}") for said, rest in wanted.shown_chips(names_in(user, wanted))],
    }
    return render(request, "ivr/spread.html", context)


def list_row(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return one row for the template, unpacked there: looking values up by name costs more than the query."""
    number = row["number"]
    name = BY_NAME["name"]
    return (
        row["id"],
        number,
        ivr_page_address(row["pbx_id"], number),
        row["name"],
        row["pbx__name"],
        row["pbx__customer__name"],
        BY_NAME["response_timeout"].in_words(row["response_timeout"]),
        row["prompt_repeat"],
        BY_NAME["digit_timeout"].in_words(row["digit_timeout"]),
        callers_may(row["dial_extension"], row["check_voicemail"], row["dial_outbound"]),
        row["dial_outbound"] == "on",
        name.misfit(row["name"]),
        row["flaw"],
        row["read_at"],
        why_stale(
            row["read_at"],
            row["pbx__refresh_minutes"],
            row["pbx__state"],
            row["pbx__state_reason"],
            is_enabled=row["pbx__is_enabled"],
        ),
    )


def ivrs_csv(request: HttpRequest, wanted: IvrFilter, pbx: Pbx | None) -> HttpResponseBase:
    """Export the whole filter, not only the page, with every field. The export is an event."""
    user = user_of(request)
    own = [field.name for field in FIELDS]
    found = ivrs_found(user, wanted).order_by(*wanted.order)
    pbx = pbx or Pbx.objects.visible_to(user).select_related("customer").filter(pk=wanted.pbx or 0).first()
    customer = pbx.customer if pbx else only_customer(user, Action.SEE, wanted.customer)
    record(
        EventAction.IVRS_EXPORTED,
        customer=as_named(customer),
        detail={"ivrs": found.order_by().count(), "filter": wanted.query},
    )
    header = ["customer", "pbx", *own, "read_at", "local_time"]
    columns = ["pbx__customer__name", "pbx__name", *own, "read_at"]

    zone = timezone.get_current_timezone()  # here, because the request is over when the lines are made

    def lines() -> Iterator[list[str]]:
        for row in found.values_list(*columns).iterator(2000):
            at = row[-1]
            times = [at.isoformat(timespec="seconds"), local_time(at, zone)]
            yield ["" if value is None else str(value) for value in row[:-1]] + times

    return csv_response("ivrs.csv", header, lines())


@login_required
@require_GET
@waits_for_pbx
def ivr_page(request: HttpRequest, pbx_id: int, number: str) -> HttpResponse:
    """Show what we last read of one IVR. A missing one shows its history; one that was never read is read now."""
    pbx = pbx_or_404(request, pbx_id)
    try:
        ivr = Ivr.objects.filter(pbx=pbx, number=number).first()
        if ivr is None and (missing := missing_ivr_page(request, pbx, number)):
            return missing
        ivr = ivr or read_first(pbx, number)
    except (PbxError, TooManyWaiting) as error:
        context = {"pbx": pbx, "number": number, "why": str(error), "ivr": None, "groups": {}}
        return render(request, "ivr/edit_closed.html", context, status=status_of(error))
    settings, address = ivr.settings, ivr_address(pbx.pk, number)
    may_edit = not ivr.flaw and can(user_of(request), Action.EDIT_IVR, pbx.customer)
    changeable = {field.name for field in allowed_settings(user_of(request), pbx)} if may_edit else ()
    groups = with_edits(field_rows(settings, pbx.version), changeable, f"{address}edit/")
    context = {
        "pbx": pbx,
        "ivr": ivr,
        "address": address,
        "outside": outside_events(pbx, number),
        "ways_in": ways_shown(pbx, number),
        "stale": pbx.why_stale(ivr.read_at),
        "groups": groups,
        "is_odd": any(row.is_odd for group in groups.values() for row in group),
        "hears": caller_hears(settings),
        "may_dial": open_to_callers(settings).lower(),
        "repeat": tick_count(ivr.prompt_repeat),
        "seconds": tick_count(ivr.response_timeout),
        "raw": json.dumps(ivr.raw, indent=2, ensure_ascii=False),
        "histories": field_histories(pbx, number, timezone.now()),
        "unsettled": Change.objects.unsettled(pbx.pk, number),
        "may_edit": may_edit,
        **ring_context(user_of(request), pbx, number),
    }
    return render(request, "ivr/ivr_page.html", context)


def read_first(pbx: Pbx, number: str) -> Ivr:
    """Read an IVR that has no snapshot yet."""
    read_live(pbx, number)
    return get_object_or_404(Ivr, pbx=pbx, number=number)


@login_required
@post_only("ivr:ivr-list", "pbx_id")
@waits_for_pbx
def pbx_refresh_view(request: HttpRequest, pbx_id: int) -> HttpResponse:
    """Read one PBX now. The page that follows shows what it holds, or why it could not be read."""
    pbx = pbx_or_404(request, pbx_id)
    try:
        count = pbx_refresh(pbx=pbx, actor=actor())
    except PbxError as error:
        messages.error(request, f"{pbx.name} could not be read. {error}")
    else:
        messages.success(request, f"{pbx.name} was read: {number_of(count, 'IVR')}.")
    return go(request, own_address(request, ivr_list_address(pbx.pk)))


def own_address(request: HttpRequest, default: str) -> str:
    """Return where the form wants to go back to, if it is one of our own pages."""
    wanted = request.POST.get("next", "")
    is_of_a_pbx = wanted.startswith(reverse("fleet:pbx-list"))
    return wanted if is_of_a_pbx and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) else default


@login_required
@post_only("ivr:ivr-list-all")
def refresh_all(request: HttpRequest) -> HttpResponse:
    """Read all PBXs in view in the background; the address carries the filter of the list."""
    pbxs = pbxs_in_view(user_of(request), IvrFilter.from_query(request.GET))
    if not pbxs:
        messages.info(request, "There is no PBX to read.")
        return go(request, reverse("ivr:ivr-list-all"))
    run = refresh_start(pbxs=pbxs, actor=actor())
    return go(request, reverse("ivr:refresh-page", args=[run.pk]))


@login_required
@require_GET
def refresh_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far a run has come, to the person who asked for it: with the PBXs of it that they see now."""
    user = user_of(request)
    run = get_object_or_404(Refresh, pk=pk, asked_by_id=user.pk)
    mine = run.items.filter(pbx__in=Pbx.objects.visible_to(user).order_by())
    items = list(mine.select_related("pbx__customer").order_by("pbx__name", "pk"))
    if not items:
        raise Http404
    ended = [item for item in items if item.state in (RefreshItem.State.DONE, RefreshItem.State.FAILED)]
    failed = [item for item in items if item.state == RefreshItem.State.FAILED]
    context = {
        "run": run,
        "items": items,
        "ended": len(ended),
        "failed": len(failed),
        "is_running": len(ended) < len(items),
        "seconds": int((timezone.now() - run.asked_at).total_seconds()),
    }
    return render_either(request, "ivr/refresh_page.html", "ivr/_refresh.html", context)
