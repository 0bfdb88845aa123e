"""The control room (what needs attention, how the fleet is, what was changed last), reports, and effective access."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import compress
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from ivr.models import Change, ChangeQuerySet, Ivr, OutsideChange, OutsideChangeQuerySet, may_act_on
from ivr.selectors import NOT_PROVEN, UNVERIFIED_OUTCOMES, ChangeFilter
from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import can_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import Batch, BatchState, BatchTarget
from pbxadmin.fleet.freshness import FleetCounts, fleet_counts, freshness_rows
from pbxadmin.fleet.models import NEEDS_A_PERSON, Pbx, PbxQuerySet, PbxState
from pbxadmin.policies.selectors import dial_out
from pbxadmin.review.models import DeskItem, Period
from pbxadmin.web.filters import typed_text
from pbxadmin.web.htmx import render_either, wants_fragment
from pbxadmin.web.pages import PAGE_SIZE, keyset
from pbxadmin.web.site import site_address
from pbxadmin.web.words import PBX_STATES

from .attention import todos, with_conditions
from .counts import counts_of
from .customers import customer_rows
from .effective_access import effective_access
from .plots import MOST_DRAWN, changes_plot, customer_map, fleet_in_words, fleet_map
from .report import month_chosen, months_to_choose, report_of
from .search import FEWEST_LETTERS, search_everything

RECENT_DAYS = 7
RECENT_CHANGES = 8
MOST_TODO = 8
HITS_WHILE_TYPING, HITS_OF_PAGE = 5, 10  # of each kind
OPEN_BATCHES = (BatchState.RUNNING, BatchState.PAUSED, BatchState.HALTED)


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show what needs attention and how the fleet is, in as many queries however large the fleet is."""
    context = control_room(user_of(request), None)
    return render(request, "home/home.html" if context["total"] else "home/first_run.html", context)


@login_required
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Show what holds the typed words: a few of each kind while somebody types, else more.

    With `open` in the address, the one hit that was certainly meant is opened instead.
    """
    typed = typed_text(request.GET.get("q"))
    is_typing = wants_fragment(request)
    found = search_everything(user_of(request), typed, HITS_WHILE_TYPING if is_typing else HITS_OF_PAGE)
    if "open" in request.GET and found.meant:
        return redirect(found.meant.address)
    context = {"typed": typed, "found": found, "is_short": len(typed) < FEWEST_LETTERS}
    return render_either(request, "home/search.html", "home/_search.html", context)


@login_required
@require_GET
def customer_home(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the same of one customer."""
    customer = get_object_or_404(Customer.objects.visible_to(request.user), pk=pk)
    return render(request, "home/home.html", control_room(user_of(request), customer))


