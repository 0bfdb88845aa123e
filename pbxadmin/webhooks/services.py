"""Use cases of webhooks: add, edit, rotate the secret, switch on and off, delete, test, and send again.

Each writes its event in one transaction. No event holds a secret, nor more of an address than scheme, host and port.
"""

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from pbxadmin.access.models import Customer, as_named
from pbxadmin.access.names import refuse_unseen, tidy
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import current
from pbxadmin.audit.log import record
from pbxadmin.notices.models import Notice, NoticeSeverity
from pbxadmin.sealed import SealBroken, Sealed, seal
from pbxadmin.yeastar.errors import PbxForbidden, PbxUnreachable
from pbxadmin.yeastar.guard import allowed
from pbxadmin.yeastar.transport import exchanging, resolve

from .deliver import notice_post
from .models import Webhook, WebhookDelivery
from .posting import FORBIDDEN_ADDRESS, PostResult
from .signing import new_hook_secret

OVERLAP = timedelta(days=1)  # in which the secret before a new one signs too
MOST_WEBHOOKS = 20  # of a customer, or of the installation
LONGEST_ADDRESS = 2000
LOOK_UP_S = 1.0
NOT_HTTPS = "Enter an address that begins with https://: what is sent must be encrypted."
WRONG_ADDRESS = "Enter an address such as https://tickets.example.com/hooks/pbx, without a user and a password."


@dataclass(frozen=True)
class HookAddress:
    """An https address that was checked. place: what may be shown of it."""

    text: str
    place: str


