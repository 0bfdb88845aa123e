"""Tags and filters for every template: icons, pills, fields, times, and text that is not ours."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from typing import Any

from django import forms, template
from django.core.serializers.json import DjangoJSONEncoder
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from heroicons.templatetags.heroicons import heroicon_outline

from pbxadmin import __version__
from pbxadmin.web.filters import SortedList
from pbxadmin.web.pages import COUNTED_AT_MOST, FoundOf
from pbxadmin.web.words import OUTCOMES, PBX_STATES, Look

register = template.Library()
OPTION, CHOSEN_OPTION = '<option value="{}">{}</option>', '<option value="{}" selected>{}</option>'


@register.simple_tag
def version() -> str:
    """Return the version of PBX Admin."""
    return __version__


@register.simple_tag
def options(choices: Iterable[tuple[object, str]], chosen: object) -> SafeString:
    """Return an <option> for each value and its label. There may be a thousand, for which a loop takes 10 ms."""
    parts = (
        format_html_join("\n", CHOSEN_OPTION if is_chosen else OPTION, alike)
        for is_chosen, alike in groupby(choices, lambda choice: choice[0] == chosen)
    )
    return format_html_join("\n", "{}", ((part,) for part in parts))


@register.simple_tag
def icon(name: str) -> str:
    return drawn(str(name))


@cache
def drawn(name: str) -> str:
    return str_safe(heroicon_outline(name, size=20, **{"class": "ic", "aria-hidden": "true"}))


def str_safe(markup: str) -> SafeString:
    return format_html("{}", markup)


@register.simple_tag
def state_pill(state: str) -> str:
    """Render the state of a PBX as a pill. Only states that need attention are filled."""
    return pill(PBX_STATES[state], plain=state in ("reachable", "never-checked"))


@register.simple_tag
def outcome_pill(outcome: str) -> str:
    return pill(OUTCOMES[outcome], plain=outcome in ("verified", "planned"))


@cache
def pill(look: Look, *, plain: bool) -> SafeString:
    kind = "pill plain" if plain else "pill"
    return format_html('<span class="{}" data-tone="{}">{}{}</span>', kind, look.tone, drawn(look.icon), look.label)


@register.filter
def look(outcome: str) -> Look:
    return OUTCOMES[outcome]


@register.simple_tag
def sort_head(wanted: SortedList, name: str, label: str, kind: str = "") -> SafeString:
    """Render the head of a column that its list can be sorted by. kind: class of the cell."""
    way = wanted.direction if name == wanted.sorted_by else ""
    return format_html(
        '<th{}{}><a href="?{}">{}</a></th>',
        format_html(' class="{}"', kind) if kind else "",
        format_html(' aria-sort="{}"', way) if way else "",
        wanted.sort_query(name),
        label,
    )


@register.inclusion_tag("web/_field.html")
def field_row(field: forms.BoundField) -> dict[str, Any]:
    """Render a form field: label above, unit behind, hint and error below, all linked for screen readers."""
    described = [f"{field.auto_id}-e"] if field.errors else []
    described += [f"{field.auto_id}-h"] if field.help_text else []
    attrs = dict(field.field.widget.attrs)
    attrs["class"] = f"input {attrs.get('class', '')}".strip()
    attrs["aria-describedby"] = " ".join(described)
    if field.errors:
        attrs["aria-invalid"] = "true"
        if next((name for name in field.form.fields if name in field.form.errors), None) == field.name:
            attrs["autofocus"] = True
    is_check = isinstance(field.field, forms.BooleanField)
    is_group = isinstance(field.field.widget, forms.CheckboxSelectMultiple)
    if is_check or is_group:
        attrs["class"] = ""
    return {
        "field": field,
        "widget": field.as_widget(attrs={name: value for name, value in attrs.items() if value}),
        "is_check": is_check,
        "is_group": is_group,
        "unit": getattr(field.field, "unit", ""),
    }


@register.simple_block_tag(takes_context=True)
def rail(context: template.Context, content: str) -> str:
    """Render the links at the side of each page; the block names the one that the page belongs to.

    content: home, ivrs, pbxs, customers, changes, outside, policies, batches, audit, people, webhooks, help, or none.
    """
    with context.push(here=content.strip(), count=0):  # a page may have a count of its own
        return template.Engine.get_default().get_template("web/_rail.html").render(context)


@register.simple_block_tag
def empty_state(content: str, *, icon: str, heading: str, page: str = "", url: str = "", label: str = "") -> str:
    """Render the panel that stands where a list has nothing to show; the block is its sentence.

    page, or url, and label: a button that leads on, to a page by its name or to an address.
    """
    url = reverse(page) if page else url
    context = {"icon_name": icon, "heading": heading, "text": str_safe(content.strip()), "url": url, "label": label}
    return render_to_string("web/_empty.html", context)


@register.simple_block_tag(takes_context=True)
def filter_form(context: template.Context, content: str, *, table: str) -> str:
    """Render the form that filters the list of this page; the block is its fields.

    table: id of what an answer replaces.
    """
    form = {"path": context["request"].path, "table": table, "fields": str_safe(content)}
    return render_to_string("web/_filter_form.html", form)


@register.simple_block_tag
def account_head(content: str, *, heading: str) -> str:
    """Render the head of a page below "Your account"; the block is the sentence under its heading."""
    return render_to_string("account/_head.html", {"heading": heading, "text": str_safe(content.strip())})


def age_in_words(at: datetime) -> str:
    minutes = int((timezone.now() - at).total_seconds()) // 60
    if minutes < 1:
        return "now"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"


@register.filter
def age(at: datetime | None) -> str:
    """Render the age of a time, short enough for a column: "now", "2 min", "3 h", "4 d"."""
    return timed(at, age_in_words(at)) if at else "never"


@register.filter
def ago(at: datetime | None) -> str:
    """Render the age of a time for a sentence: "just now", "2 min ago", "never"."""
    if at is None:
        return "never"
    words = age_in_words(at)
    return timed(at, "just now" if words == "now" else f"{words} ago")


@register.filter
def counted_as(count: int, thing: str) -> str:
    """Return a count of `count_capped` with its noun: "1 change", "1,204 changes", "more than 10,000 changes"."""
    ending = "" if count == 1 else "es" if thing.endswith("ch") else "s"
    if count > COUNTED_AT_MOST:
        return f"more than {COUNTED_AT_MOST:,} {thing}{ending}"
    return f"{count:,} {thing}{ending}"


@register.filter
def counted_of(counts: FoundOf, thing: str) -> str:
    """Return what a filter found with its noun: "37 of 82 batches", or "82 batches" where it leaves nothing out."""
    everything = counted_as(counts.all, thing)
    if counts.found == counts.all:
        return everything
    found = f"more than {COUNTED_AT_MOST:,}" if counts.found > COUNTED_AT_MOST else f"{counts.found:,}"
    return f"{found} of {everything}"


@register.filter
def clock(at: datetime | None) -> str:
    """Render a time in the person's zone: the time of day, with the date if it is not today; UTC in full on hover."""
    if at is None:
        return ""
    own, now = timezone.localtime(at), timezone.localtime()
    shown = f"{own:%H:%M:%S}" if own.date() == now.date() else f"{own.day} {own:%b %H:%M}"
    return timed(at, shown if own.year == now.year else f"{own:%Y-%m-%d %H:%M}")


