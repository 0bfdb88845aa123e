"""The auditor's pages: the log, and one event with its proof."""

import json
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from pbxadmin.access.models import Customer, User
from pbxadmin.access.permissions import can_anywhere, customers_of
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import ACTIONS
from pbxadmin.audit.models import Event, EventQuerySet
from pbxadmin.web.htmx import render_either
from pbxadmin.web.pages import keyset
from pbxadmin.web.words import OUTCOMES
from pbxadmin.yeastar.fields import BY_NAME

from .selectors import EventFilter, events_for

PAGE_SIZE = 50
OTHERS = 20


def reviewable(request: HttpRequest) -> EventQuerySet:
    """Events that this person may review. Raises PermissionDenied for who may review none at all."""
    user = cast(User, request.user)
    if not can_anywhere(user, Action.REVIEW_LOG):
        raise PermissionDenied
    return events_for(user)


@login_required
@require_GET
def event_list(request: HttpRequest) -> HttpResponse:
    wanted = EventFilter.from_query(request.GET.dict())
    page = keyset(wanted.narrow(reviewable(request)), ["-id"], request.GET.get("cursor", ""), PAGE_SIZE)
    customers: Any = customers_of(cast(User, request.user), Action.REVIEW_LOG)
    context = {
        "page": page,
        "events": [(event, changed_fields(event)) for event in page.rows],
        "wanted": wanted,
        "query": wanted.query,
        "customers": list(customers.values_list("pk", "name")[:500]),
        "actions": list(ACTIONS.items()),
        "outcomes": [(value, look.label) for value, look in OUTCOMES.items() if value != "planned"],
    }
    return render_either(request, "review/event_list.html", "review/_event_table.html", context)


@login_required
@require_GET
def event_page(request: HttpRequest, pk: int) -> HttpResponse:
    events = reviewable(request)
    event = get_object_or_404(events, pk=pk)
    others = events.filter(change_id=event.change_id).exclude(pk=pk).order_by("id")[:OTHERS] if event.change_id else []
    context = {
        "event": event,
        "fields": changed_fields(event),
        "detail": sorted(event.data["detail"].items()),
        "others": others,
        "customer_exists": Customer.objects.filter(pk=event.customer_id).exists() if event.customer_id else False,
        "text": readable(event.data),
    }
    return render(request, "review/event_page.html", context)


def readable(data: dict[str, Any]) -> str:
    """JSON, indented; characters that cannot be seen are escaped as JSON does it."""
    text = json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True)
    return "".join(one if one.isprintable() or one == "\n" else json.dumps(one)[1:-1] for one in text)


def changed_fields(event: Event) -> list[dict[str, str]]:
    """Before, asked and found of each field, in words where the field is one of an IVR."""
    return [
        {
            "label": label_of(name),
            "name": name,
            **{kind: in_words(name, said, kind) for kind in ("before", "asked", "found")},
        }
        for name, said in event.data["fields"].items()
    ]


def label_of(name: str) -> str:
    return BY_NAME[name].label if name in BY_NAME else name.replace("_", " ").capitalize()


def in_words(name: str, said: dict[str, Any], kind: str) -> str:
    """ "" when nothing was said; an IVR's field that was not reported says so."""
    if kind not in said:
        return ""
    value = said[kind]
    if name in BY_NAME and (value is None or isinstance(value, str)):
        return BY_NAME[name].in_words(value)
    return "" if value is None else str(value)
