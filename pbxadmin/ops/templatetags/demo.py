"""What Home shows in the demo alone."""

from typing import Any

from django import template
from django.conf import settings

from pbxadmin.ops.demo.cards import cards_for

register = template.Library()


@register.inclusion_tag("ops/_cards.html", takes_context=True)
def demo_cards(context: dict[str, Any]) -> dict[str, Any]:
    """Render what this person could try, in the demo; else nothing."""
    return {"cards": cards_for(context["user"]) if settings.DEMO_CONTROLS else []}