def hook_address(text: str) -> HookAddress:
    """Return an address that may be posted to; each POST checks it again. Raises ValidationError that repeats nothing.

    A name is looked up for 1 s. A name without an address is accepted: it may get one.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        raise ValidationError({"address": WRONG_ADDRESS}) from None
    is_plain = re.fullmatch(r"[\x21-\x7e]+", text.strip()) and len(text) <= LONGEST_ADDRESS and len(host) <= 253
    if parts.scheme == "http":
        raise ValidationError({"address": NOT_HTTPS})
    if parts.scheme != "https" or not host or "@" in parts.netloc or parts.fragment or not is_plain:
        raise ValidationError({"address": WRONG_ADDRESS})
    try:
        with exchanging(time.monotonic() + LOOK_UP_S), suppress(PbxUnreachable):
            resolve(host, port, allowed(settings.WEBHOOK_NETWORKS))
    except PbxForbidden:
        raise ValidationError({"address": FORBIDDEN_ADDRESS}) from None
    shown = f"[{host}]" if ":" in host else host
    return HookAddress(text.strip(), f"https://{shown}{'' if port == 443 else f':{port}'}")


def webhook_add(
    *, customer: Customer | None, name: str, address: str, kinds: Sequence[str], form: str
) -> tuple[Webhook, str]:
    """Add an endpoint and return it with its secret, which is shown this once. Raises ValidationError by field.

    customer: None for one of the installation, which is told of all customers.
    """
    name, where, secret = hook_name(name), hook_address(address), new_hook_secret()
    with transaction.atomic():
        if Webhook.objects.filter(customer=customer).count() >= MOST_WEBHOOKS:
            raise ValidationError(f"There are {MOST_WEBHOOKS} webhooks. Delete one first.")
        webhook = Webhook.objects.create(
            customer=customer,
            name=name,
            place=where.place,
            kinds=sorted(kinds),
            form=form,
            made_by_name=current().actor.name,
        )
        seal(webhook, "address", where.text)
        seal(webhook, "secret", secret)
        webhook.save(update_fields=["address", "secret"])
        webhook_event(EventAction.WEBHOOK_ADDED, webhook)
    return webhook, secret


def hook_name(typed: str) -> str:
    """Return the name of an endpoint. Raises ValidationError."""
    name = tidy(typed)
    if not 1 <= len(name) <= 60:
        raise ValidationError({"name": "Enter 1 to 60 characters, to know it by."})
    refuse_unseen(name)
    return name


def webhook_edit(*, webhook: Webhook, name: str, address: str, kinds: Sequence[str], form: str) -> bool:
    """Change an endpoint. address: "" for as it is. False when nothing differs. Raises ValidationError by field."""
    name = hook_name(name)
    where = hook_address(address) if address else None
    with transaction.atomic():
        row = Webhook.objects.select_for_update().get(pk=webhook.pk)
        before = hook_facts(row)
        row.name, row.kinds, row.form = name, sorted(kinds), form
        is_moved = where is not None and opened_or_none(row.address) != where.text
        if where and is_moved:
            row.place = where.place
            seal(row, "address", where.text)
        if hook_facts(row) == before and not is_moved:
            return False
        row.save()
        webhook_event(EventAction.WEBHOOK_EDITED, row, was=before, is_address_new=is_moved)
    return True


def webhook_rotate(*, webhook: Webhook) -> str:
    """Give an endpoint a new secret and return it, which is shown this once. The one before signs too for a day."""
    secret = new_hook_secret()
    with transaction.atomic():
        row = Webhook.objects.select_for_update().get(pk=webhook.pk)
        old = opened_or_none(row.secret)
        row.old_until = timezone.now() + OVERLAP if old else None
        if old:
            seal(row, "old_secret", old)
        seal(row, "secret", secret)
        row.save(update_fields=["secret", "old_secret", "old_until"])
        webhook_event(EventAction.WEBHOOK_ROTATED, row)
    return secret


def webhook_switch(*, webhook: Webhook, on: bool) -> bool:
    """Switch an endpoint on or off. False when it is so already.

    While it is off nothing is collected for it; what waited before goes when it is on again.
    """
    with transaction.atomic():
        row = Webhook.objects.select_for_update().get(pk=webhook.pk)
        if row.is_on == on:
            return False
        row.off_at, row.off_why = (None, "") if on else (timezone.now(), "")
        row.failing_since = row.failed_at = row.paused_until = None
        row.save()
        webhook_event(EventAction.WEBHOOK_ON if on else EventAction.WEBHOOK_OFF, row)
    return True


def webhook_delete(*, webhook: Webhook) -> None:
    """Delete an endpoint with all that waits for it."""
    with transaction.atomic():
        webhook_event(EventAction.WEBHOOK_DELETED, webhook)
        webhook.delete()


def webhook_test(*, webhook: Webhook) -> PostResult:
    """Post a message to an endpoint, on or off, that only says that it is a test. It waits for the answer, 10 s."""
    now = timezone.now()
    notice = Notice(
        kind="test",
        severity=NoticeSeverity.INFORMATION,
        customer_id=webhook.customer_id,
        customer_name=webhook.customer.name if webhook.customer else "",
        condition=f"test/{webhook.pk}",
        subject=f"A test of the webhook “{webhook.name}”",
        text=f"Sent by {current().actor.name}. Nothing is wrong.",
        path=reverse("webhooks:webhook-page", args=[webhook.pk]),
        event_id=0,
        at=now,
        due_at=now,
    )
    result = notice_post(webhook, f"msg_{uuid4().hex}", notice)
    with transaction.atomic():
        Webhook.objects.filter(pk=webhook.pk).update(answer=result.words, tried_at=now)
        webhook_event(EventAction.WEBHOOK_TESTED, webhook, sentence=result.words)
    return result


def delivery_send_again(*, delivery: WebhookDelivery) -> bool:
    """Send what was given up once more, from its first try on. False when it is not given up any more."""
    dead = WebhookDelivery.objects.filter(pk=delivery.pk, state=WebhookDelivery.State.DEAD)
    columns: dict[str, Any] = {"state": WebhookDelivery.State.WAITING, "tries": 0, "due_at": timezone.now()}
    return dead.update(first_tried_at=None, ended_at=None, **columns) == 1


def opened_or_none(sealed: Sealed) -> str | None:
    """Return a secret, None when its key is gone: another one can be entered all the same."""
    try:
        return sealed.open()
    except SealBroken:
        return None


def hook_facts(webhook: Webhook) -> dict[str, Any]:
    return {"name": webhook.name, "place": webhook.place, "kinds": webhook.kinds, "form": webhook.form}


def webhook_event(action: EventAction, webhook: Webhook, **more: Any) -> None:
    """Record an event of an endpoint in the chain of its customer, or of the installation."""
    record(action, customer=as_named(webhook.customer), detail={"webhook": webhook.pk, **hook_facts(webhook), **more})
