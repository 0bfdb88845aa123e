"""What is posted: a notice with the public facts of its event, as JSON for programs or as a text for a chat.

Texts of notices hold names from PBXs, which anybody may have chosen: in a chat they must not call people or lead away.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from pbxadmin.audit.models import Event
from pbxadmin.notices.models import Notice, NoticeSeverity

from .models import PayloadForm

CARD_STYLE = {NoticeSeverity.CRITICAL.value: "attention", NoticeSeverity.WARNING.value: "warning"}
SLACK_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "@\u200b"), ("](", "]\u200b("))


def message_body(form: str, notice: Notice) -> str:
    """Return what is posted of a notice in this form, as JSON text."""
    return json.dumps(PAYLOADS[form](notice), ensure_ascii=False)


def standard_payload(notice: Notice) -> Mapping[str, Any]:
    return {"type": f"notice.{notice.kind}", "timestamp": utc_text(notice.at), "data": notice_facts(notice)}


def notice_facts(notice: Notice) -> Mapping[str, Any]:
    """Return a notice as the receiver gets it. condition: the same in all messages about the same thing."""
    customer = {"id": notice.customer_id, "name": notice.customer_name} if notice.customer_id else None
    event = Event.objects.filter(pk=notice.event_id).first() if notice.event_id else None
    return {
        "severity": NoticeSeverity(notice.severity).name.lower(),
        "customer": customer,
        "condition": notice.condition,
        "subject": notice.subject,
        "text": notice.text,
        "was": notice.was,
        "now": notice.now,
        "repeats": notice.repeats,
        "link": link_of(notice),
        "event": event_facts(event) if event else None,
    }


def event_facts(event: Event) -> Mapping[str, Any]:
    """Return what the pages show of an event to whoever sees its customer. The log never holds a secret."""
    said = event.data
    return {
        "id": event.pk,
        "at": utc_text(event.at),
        "action": event.action,
        "outcome": event.outcome,
        "actor": event.actor_name,
        "pbx": {"id": event.pbx_id, "name": event.pbx_name} if event.pbx_id else None,
        "ivr": {"number": event.ivr_number, "name": said.get("ivr_name", "")} if event.ivr_number else None,
        "change_id": event.change_id,
        "batch_id": event.batch_id,
        "ticket": event.ticket,
        "fields": said.get("fields") or {},
    }


def slack_payload(notice: Notice) -> Mapping[str, Any]:
    lines = [*text_lines_of(notice)]
    for plain, escaped in SLACK_ESCAPES:
        lines = [line.replace(plain, escaped) for line in lines]
    return {"text": "\n".join([*lines, *([link_of(notice)] if settings.SITE_URL else [])])}


def teams_payload(notice: Notice) -> Mapping[str, Any]:
    """Return a card for Teams. Its texts are runs, in which Teams reads no markup."""
    first, *others = text_lines_of(notice)
    weights = [{"weight": "Bolder"}, *({} for _ in others)]
    lines = zip((first, *others), weights, strict=True)
    texts = [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": t, **weight}]} for t, weight in lines]
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "Container", "style": CARD_STYLE.get(notice.severity, "default"), "items": texts}],
        "actions": [{"type": "Action.OpenUrl", "title": "Open in PBX Admin", "url": link_of(notice)}]
        if settings.SITE_URL
        else [],
    }
    card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [card]}


def text_lines_of(notice: Notice) -> list[str]:
    """Return a notice as lines for people."""
    urgent = "CRITICAL: " if notice.severity >= NoticeSeverity.CRITICAL else ""
    where = f"{notice.customer_name}, " if notice.customer_name else ""
    when = f"{where}{notice.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return [f"{urgent}{notice.subject}", *([notice.text] if notice.text else []), when]


def link_of(notice: Notice) -> str:
    """Return where a notice leads. Without SITE_URL nobody knows where this site is: the path alone."""
    return f"{settings.SITE_URL}{notice.path}"


def utc_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


PAYLOADS: Mapping[str, Callable[[Notice], Mapping[str, Any]]] = {
    PayloadForm.STANDARD: standard_payload,
    PayloadForm.SLACK: slack_payload,
    PayloadForm.TEAMS: teams_payload,
}
