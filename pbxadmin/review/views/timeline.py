"""The page of a timeline: all that happened to an IVR, a PBX, a customer or a person."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from pbxadmin.access.models import Customer, User
from pbxadmin.audit.models import MAX_ID
from pbxadmin.fleet.models import Pbx
from pbxadmin.review.timeline import Subject, may_open_log, moments_of, of_customer, of_ivr, of_pbx, of_person
from pbxadmin.web.filters import typed_text, whole
from pbxadmin.web.pages import PAGE_SIZE


@login_required
@require_GET
def timeline_page(request: HttpRequest) -> HttpResponse:
    """Show the events of what the address names, below an id: `before`."""
    subject = subject_asked(request)
    below = whole(request.GET.get("before")) or MAX_ID
    moments, going_on = moments_of(subject, request.user, PAGE_SIZE, below)
    context = {
        "subject": subject,
        "moments": moments,
        "going_on": going_on,
        "may_open_log": may_open_log(subject, request.user),
    }
    return render(request, "review/timeline.html", context)


def subject_asked(request: HttpRequest) -> Subject:
    """Return what the address names. Raises Http404 for what this person does not see, and for nothing."""
    asked = request.GET
    if pbx_id := whole(asked.get("pbx")):
        pbx = get_object_or_404(Pbx.objects.visible_to(request.user).select_related("customer"), pk=pbx_id)
        number = typed_text(asked.get("ivr"))
        return of_ivr(pbx, number) if number else of_pbx(pbx)
    if customer_id := whole(asked.get("customer")):
        return of_customer(get_object_or_404(Customer.objects.visible_to(request.user), pk=customer_id))
    if person_id := whole(asked.get("person")):
        return of_person(get_object_or_404(User.objects.visible_to(request.user), pk=person_id))
    raise Http404
