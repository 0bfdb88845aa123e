"""The auditor's pages: the log, and one event with its proof."""

from dataclasses import replace

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from ivr.addresses import ivr_address
from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import customers_of
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.check import is_as_recorded
from pbxadmin.audit.checkpoints import shown_key
from pbxadmin.audit.models import Event, EventQuerySet
from pbxadmin.fleet.models import Pbx
from pbxadmin.review.desk import items_review
from pbxadmin.review.exports import CONTENT_TYPES, FORMATS, events_export
from pbxadmin.review.figures import MOST_LIVE, figures, kept_since
from pbxadmin.review.folds import folded
from pbxadmin.review.forms import DeskFilter, NoteForm
from pbxadmin.review.hours import hours_plot
from pbxadmin.review.kinds import KINDS
from pbxadmin.review.models import DeskItem, DeskItemQuerySet
from pbxadmin.review.periods import quarter, quarter_number, stretches
from pbxadmin.review.plots import plot
from pbxadmin.review.rows import lines_of
from pbxadmin.review.sections import SECTIONS_OF_LOG
from pbxadmin.review.selectors import FIELD_LABELS, OUTCOME_LABELS, SEARCH_DAYS, EventFilter, names_of
from pbxadmin.review.wording import answered_code, changed_fields, detail_lines
from pbxadmin.web.htmx import go, render_either
from pbxadmin.web.pages import PAGE_SIZE, Column, Page, cursor_of, cursor_place, keyset
from pbxadmin.web.posting import post_only
from pbxadmin.web.site import site_address
from pbxadmin.web.times import times_as_asked, utc_today
from pbxadmin.web.words import number_of

from .common import auditor, reviewable

MOST_OTHERS = 20
HISTORY = 8
MOST_NAMES = 500
QUARTERS_SHOWN = 4
LOG_ORDER = ("-id",)
# Backwards from the end of the log, which no id is before.
LAST_PAGE = cursor_of("p", {"id": 0}, [Column("id", descending=True)])


@login_required
@require_GET
@times_as_asked
def event_list(request: HttpRequest) -> HttpResponse:
    wanted = EventFilter.from_query(request.GET)
    cursor = request.GET.get("cursor", "")
    page = log_page(reviewable(request), wanted, cursor)
    user = user_of(request)
    customers = list(customers_of(user, Action.REVIEW_LOG).values_list("pk", "name")[:MOST_NAMES])
    context = {
        "page": page,
        "last_cursor": LAST_PAGE,
        "lines": lines_of(folded(page.rows, wanted)),
        "wanted": wanted,
        "query": wanted.query,
        "chips": wanted.chips(names_of(wanted, page.rows[0] if page.rows else None, customers)),
        "customers": customers,
        "pbxs": pbxs_to_choose(user, wanted),
        "sections": [(name, section, section.has_any_of(wanted.actions)) for name, section in SECTIONS_OF_LOG.items()],
        "outcomes": list(OUTCOME_LABELS.items()),
        "fields": list(FIELD_LABELS.items()),
        "search_days": SEARCH_DAYS,
        "quarters": quarters_of(wanted),
    }
    return render_either(request, "review/event_list.html", "review/_event_table.html", context)


def quarters_of(wanted: EventFilter) -> list[tuple[str, str, bool]]:
    """Return the last quarters: what each is called, its query within the other filters, and whether it is chosen."""
    return [
        (
            f"Q{quarter_number(first)} {first.year}",
            replace(wanted, since=first, until=last).query,
            (wanted.since, wanted.until) == (first, last),
        )
        for first, last in stretches(utc_today(), quarter, QUARTERS_SHOWN)
    ]


def log_page(events: EventQuerySet, wanted: EventFilter, cursor: str) -> Page[Event]:
    """Return a page of events. Words are searched in their index alone, which is a tenth of the log."""
    backwards, place = cursor_place(cursor, 1)
    start = {"above" if backwards else "below": place[0]} if place and isinstance(place[0], int) else {}
    found = wanted.narrow(events, **start)
    if wanted.q:
        ids = keyset(found.values("id"), LOG_ORDER, cursor, PAGE_SIZE)
        by_id = Event.objects.in_bulk([row["id"] for row in ids.rows])
        page = Page([by_id[row["id"]] for row in ids.rows], ids.next_cursor, ids.previous_cursor)
    else:
        page = keyset(found, LOG_ORDER, cursor, PAGE_SIZE)
    return replace(page, next_cursor="") if cursor == LAST_PAGE else page


@login_required
@require_GET
@times_as_asked
def figures_part(request: HttpRequest) -> HttpResponse:
    """Show the figures and the plot of a filter: loaded after the log page, or as a page of its own."""
    reviewable(request)
    wanted, user = EventFilter.from_query(request.GET), user_of(request)
    found, since = figures(user, wanted), kept_since(user)
    context = {
        "figures": found,
        "plot": plot(found, wanted, since),
        "kept_since": since,
        "query": wanted.query,
        "most_live": MOST_LIVE,
    }
    return render_either(request, "review/figures.html", "review/_figures.html", context)


