"""Pages of periods: the list, one period with its figures and exceptions, and the sign-off."""

from datetime import date

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from pbxadmin.access.permissions import customers_of
from pbxadmin.access.person import user_of
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import Action
from pbxadmin.review.desk import desk_read
from pbxadmin.review.forms import PeriodForm
from pbxadmin.review.models import DeskItemQuerySet, Period
from pbxadmin.review.periods import (
    NotReady,
    chain_state,
    counts_in,
    items_in,
    month,
    period_add,
    period_sign,
    reviews_in,
    stretches,
)
from pbxadmin.review.selectors import OUTCOME_LABELS, EventFilter
from pbxadmin.web.htmx import go
from pbxadmin.web.pages import PAGE_SIZE, keyset
from pbxadmin.web.posting import post_only

from .common import auditor
from .desk import desk_rows

MONTHS_SHOWN = 12
ENDS = OUTCOME_LABELS.keys() - {"sending"}  # what was being sent has an outcome of its own, or will have


@login_required
@require_http_methods(["GET", "POST"])
def period_list(request: HttpRequest) -> HttpResponse:
    """Periods, newest first; POST adds one."""
    user = auditor(request)
    data = request.POST if request.method == "POST" else None
    form = PeriodForm(data, customers=customers_of(user, Action.REVIEW_LOG))
    if data is not None and form.is_valid():
        values = {name: form.cleaned_data[name] for name in ("customer", "starts_on", "ends_on")}
        try:
            period = period_add(**values, by=user.display_name)
            return go(request, period.get_absolute_url())
        except ValidationError as error:
            form.add_error(None, error)
    found = Period.objects.visible_to(user).select_related("customer")
    page = keyset(found, ["-ends_on", "-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    context = {"form": form, "page": page}
    return render(request, "review/period_list.html", context, status=422 if form.errors else 200)


def visible_period(request: HttpRequest, pk: int) -> Period:
    return get_object_or_404(Period.objects.visible_to(auditor(request)).select_related("customer"), pk=pk)


@login_required
@require_GET
def period_page(request: HttpRequest, pk: int) -> HttpResponse:
    return show_period(request, visible_period(request, pk))


def show_period(request: HttpRequest, period: Period, problem: str = "") -> HttpResponse:
    desk_read()
    period.refresh_from_db()
    reviews, items = reviews_in(period), items_in(period)
    counts = counts_in(period, reviews)
    ends = {outcome: count for outcome, count in counts.items() if outcome in ENDS}
    reviewed: DeskItemQuerySet = items.exclude(reviewed_at=None)
    context = {
        "period": period,
        "counts": sorted(ends.items()),
        "others": sum(counts.values()) - sum(ends.values()),
        "reviews": reviews,
        "total": sum(counts.values()) + reviews,
        "chain": chain_state(period),
        "exceptions": items.count(),
        "still_open": items.still_open().count(),
        "rows": desk_rows(items.still_open()[:PAGE_SIZE]),
        "reviewed": desk_rows(reviewed[:PAGE_SIZE]),
        "desk_query": f"period={period.pk}",
        "problem": problem,
        "query": EventFilter(customer=period.customer_id, since=period.starts_on, until=period.ends_on).query,
        "months": [(f"{first:%Y-%m}", f"{first:%B %Y}") for first in months_of(period)],
    }
    return render(request, "review/period_page.html", context, status=409 if problem else 200)


def months_of(period: Period) -> list[date]:
    """Return the first days of the months of a period, the newest ones of a long one."""
    found = stretches(period.ends_on, month, MONTHS_SHOWN)
    return [first for first, last in reversed(found) if last >= period.starts_on]


@login_required
@post_only("review:period-page", "pk")
@requires_reauthentication
def period_sign_view(request: HttpRequest, pk: int) -> HttpResponse:
    period = visible_period(request, pk)
    try:
        period_sign(period=period, by=user_of(request).display_name)
    except NotReady as error:
        return show_period(request, period, problem=str(error))
    messages.success(request, f"{period}, is signed off.")
    return go(request, reverse("review:period-page", args=[pk]))
