"""Ask in a template what the person who looks at it may do. Hiding a button is never the check: the view asks too."""

from django import template
from django.template import Context

from pbxadmin.access.models import Customer
from pbxadmin.access.permissions import can, can_anywhere
from pbxadmin.access.roles import Action

register = template.Library()


@register.simple_tag(takes_context=True)
def may(context: Context, action: str, customer: Customer | int | None = None) -> bool:
    """{% may "manage-pbxs" customer as may_manage %}; without a customer: for the installation."""
    user = context.get("user")
    return user is not None and can(user, Action(action), customer)


@register.simple_tag(takes_context=True)
def may_anywhere(context: Context, action: str) -> bool:
    """{% may_anywhere "review-log" as may_review %}"""
    user = context.get("user")
    return user is not None and can_anywhere(user, Action(action))
