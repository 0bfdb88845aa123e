"""What the pages show of endpoints and of what went to them."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from pbxadmin.notices.kinds import NOTICE_KINDS
from pbxadmin.web.words import Look

from .models import Webhook, WebhookDelivery

DELIVERY_LOOKS = {
    WebhookDelivery.State.WAITING: Look("Waits", "warn", "clock"),
    WebhookDelivery.State.SENT: Look("Taken", "ok", "check-circle"),
    WebhookDelivery.State.DEAD: Look("Given up", "bad", "exclamation-circle"),
    WebhookDelivery.State.DROPPED: Look("Not sent", "calm", "no-symbol"),
}


@dataclass(frozen=True)
class WebhookRow:
    """An endpoint as the list shows it."""

    webhook: Webhook
    waiting: int
    dead: int
    kinds: Sequence[str]


def webhook_rows(webhooks: Sequence[Webhook]) -> list[WebhookRow]:
    """Return these endpoints with what waits for each and what was given up, in one query."""
    open_ones = WebhookDelivery.objects.filter(webhook__in=[row.pk for row in webhooks], state__in=("waiting", "dead"))
    counts = {
        (webhook_id, state): count
        for webhook_id, state, count in open_ones.order_by().values_list("webhook_id", "state").annotate(Count("pk"))
    }
    return [
        WebhookRow(row, counts.get((row.pk, "waiting"), 0), counts.get((row.pk, "dead"), 0), kind_labels(row))
        for row in webhooks
    ]


@dataclass(frozen=True)
class DeliveryRow:
    """A message to an endpoint as its page shows it. is_behind: it waits for an earlier one about the same."""

    delivery: WebhookDelivery
    look: Look
    is_behind: bool


def delivery_rows(deliveries: Sequence[WebhookDelivery]) -> list[DeliveryRow]:
    ids = [row.pk for row in deliveries if row.state == WebhookDelivery.State.WAITING]
    first = set(WebhookDelivery.objects.filter(pk__in=ids).first_in_line().values_list("pk", flat=True))
    behind = set(ids) - first
    return [DeliveryRow(row, DELIVERY_LOOKS[WebhookDelivery.State(row.state)], row.pk in behind) for row in deliveries]


def kind_labels(webhook: Webhook) -> list[str]:
    return [kind.look.label for name, kind in NOTICE_KINDS.items() if name in webhook.kinds]
