"""From notices to endpoints: which of them is told of which notice. Called where notices are addressed to people."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from pbxadmin.audit.models import Event
from pbxadmin.notices.models import Notice

from .models import Webhook, WebhookDelivery

DELIVERIES_KEPT = timedelta(days=30)


def hook_deliveries_write(*, notices: Sequence[Notice], **_: Any) -> None:
    """Write a delivery for each of these notices and each endpoint that is told of it, in their order."""
    customers = {notice.customer_id for notice in notices if notice.customer_id}
    endpoints = list(Webhook.objects.switched_on().filter(Q(customer=None) | Q(customer__in=customers)))
    if not endpoints:
        return
    now, things = timezone.now(), things_of(notices)
    rows = [
        WebhookDelivery(
            webhook=webhook,
            notice=notice,
            condition=notice.condition,
            thing=things.get(notice.event_id, notice.condition),
            made_at=now,
            due_at=now,
        )
        for notice in notices
        for webhook in endpoints
        if webhook.wants(notice)
    ]
    WebhookDelivery.objects.bulk_create(rows, batch_size=2000, ignore_conflicts=True)


def things_of(notices: Collection[Notice]) -> Mapping[int, str]:
    """Return the IVR that each event is about, where there is one. What is wrong with it has many conditions."""
    events = Event.objects.filter(pk__in={notice.event_id for notice in notices}).exclude(ivr_number="")
    rows = events.order_by().values_list("pk", "pbx_id", "ivr_number")
    return {pk: f"ivr/{pbx_id}/{number}" for pk, pbx_id, number in rows}


def hook_deliveries_forget() -> int:
    """Delete deliveries of more than 30 days ago, whatever became of them. Return how many."""
    return WebhookDelivery.objects.filter(made_at__lt=timezone.now() - DELIVERIES_KEPT).delete()[0]
