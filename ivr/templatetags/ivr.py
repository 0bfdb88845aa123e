"""What a page of an event offers for its IVR. Hiding a button is never the check: the view asks too."""

from typing import TYPE_CHECKING, Any

from django import template

from ivr.addresses import ivr_page_address
from ivr.changes.restore import acceptance_of, can_be_restored
from ivr.models import Ivr, OutsideChange, may_act_on
from ivr.open_outside_changes import overridden_of
from ivr.wording import callers_may
from pbxadmin.access.permissions import can
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventGroup
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx

if TYPE_CHECKING:
    from django.template import Context

register = template.Library()
MOST_COUNTED = 999
MOST_IVRS = 12  # of a PBX, on its page


@register.simple_tag(takes_context=True)
def open_outside_count(context: "Context") -> int | str:
    """Return how many outside changes wait for the person who looks: {% open_outside_count as count %}"""
    user = context.get("user")
    if user is None or may_act_on(user) == frozenset():
        return 0
    count = OutsideChange.objects.waiting_for(user).order_by()[: MOST_COUNTED + 1].count()
    return count if count <= MOST_COUNTED else f"{MOST_COUNTED}+"


@register.inclusion_tag("ivr/_event_actions.html", takes_context=True)
def event_actions(context: "Context", event: Event) -> dict[str, Any]:
    """{% event_actions event %}: restore and accept, as far as the person who looks may do either."""
    user, pbx = context["user"], Pbx.objects.select_related("customer").filter(pk=event.pbx_id or 0).first()
    may_edit = pbx is not None and can(user, Action.EDIT_IVR, pbx.customer)
    is_outside = event.action in EventGroup.OUTSIDE.actions
    accepted = acceptance_of(event) if is_outside else None
    overridden = is_outside and not accepted and bool(overridden_of([event]))
    is_open = is_outside and not accepted and not overridden
    return {
        "event": event,
        "accepted": accepted,
        "overridden": overridden,
        "may_accept": is_open and (may_edit or can(user, Action.REVIEW_LOG, event.customer_id)),
        "may_restore": not overridden and pbx is not None and can_be_restored(user, event, pbx),
        "csrf_token": context.get("csrf_token"),
    }


@register.inclusion_tag("ivr/_ivrs_of_pbx.html", takes_context=True)
def ivrs_of_pbx(context: "Context", pbx: Pbx) -> dict[str, Any]:
    """{% ivrs_of_pbx pbx %}: the first IVRs of a PBX, and the button that reads them again."""
    found = list(Ivr.objects.filter(pbx=pbx).order_by("number", "id")[: MOST_IVRS + 1])
    return {
        "pbx": pbx,
        "ivrs": [(ivr, ivr_page_address(pbx.pk, ivr.number), ivr_dials(ivr)) for ivr in found[:MOST_IVRS]],
        "is_more": len(found) > MOST_IVRS,
        "here": context["request"].path,
        "csrf_token": context.get("csrf_token"),
    }


def ivr_dials(ivr: Ivr) -> str:
    return callers_may(ivr.dial_extension, ivr.check_voicemail, ivr.dial_outbound)