@login_required
@require_GET
def customer_report(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one month of a customer, to be printed: the chosen one, else the one that runs."""
    customer = get_object_or_404(Customer.objects.visible_to(request.user), pk=pk)
    today = timezone.now().date()
    month = month_chosen(request.GET.get("month", ""), today)
    context = {
        "customer": customer,
        "month": month,
        "months": [(each.value, each.name) for each in months_to_choose(month, today)],
        "report": report_of(user_of(request), customer, month),
        "changes_base": f"{site_address(request)}{reverse('ivr:change-list')}",
    }
    return render(request, "home/report.html", context)


def control_room(user: User, customer: Customer | None) -> dict[str, Any]:
    """Return what Home shows this person of all their customers, or of one."""
    now = timezone.now()
    within = {"customer_id": customer.pk} if customer else {}
    may_review = can_anywhere(user, Action.REVIEW_LOG)
    may_act = may_review or can_anywhere(user, Action.EDIT_IVR)
    pbxs = Pbx.objects.visible_to(user).in_use().filter(**within)
    changes = Change.objects.visible_to(user).filter(**within)
    since = timezone.localdate(now) - timedelta(days=RECENT_DAYS)
    not_verified = ChangeFilter(customer=customer.pk if customer else None, outcome=NOT_PROVEN, since=since)
    unsettled = not_verified.narrow(changes)
    outside = OutsideChange.objects.waiting_for(user).filter(**within) if may_act else OutsideChange.objects.none()
    ivrs = Ivr.objects.visible_to(user).filter(**{f"pbx__{name}": value for name, value in within.items()})
    desk, periods = DeskItem.objects.visible_to(user).still_open(), Period.objects.visible_to(user)
    fleet = fleet_counts(pbxs, now)
    counted = counts_of(
        customers=Customer.objects.visible_to(user),
        unsettled=unsettled,
        outside=outside,
        desk=desk.filter(**within) if may_review else desk.none(),
        reopened=periods.filter(**within).exclude(reopened_at=None) if may_review else periods.none(),
        ivrs=ivrs,
        ivrs_out=ivrs.filter(dial_outbound="on"),
    )
    is_large = customer is None and fleet.total > MOST_DRAWN
    drawn = list(drawn_first(pbxs)[: MOST_TODO if is_large else MOST_DRAWN])
    drawn_changes, figures_of_changes = changes_plot(changes, now)
    troubled = [pbx for pbx in drawn if pbx.state in NEEDS_A_PERSON][:MOST_TODO]
    recent, first_changes = recent_and_unsettled(changes, unsettled, since)
    first_outside = newest_events(outside) if counted["outside"] else []
    batches = list(open_batches(user, customer)[:MOST_TODO])
    needs = sum(fleet.by_state[state] for state in NEEDS_A_PERSON)
    rows = todos(
        pbxs=troubled,
        changes=first_changes,
        batches=batches,
        outside=first_outside,
        reopened=counted["reopened"],
        on_desk=counted["desk"],
    )
    return {
        "customer": customer,
        "of_customer": f"&customer={customer.pk}" if customer else "",
        "todos": with_conditions(rows, may_act_on(user)) if may_act and rows else rows,
        "more_troubled": needs - len(troubled),
        "more_unsettled": counted["unsettled"] - len(first_changes),
        "more_outside": counted["outside"] - len(first_outside),
        "running": [batch for batch in batches if batch.state == BatchState.RUNNING],
        "counted": counted,
        "may_act": may_act,
        "needs": needs,
        "total": fleet.total,
        "read_lately": fleet.by_step["15m"],
        "freshness": freshness_rows(fleet.by_step),
        "not_verified_query": not_verified.query,
        "dial_out": dial_out(user, customer),
        "recent": recent,
        "changes_plot": drawn_changes,
        "changes_lines": figures_of_changes.lines,
        **map_shown(fleet, drawn, is_large=is_large),
        "may_add": can_anywhere(user, Action.MANAGE_PBXS),
        "may_add_customer": user.is_superuser,
        "now": now,
    }


def map_shown(fleet: FleetCounts, drawn: Sequence[Pbx], *, is_large: bool) -> dict[str, Any]:
    """Return the map of a fleet: a square for each of these PBXs or, of a large one, for each customer."""
    groups = [customer_map(fleet.by_customer)] if is_large else fleet_map(drawn)
    there = len(fleet.by_customer) if is_large else fleet.total
    return {
        "map": groups,
        "map_words": fleet_in_words(fleet.by_state),
        "is_large": is_large,
        "not_drawn": there - sum(len(each.squares) for each in groups),
        "legend": [(PBX_STATES[state], fleet.by_state[state]) for state in PbxState.values if fleet.by_state[state]],
    }


@login_required
@require_GET
def person_effective_access(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what a person can see and do, for the customers whose people the user sees."""
    person = get_object_or_404(User.objects.visible_to(request.user), pk=pk)
    customers = Customer.objects.visible_to(person).allowing(request.user, Action.SEE_PEOPLE)
    page = keyset(customers, ("folded", "id"), request.GET.get("cursor", ""), PAGE_SIZE)
    memberships = list(person.memberships.current()) if person.is_active else []
    context = {
        "person": person,
        "page": page,
        "rows": effective_access(person, memberships, list(page.rows)),
        "of_all": [one.get_role_display() for one in memberships if one.customer_id is None],
    }
    return render(request, "home/effective_access.html", context)


def open_batches(user: User, customer: Customer | None) -> QuerySet[Batch]:
    """Return the batches that are not over, of all customers that this person sees or with IVRs of one."""
    found = Batch.objects.visible_to(user).filter(state__in=OPEN_BATCHES)
    if customer is None:
        return found
    return found.filter(Exists(BatchTarget.objects.filter(batch=OuterRef("pk"), customer_id=customer.pk)))


def drawn_first(pbxs: PbxQuerySet) -> PbxQuerySet:
    """Return PBXs as Home draws them: those that need attention first, and of these the longest waiting."""
    is_well = Case(When(state__in=NEEDS_A_PERSON, then=0), default=1)
    columns = ("name", "state", "state_at", "state_reason", "locked_until", "customer__name", "customer__archived_at")
    ordered = pbxs.order_by(is_well, "state_at", "customer_id", "pk")
    return ordered.select_related("customer").only(*columns)


def recent_and_unsettled(
    changes: ChangeQuerySet, unsettled: ChangeQuerySet, since: date
) -> tuple[list[Change], list[Change]]:
    """Return the newest changes, and the newest of those not verified, in one query."""
    newest, open_ones = changes.values("pk")[:RECENT_CHANGES], unsettled.values("pk")[:MOST_TODO]
    found = list(Change.objects.filter(Q(pk__in=newest) | Q(pk__in=open_ones)))
    is_open = [
        change.outcome in UNVERIFIED_OUTCOMES and timezone.localdate(change.planned_at) >= since for change in found
    ]
    return found[:RECENT_CHANGES], list(compress(found, is_open))


def newest_events(outside: OutsideChangeQuerySet) -> list[Event]:
    """Return the events of the newest of these outside changes."""
    return list(Event.objects.filter(pk__in=outside.values("pk")[:MOST_TODO]).order_by("-pk"))


@login_required
@require_GET
def customer_list(request: HttpRequest) -> HttpResponse:
    user, q = user_of(request), typed_text(request.GET.get("q"))
    seen = Customer.objects.visible_to(user)
    found = seen.matching(q)
    page = keyset(found, ("folded", "id"), request.GET.get("cursor", ""), PAGE_SIZE)
    context = {
        "page": page,
        "rows": customer_rows(user, page.rows),
        "q": q,
        "query": urlencode({"q": q}) if q else "",
        "chips": [(f"“{q}”", "")] if q else [],
        "count": found.count(),
        "of": seen.count(),
    }
    return render(request, "home/customer_list.html", context)
