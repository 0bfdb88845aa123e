"""The control room (what needs attention, how the fleet is, what was changed last) and a person's effective access."""

from datetime import timedelta

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from ivr.addresses import ivr_address
from ivr.models import Change, Ivr, OutsideChange, OutsideChangeQuerySet
from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import can_anywhere
from pbxadmin.access.person import user_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import Batch, BatchState
from pbxadmin.fleet.models import NEEDS_A_PERSON, Pbx, PbxState
from pbxadmin.policies.selectors import dial_out
from pbxadmin.review.models import DeskItem, Period
from pbxadmin.web.pages import PAGE_SIZE, keyset
from pbxadmin.web.words import PBX_STATES

from .effective_access import effective_access
from .plots import fleet_squares

RECENT_DAYS = 7
RECENT_CHANGES = 8
MOST_TODO = 8
READ_LATELY = timedelta(minutes=15)
OPEN_BATCHES = (BatchState.RUNNING, BatchState.PAUSED, BatchState.HALTED)
UNVERIFIED_OUTCOMES = (Change.Status.UNKNOWN, Change.Status.NOT_AS_ASKED)


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    now = timezone.now()
    pbxs = Pbx.objects.visible_to(user).in_use()
    changes = Change.objects.visible_to(user)
    unsettled = changes.showing(*UNVERIFIED_OUTCOMES).filter(planned_at__gte=now - timedelta(days=RECENT_DAYS))
    troubled = pbxs.filter(state__in=NEEDS_A_PERSON)
    first_pbxs = list(troubled.select_related("customer").order_by("state_at")[:MOST_TODO])
    first_changes = list(unsettled[:MOST_TODO])
    by_state = dict(pbxs.order_by().values_list("state").annotate(count=Count("pk")))
    may_review = can_anywhere(user, Action.REVIEW_LOG)
    may_act = may_review or can_anywhere(user, Action.EDIT_IVR)
    outside = OutsideChange.objects.waiting_for(user) if may_act else OutsideChange.objects.none()
    outside_count, first_outside = outside.count(), newest_events(outside)
    total = sum(by_state.values())
    needs, unsettled_count = sum(by_state.get(state, 0) for state in NEEDS_A_PERSON), unsettled.count()
    context = {
        "troubled": first_pbxs,
        "more_troubled": needs - len(first_pbxs),
        "unsettled": first_changes,
        "more_unsettled": unsettled_count - len(first_changes),
        "outside": [(event, ivr_of(event)) for event in first_outside],
        "more_outside": outside_count - len(first_outside),
        "outside_count": outside_count,
        "batches": list(Batch.objects.visible_to(user).filter(state__in=OPEN_BATCHES)[:MOST_TODO]),
        "may_review": may_review,
        "may_act": may_act,
        "on_desk": DeskItem.objects.visible_to(user).still_open().count() if may_review else 0,
        "reopened": Period.objects.visible_to(user).exclude(reopened_at=None).count() if may_review else 0,
        "needs": needs,
        "unsettled_count": unsettled_count,
        "total": total,
        "read_lately": pbxs.filter(read_at__gte=now - READ_LATELY).count(),
        "ivrs": Ivr.objects.visible_to(user).aggregate(all=Count("pk"), out=Count("pk", filter=Q(dial_outbound="on"))),
        "dial_out": dial_out(user),
        "customers": Customer.objects.visible_to(user).count(),
        "recent": list(changes[:RECENT_CHANGES]),
        "squares": fleet_squares(by_state),
        "legend": [(PBX_STATES[state], by_state[state]) for state in PbxState.values if by_state.get(state)],
        "may_add": can_anywhere(user, Action.MANAGE_PBXS),
        "may_add_customer": user.is_superuser,
        "now": now,
    }
    return render(request, "home/home.html" if total else "home/first_run.html", context)


@login_required
@require_GET
def person_effective_access(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what a person can see and do, for the customers whose people the user manages."""
    person = get_object_or_404(User.objects.visible_to(request.user), pk=pk)
    customers = Customer.objects.visible_to(person).allowing(request.user, Action.MANAGE_PEOPLE)
    page = keyset(customers, ("folded", "id"), request.GET.get("cursor", ""), PAGE_SIZE)
    memberships = list(person.memberships.current()) if person.is_active else []
    context = {
        "person": person,
        "page": page,
        "rows": effective_access(person, memberships, list(page.rows)),
        "of_all": [one.get_role_display() for one in memberships if one.customer_id is None],
    }
    return render(request, "home/effective_access.html", context)


def newest_events(outside: OutsideChangeQuerySet) -> list[Event]:
    """Return the events of the newest of these outside changes."""
    events = Event.objects.in_bulk(list(outside.values_list("pk", flat=True)[:MOST_TODO]))
    return [events[pk] for pk in sorted(events, reverse=True)]


def ivr_of(event: Event) -> str:
    """Return the address of the IVR that an event is about."""
    return ivr_address(event.pbx_id or 0, str(event.data["ivr_number"]))
