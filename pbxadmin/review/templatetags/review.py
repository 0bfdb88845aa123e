"""What pages show of the log: the timeline of what they are about."""

from typing import Any

from django import template

from pbxadmin.access.models import AnyUser, Customer, User
from pbxadmin.fleet.models import Pbx
from pbxadmin.review.models import DeskItem
from pbxadmin.review.timeline import Subject, may_open_log, moments_of, of_customer, of_ivr, of_pbx, of_person

register = template.Library()
MOMENTS_SHOWN = 8


@register.inclusion_tag("review/_timeline.html", takes_context=True)
def timeline(context: template.Context, subject: Customer | Pbx | User, number: str = "") -> dict[str, Any]:
    """{% timeline pbx ivr.number %}: what happened lately to a customer, a PBX, one of its IVRs or a person."""
    about = subject_about(subject, number)
    moments, _ = moments_of(about, context["user"], MOMENTS_SHOWN)
    return {"moments": moments, "subject": about, "may_open_log": may_open_log(about, context["user"])}


@register.simple_tag
def open_exceptions(person: AnyUser) -> int:
    """Return how many exceptions of their desk are open."""
    return DeskItem.objects.visible_to(person).still_open().count()


def subject_about(subject: Customer | Pbx | User, number: str) -> Subject:
    if isinstance(subject, Pbx):
        return of_ivr(subject, number) if number else of_pbx(subject)
    return of_customer(subject) if isinstance(subject, Customer) else of_person(subject)
