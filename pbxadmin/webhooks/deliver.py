"""Sending what waits: by workers, each delivery claimed by one of them, until the endpoint has taken it.

A delivery whose sender died is sent by another one when its claim has run out. So it can be sent twice in one case
only: the sender died after the endpoint had taken it and before that was written down. It then has the same id.

Endpoints take turns, and one where nothing answers pauses for a minute: it must not keep the others waiting.
"""

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone
from django_tasks import task

from ivr.claims import claim_one, still_claimed
from ivr.kicks import kick_once
from pbxadmin.audit.actions import EventAction
from pbxadmin.notices.models import Notice
from pbxadmin.sealed import SealBroken
from pbxadmin.yeastar.guard import allowed

from .given_up import failure_event, given_up_close, message_given_up_note
from .models import FAILING_FOR, Webhook, WebhookDelivery
from .outgoing import hook_deliveries_forget
from .payloads import message_body
from .posting import PostResult, post_checked
from .signing import signed_headers

log = logging.getLogger(__name__)

SEND_CLAIM_S = 60  # longer than a POST may take
SEND_FOR_S = 8.0  # then the task makes room for others; the next tick kicks another one
TRIED_FOR = timedelta(hours=24)  # since the first try
TRY_HOOK_AFTER = [
    *(timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30)),
    *(timedelta(hours=hours) for hours in (1, 2, 4, 6, 10)),
]
PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)  # of an endpoint that asks for it
HOOKS_QUEUE, HOOKS_PRIORITY = "batches", -10
UNSEALED = PostResult(0, "Its secret or its address does not open with the keys of this installation.")


def webhooks_work() -> int:
    """Forget old deliveries, end what is over, and kick who sends those that are due. Return how many are due."""
    hook_deliveries_forget()
    given_up_close()
    due = WebhookDelivery.objects.free(timezone.now()).count()
    if due:
        kick_once(webhooks_send)
    return due


@task(queue_name=HOOKS_QUEUE, priority=HOOKS_PRIORITY)
def webhooks_send() -> None:
    """Send deliveries that are due, for a while. Several may: each delivery is claimed by one."""
    webhooks_slice()


def webhooks_slice() -> None:
    give_up = time.monotonic() + SEND_FOR_S
    while time.monotonic() < give_up and (delivery := next_delivery()):
        delivery_send(delivery)


def next_delivery() -> WebhookDelivery | None:
    """Return what may be sent now to the endpoint that has waited longest for its turn, None for nothing."""
    free = WebhookDelivery.objects.free(timezone.now()).select_related("webhook", "notice")
    return free.order_by(F("webhook__tried_at").asc(nulls_first=True), "pk").first()


def delivery_send(delivery: WebhookDelivery) -> None:
    """Send one delivery, if nobody else does, and write down what came of it."""
    now, webhook = timezone.now(), delivery.webhook
    columns = {"tries": F("tries") + 1, "first_tried_at": Coalesce("first_tried_at", now)}
    if not claim_one(WebhookDelivery.objects.waiting().filter(pk=delivery.pk), SEND_CLAIM_S, **columns):
        return
    delivery.refresh_from_db(fields=["tries", "first_tried_at", "claimed_until"])
    if not webhook.wants(delivery.notice):
        return delivery_end(delivery, WebhookDelivery.State.DROPPED, "It is not told of this any more.")
    Webhook.objects.filter(pk=webhook.pk).update(tried_at=now)
    result = notice_post(webhook, delivery.message_id, delivery.notice)
    if result.is_taken:
        delivery_end(delivery, WebhookDelivery.State.SENT, result.words)
        webhook_worked(webhook, result)
    else:
        delivery_failed(delivery, result)
        webhook_failed(webhook, result)


