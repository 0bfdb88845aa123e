"""Links from a state or an outcome to the page that says what to do about it."""

from django import template
from django.utils.html import format_html

from pbxadmin.help.pages import help_address, help_pages

register = template.Library()


@register.simple_tag
def help_about(trouble: str) -> str:
    """Render a link to the page about a state or an outcome, "" when there is none, as for one that is well."""
    slug = f"trouble/{trouble}"
    page = help_pages().get(slug)
    if page is None:
        return ""
    return format_html('<a class="about" href="{}">What “{}” means</a>', help_address(slug), page.title)
