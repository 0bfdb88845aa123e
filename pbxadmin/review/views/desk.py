"""The page of the desk: exceptions, open ones first, and marking them reviewed."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from ivr.models import Change
from ivr.open_outside_changes import overridden_of
from pbxadmin.access.person import user_of
from pbxadmin.audit.actions import EventGroup
from pbxadmin.review.desk import desk_read, events_of, items_review
from pbxadmin.review.forms import DeskFilter, ReviewForm
from pbxadmin.review.kinds import KINDS
from pbxadmin.review.models import DeskItem
from pbxadmin.review.wording import gist
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import PAGE_SIZE, found_of, keyset
from pbxadmin.web.posting import post_only
from pbxadmin.web.words import number_of

from .common import auditor


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
    found = wanted.narrow(mine)
    page = keyset(found, ["-event_id"], request.GET.get("cursor", ""), PAGE_SIZE)
    context = {
        "wanted": wanted,
        "query": wanted.query,
        "page": page,
        "counts": found_of(page, found, wanted.in_state(mine) if wanted.is_narrow else None),
        "chips": wanted.shown_chips(),
        "rows": desk_rows(page.rows),
        "is_any_open": any(item.reviewed_at is None for item in page.rows),
        "form": form or ReviewForm(None, items=mine),
        "chosen": set(request.POST.getlist("event")),
    }
    return render_either(request, "review/desk.html", "review/_desk.html", context, status=422 if form else 200)


def desk_rows(items: Any) -> list[dict[str, Any]]:
    """Return each item with its event in words and with the outcome that its change has now."""
    events = events_of(items)
    changes = {event.change_id for event in events.values() if event.change_id}
    now = dict(Change.objects.filter(pk__in=changes).values_list("pk", "status"))
    overridden = overridden_of([event for event in events.values() if event.action in EventGroup.OUTSIDE.actions])
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
                "overridden": event.pk in overridden,
                "since": since if since and event.outcome not in ("", "sending", since) else "",
            }
        )
    return rows


@login_required
@post_only("review:desk")
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
    address = reverse("review:desk")
    return go(request, f"{address}?{query}" if query else address)