def notice_post(webhook: Webhook, message_id: str, notice: Notice) -> PostResult:
    """Post a notice to an endpoint, signed. Raises nothing for what the other side does."""
    body = message_body(webhook.form, notice)
    try:
        address = webhook.address.open()
        headers = signed_headers(webhook, message_id, timezone.now(), body)
    except SealBroken:
        return UNSEALED
    return post_checked(address, body.encode(), headers, networks=allowed(settings.WEBHOOK_NETWORKS))


def delivery_end(delivery: WebhookDelivery, state: WebhookDelivery.State, answer: str) -> None:
    """Write down what became of a delivery, unless somebody else claimed it since."""
    columns = {"state": state, "answer": answer, "ended_at": timezone.now(), "claimed_until": None}
    still_claimed(WebhookDelivery.objects.all(), delivery).update(**columns)


def delivery_failed(delivery: WebhookDelivery, result: PostResult) -> None:
    """Try a delivery again later, or give it up when that would be more than a day after its first try.

    A receiver may ask for a later time within that day.
    """
    now, wait = timezone.now(), TRY_HOOK_AFTER[min(delivery.tries, len(TRY_HOOK_AFTER)) - 1]
    last = (delivery.first_tried_at or now) + TRIED_FOR
    log.warning("webhooks: delivery %s was not taken, try %s: %s", delivery.pk, delivery.tries, result.status)
    if now + wait > last:
        return delivery_given_up(delivery, result)
    due = max(now + wait, min(now + timedelta(seconds=result.later_s), last))
    columns = {"due_at": due, "answer": result.words, "claimed_until": None}
    still_claimed(WebhookDelivery.objects.all(), delivery).update(**columns)


def delivery_given_up(delivery: WebhookDelivery, result: PostResult) -> None:
    """Give a delivery up until somebody sends it again, and tell of it."""
    with transaction.atomic():
        webhook = Webhook.objects.select_for_update().get(pk=delivery.webhook_id)
        delivery_end(delivery, WebhookDelivery.State.DEAD, result.words)
        message_given_up_note(webhook, result.words)


# --- how an endpoint does ---


def webhook_worked(webhook: Webhook, result: PostResult) -> None:
    never = {"failing_since": None, "failed_at": None, "paused_until": None}
    Webhook.objects.filter(pk=webhook.pk).update(answer=result.words, **never)


def webhook_failed(webhook: Webhook, result: PostResult) -> None:
    """Note a failure of an endpoint, and switch it off when it is gone, or has done nothing else for three days.

    A failure after three days in which nothing was tried begins anew.
    """
    now = timezone.now()
    with transaction.atomic():
        row = Webhook.objects.select_for_update().filter(pk=webhook.pk).first()
        if row is None:
            return
        if row.failing_since is None or row.failed_at is None or row.failed_at < now - FAILING_FOR:
            row.failing_since = now
        row.failed_at, row.answer = now, result.words
        row.paused_until = pause_after(result, now)
        if row.is_on and result.is_gone:
            switch_off(row, now, "it answered that it is gone for good", f"{result.words} That says it is gone.")
        elif row.is_on and row.failing_since <= now - FAILING_FOR:
            switch_off(row, now, "it failed for three days", f"Nothing was taken for three days. {result.words}")
        row.save()


def pause_after(result: PostResult, now: datetime) -> datetime | None:
    """Return until when an endpoint pauses: a minute where nothing answered, else as it asks, an hour at most."""
    if not result.status:
        return now + PAUSE
    return now + min(timedelta(seconds=result.later_s), LONGEST_PAUSE) if result.later_s else None


def switch_off(webhook: Webhook, now: datetime, why: str, sentence: str) -> None:
    """Switch an endpoint off and record it; the caller saves it. why: as a part of a sentence."""
    webhook.off_at, webhook.off_why = now, sentence[:300]
    told = {"why": why, "failing_since": str(webhook.failing_since), "sentence": webhook.off_why}
    failure_event(EventAction.WEBHOOK_GIVEN_UP, webhook, **told)
