"""The page and the file of who had which access on a day."""

from collections.abc import Iterator
from datetime import date

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from pbxadmin.access.models import User, as_named
from pbxadmin.access.permissions import customer_ids, customers_of, only_customer
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.review.access_on import Held, access_events, access_on, concerning
from pbxadmin.review.figures import kept_since
from pbxadmin.review.forms import AccessFilter
from pbxadmin.web.csv import csv_response
from pbxadmin.web.times import local_time, utc_today

from .common import auditor

ACCESS_COLUMNS = (
    *("day", "user_id", "user", "role", "customer_id", "customer", "since", "until", "last_day", "may"),
    *("since_local_time", "until_local_time"),
)


@login_required
@require_GET
def access_page(request: HttpRequest) -> HttpResponseBase:
    """Show who had which role for which customer on a day, UTC; as a file with format=csv, which is an event."""
    user = auditor(request)
    asked = request.GET.dict() | {"on": request.GET.get("on") or utc_today().isoformat()}
    wanted = AccessFilter(asked, customers=customers_of(user, Action.REVIEW_LOG))
    day, customer = wanted.day(), wanted.customer_id()
    seen = customer_ids(user, Action.REVIEW_LOG)
    found = list(concerning(access_on(day, access_events(day)), frozenset({customer}) if customer else seen))
    if request.GET.get("format") == "csv":
        named = as_named(only_customer(user, Action.REVIEW_LOG, customer))
        detail = {"day": day.isoformat(), "rows": len(found)}
        record(EventAction.ACCESS_EXPORTED, customer=named, detail=detail)
        return csv_response(f"access-{day}.csv", ACCESS_COLUMNS, access_lines(day, found))
    return access_answer(request, wanted, day, found)


def access_answer(request: HttpRequest, wanted: AccessFilter, day: date, found: list[Held]) -> HttpResponse:
    people = User.objects.in_bulk({each.access.user_id for each in found})
    since = None if found else kept_since(user_of(request))
    context = {
        "wanted": wanted,
        "day": day,
        "rows": [(each, people.get(each.access.user_id)) for each in found],
        "people": len({each.access.user_id for each in found}),
        "query": wanted.query,
        "log_begins": since if since and since > day else None,
    }
    return render(request, "review/access.html", context, status=422 if wanted.errors else 200)


def access_lines(day: date, found: list[Held]) -> Iterator[list[str]]:
    zone = timezone.get_current_timezone()
    for each in found:
        access, times = each.access, (each.since, each.until)
        customer = str(access.customer_id or "")
        yield [
            *(day.isoformat(), str(access.user_id), each.user, access.role, customer, each.customer),
            *(at.isoformat(timespec="seconds") if at else "" for at in times),
            *(each.last_day, "; ".join(access.may)),
            *(local_time(at, zone) if at else "" for at in times),
        ]