@login_required
@require_GET
@times_as_asked
def hours_page(request: HttpRequest) -> HttpResponse:
    """Show the changes of a filter by weekday and hour."""
    reviewable(request)
    wanted = EventFilter.from_query(request.GET)
    context = {"plot": hours_plot(user_of(request), wanted), "query": wanted.query, "most": MOST_LIVE}
    return render(request, "review/hours.html", context)


@login_required
@require_GET
@times_as_asked
def export(request: HttpRequest) -> HttpResponseBase:
    """Answer with the whole filter as a file. The figures of the log page say how many events it will hold."""
    reviewable(request)
    form = request.GET.get("format", "")
    form = form if form in FORMATS else "csv"
    wanted = EventFilter.from_query(request.GET)
    lines = events_export(user=user_of(request), wanted=wanted, form=form)
    headers = {"Content-Disposition": f'attachment; filename="audit-{timezone.now():%Y-%m-%d-%H%M}.{form}"'}
    return StreamingHttpResponse(lines, content_type=CONTENT_TYPES[form], headers=headers)


def pbxs_to_choose(user: User, wanted: EventFilter) -> list[tuple[int, str]]:
    """Return the PBXs of the chosen customer; none without a customer, because there may be thousands."""
    if wanted.customer is None:
        return []
    mine = Pbx.objects.visible_to(user).filter(customer_id=wanted.customer)
    return list(mine.values_list("pk", "name")[:MOST_NAMES])


def newest(events: EventQuerySet, wanted: EventFilter) -> list[Event]:
    return list(wanted.narrow(events).order_by(*LOG_ORDER)[:HISTORY])


@login_required
@require_GET
def event_page(request: HttpRequest, pk: int) -> HttpResponse:
    return show_event(request, pk, NoteForm())


def show_event(request: HttpRequest, pk: int, form: NoteForm) -> HttpResponse:
    events = reviewable(request)
    event = get_object_or_404(events, pk=pk)
    item = DeskItem.objects.visible_to(request.user).filter(event_id=pk).first()
    of_change = events.filter(change_id=event.change_id).exclude(pk=pk) if event.change_id else events.none()
    of_ivr = EventFilter(pbx=event.pbx_id, ivr=event.data["ivr_number"])
    beside = Event.objects.filter(chain=event.chain, sequence__in=(event.sequence - 1, event.sequence + 1))
    in_chain = dict(beside.values_list("sequence", "pk"))
    context = {
        "event": event,
        "is_as_recorded": is_as_recorded(event),
        "fields": changed_fields(event),
        "code": answered_code(event),
        "detail": detail_lines(event),
        "pbx_now": Pbx.objects.filter(pk=event.pbx_id).values_list("name", flat=True).first() if event.pbx_id else None,
        "customer_now": Customer.objects.filter(pk=event.customer_id or 0).values_list("name", flat=True).first(),
        "others": list(of_change.order_by("id")[:MOST_OTHERS]),
        "of_ivr": [one for one in newest(events, of_ivr) if one.pk != pk] if of_ivr.pbx and of_ivr.ivr else [],
        "ivr_query": of_ivr.query,
        "ivr_address": ivr_address(event.pbx_id or 0, str(event.data.get("ivr_number") or "")),
        "chain_before": in_chain.get(event.sequence - 1),
        "chain_after": in_chain.get(event.sequence + 1),
        "address": f"{site_address(request)}{reverse('review:event-page', args=[pk])}",
        "public_key": shown_key(),
        "item": item,
        "kinds": [KINDS[name].look for name in item.kind_names] if item else [],
        "form": form,
        "desk_query": DeskFilter.own_query(request.GET.urlencode()),
    }
    return render(request, "review/event_page.html", context, status=422 if form.errors else 200)


@login_required
@post_only("review:event-page", "pk")
def event_review(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark one exception reviewed, and open the next one. The address carries the filter of the desk, or the period."""
    user = auditor(request)
    mine = DeskItem.objects.visible_to(user)
    item, form = get_object_or_404(mine, event_id=pk), NoteForm(request.POST)
    if not form.is_valid():
        return show_event(request, pk, form)
    items_review([item], note=form.cleaned_data["note"], by=user.display_name)
    wanted = DeskFilter(request.GET, user=user)
    left = wanted.narrow(mine).still_open()
    messages.success(request, f"Event {pk} is reviewed, and the log says so. {left_words(left.count(), wanted)}")
    return go(request, address_after(wanted, next_open(left, pk)))


def left_words(count: int, wanted: DeskFilter) -> str:
    where = " in this period" if wanted.chosen_period else " with this filter" if wanted.is_narrow else ""
    return f"{number_of(count, 'exception')} left to review{where}."


def address_after(wanted: DeskFilter, following: int | None) -> str:
    """Return where an auditor goes on: to the next exception, else to the period, else to the desk."""
    if not following and wanted.chosen_period:
        return wanted.chosen_period.get_absolute_url()
    address = reverse("review:event-page", args=[following]) if following else reverse("review:desk")
    return f"{address}?{wanted.query}" if wanted.query else address


def next_open(items: DeskItemQuerySet, pk: int) -> int | None:
    """Return the event of the open exception that follows, which is the newest one after the oldest."""
    left = items.order_by("-event_id").values_list("event_id", flat=True)
    return left.filter(event_id__lt=pk).first() or left.first()
