"""What the page of an IVR shows of policies."""

from typing import Any

from django import template

from pbxadmin.access.permissions import can
from pbxadmin.access.roles import Action
from pbxadmin.fleet.models import Pbx
from pbxadmin.policies.models import Violation
from pbxadmin.policies.selectors import ViolationRow

register = template.Library()


@register.inclusion_tag("policies/_of_ivr.html", takes_context=True)
def policies_of_ivr(context: template.Context, pbx: Pbx, number: str) -> dict[str, Any]:
    """Render the policies that an IVR breaks, open or accepted; nothing when it breaks none."""
    user = context["user"]
    found = Violation.objects.visible_to(user).filter(pbx=pbx, number=number).order_by("policy__title", "pk")
    rows = [ViolationRow(each, None) for each in found.select_related("policy", "exception")]
    return {"rows": rows, "may_accept": bool(rows) and can(user, Action.MANAGE_RULES, pbx.customer)}
