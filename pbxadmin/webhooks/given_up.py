"""What is told of an endpoint that fails: a message was given up, once while any is, or it was switched off."""

from django.utils import timezone

from pbxadmin.access.models import as_named
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.notices.kinds import given_up_key, id_in
from pbxadmin.notices.models import Condition

from .models import Webhook, WebhookDelivery


def message_given_up_note(webhook: Webhook, sentence: str) -> None:
    """Record that a message to an endpoint was given up, unless that is told of this endpoint and still so.

    webhook: locked, so that two workers do not tell it twice.
    """
    if Condition.objects.still_open().filter(key=given_up_key(webhook.pk)).exists():
        return
    failure_event(EventAction.WEBHOOK_MESSAGE_GIVEN_UP, webhook, sentence=sentence)


def failure_event(action: EventAction, webhook: Webhook, **more: str) -> None:
    """Record what became of an endpoint that fails, in the chain of its customer, or of the installation."""
    detail = {"webhook": webhook.pk, "name": webhook.name, "place": webhook.place, **more}
    record(action, customer=as_named(webhook.customer), detail=detail)


def given_up_close() -> int:
    """End what was told of endpoints to which no message is given up any more. Return how many.

    Each was sent again, or forgotten.
    """
    told = Condition.objects.still_open().filter(key__startswith=given_up_key(""))
    keys = {id_in(key): key for key in told.values_list("key", flat=True)}
    if not keys:
        return 0
    dead = WebhookDelivery.objects.filter(webhook__in=keys, state=WebhookDelivery.State.DEAD)
    over = keys.keys() - set(dead.order_by().values_list("webhook_id", flat=True).distinct())
    return told.filter(key__in=[keys[pk] for pk in over]).update(closed_at=timezone.now())