@register.filter
def full_clock(at: datetime | None) -> str:
    """Render a time with its day and zone, for what is read later, such as "2026-03-29 03:00 CEST"; UTC on hover."""
    return timed(at, f"{timezone.localtime(at):%Y-%m-%d %H:%M %Z}") if at else ""


def timed(at: datetime, shown: str) -> SafeString:
    """Return a time element that says UTC to scripts and on hover."""
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>', f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M:%S}", shown
    )


@register.simple_tag
def time_zone() -> str:
    """Return the name of the zone in which this page shows times."""
    return timezone.get_current_timezone_name()


@register.filter
def visible(text: Any) -> str:
    """Render foreign text: isolated in its direction, with invisible characters shown as their codes."""
    text = "" if text is None else str(text)
    if text.isprintable():
        return format_html("<bdi>{}</bdi>", text)
    parts = ((marked(character),) for character in text)
    return format_html("<bdi>{}</bdi>", format_html_join("", "{}", parts))


def marked(character: str) -> str:
    if character.isprintable():
        return character
    return format_html('<span class="odd" title="A character that cannot be seen">U+{}</span>', f"{ord(character):04X}")


@register.filter
def as_json(value: Any) -> str:
    """Return the value as JSON, for an attribute that a script of ours reads."""
    return json.dumps(value, cls=DjangoJSONEncoder)


@register.filter
def turns(count: int) -> range:
    """Return the numbers from 1 to count, for a loop that draws as many things."""
    return range(1, count + 1)


@register.simple_tag
def event_outcome(outcome: str) -> str:
    """Render the outcome of an event: as a pill for an outcome of a change, else as text."""
    return outcome_pill(outcome) if outcome in OUTCOMES else visible(outcome)


@register.filter
def took(seconds: float) -> str:
    """Return a duration such as "12 ms", from one second on "1.3 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
