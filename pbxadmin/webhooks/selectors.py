"""What the pages show of endpoints and of what went to them."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from pbxadmin.notices.kinds import NOTICE_KINDS

from .models import Webhook, WebhookDelivery

STATE_TONES = {
    WebhookDelivery.State.WAITING: ("warn", "clock", "Waits"),
    WebhookDelivery.State.SENT: ("ok", "check-circle", "Taken"),
    WebhookDelivery.State.DEAD: ("bad", "exclamation-circle", "Given up"),
    WebhookDelivery.State.DROPPED: ("calm", "no-symbol", "Not sent"),
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


def kind_labels(webhook: Webhook) -> list[str]:
    return [kind.look.label for name, kind in NOTICE_KINDS.items() if name in webhook.kinds]
