"""Tags that ask what the user may do. A hidden button is not a check: the view checks as well."""

from django import template
from django.template import Context

from pbxadmin.access.models import Customer
from pbxadmin.access.permissions import can, can_anywhere
from pbxadmin.access.roles import Action

register = template.Library()


@register.simple_tag(takes_context=True)
def may(context: Context, action: str, customer: Customer | int | None = None) -> bool:
    """Return whether the user may do this: {% may "manage-pbxs" customer as may_manage %}.

    Without a customer, it asks for the installation.
    """
    user = context.get("user")
    return user is not None and can(user, Action(action), customer)


@register.simple_tag(takes_context=True)
def may_anywhere(context: Context, action: str) -> bool:
    """Return whether the user may do this for some customer: {% may_anywhere "review-log" as may_review %}"""
    user = context.get("user")
    return user is not None and can_anywhere(user, Action(action))
