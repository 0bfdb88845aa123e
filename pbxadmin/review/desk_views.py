"""The auditor's desk: exceptions first, periods, sign-off."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ivr.models import Change
from pbxadmin.access.models import User
from pbxadmin.access.permissions import customers_of, require_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.access.roles import Action
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import keyset
from pbxadmin.web.words import number_of

from .desk import desk_read, events_of, items_review
from .forms import DeskFilter, PeriodForm, ReviewForm
from .kinds import KINDS
from .models import DeskItem, DeskItemQuerySet, Period
from .periods import NotReady, chain_state, counts_in, items_in, period_add, period_sign
from .selectors import OUTCOME_LABELS
from .words import gist

PAGE_SIZE = 50
ENDS = OUTCOME_LABELS.keys() - {"sending"}  # what was being sent has an outcome of its own, or will have


def auditor(request: HttpRequest) -> User:
    """The person, who may review the log of some customer; anybody else is refused, which is an event itself."""
    user = user_of(request)
    require_anywhere(user, Action.REVIEW_LOG)
    return user


@login_required
@require_GET
def desk(request: HttpRequest) -> HttpResponse:
    auditor(request)
    return show_desk(request, None)


def show_desk(request: HttpRequest, form: ReviewForm | None) -> HttpResponse:
    user = user_of(request)
    desk_read()
    mine = DeskItem.objects.visible_to(user)
    wanted = DeskFilter(request.GET, user=user)
    page = keyset(wanted.narrow(mine), ["-event_id"], request.GET.get("cursor", ""), PAGE_SIZE)
    context = {
        "wanted": wanted,
        "query": wanted.query,
        "page": page,
        "rows": desk_rows(page.rows),
        "is_any_open": any(item.reviewed_at is None for item in page.rows),
        "form": form or ReviewForm(None, items=mine),
        "chosen": set(request.POST.getlist("event")),
        "open_count": mine.still_open().count(),
    }
    return render_either(request, "review/desk.html", "review/_desk.html", context, status=422 if form else 200)


def desk_rows(items: Any) -> list[dict[str, Any]]:
    """Each item with its event in words, and with what its change has come to since."""
    events = events_of(items)
    changes = {event.change_id for event in events.values() if event.change_id}
    now = dict(Change.objects.filter(pk__in=changes).values_list("pk", "status"))
    rows = []
    for item in items:
        event = events[item.event_id]
        said, more = gist(event)
        since = now.get(event.change_id or 0, "")
        rows.append(
            {
                "item": item,
                "event": event,
                "said": event.data,
                "gist": said,
                "more": more,
                "kinds": [KINDS[name].look for name in item.kind_names],
                "since": since if since and event.outcome not in ("", "sending", since) else "",
            }
        )
    return rows


@login_required
@require_POST
def desk_review(request: HttpRequest) -> HttpResponse:
    """Mark what was looked at. The address carries the filter of the desk."""
    user = auditor(request)
    form = ReviewForm(request.POST, items=DeskItem.objects.visible_to(user))
    if form.has_error("event", "foreign") or form.has_error("event", "invalid_choice"):
        raise Http404
    if not form.is_valid():
        return show_desk(request, form)
    count = items_review(form.cleaned_data["event"], note=form.cleaned_data["note"], by=user.display_name)
    messages.success(request, f"{number_of(count, 'exception')} marked reviewed, in the log too.")
    query = request.GET.urlencode()
    return go(request, f"/audit/desk/?{query}" if query else "/audit/desk/")


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
            return go(request, f"/audit/periods/{period.pk}/")
        except ValidationError as error:
            form.add_error(None, error)
    found = Period.objects.visible_to(user).select_related("customer")
    page = keyset(found, ["-ends_on", "-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    context = {"form": form, "page": page, "open_count": DeskItem.objects.visible_to(user).still_open().count()}
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
    counts = counts_in(period)
    ends = {outcome: count for outcome, count in counts.items() if outcome in ENDS}
    items: DeskItemQuerySet = items_in(period)
    context = {
        "period": period,
        "counts": sorted(ends.items()),
        "others": sum(counts.values()) - sum(ends.values()),
        "total": sum(counts.values()),
        "chain": chain_state(period),
        "exceptions": items.count(),
        "still_open": items.still_open().count(),
        "rows": desk_rows(items.still_open()[:PAGE_SIZE]),
        "problem": problem,
    }
    return render(request, "review/period_page.html", context, status=409 if problem else 200)


@login_required
@require_POST
@requires_reauthentication
def period_sign_view(request: HttpRequest, pk: int) -> HttpResponse:
    period = visible_period(request, pk)
    try:
        period_sign(period=period, by=user_of(request).display_name)
    except NotReady as error:
        return show_period(request, period, problem=str(error))
    messages.success(request, f"{period.customer}, {period.starts_on} to {period.ends_on}, is signed off.")
    return go(request, f"/audit/periods/{pk}/")
