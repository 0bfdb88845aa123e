"""Signatures of Standard Webhooks: who has the secret of an endpoint can tell that a message is ours and new."""

import base64
import os
from collections.abc import Mapping
from datetime import datetime

from standardwebhooks import Webhook as StandardWebhook

from .models import Webhook

SECRET_PREFIX, SECRET_BYTES = "whsec_", 32


def new_hook_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


def signed_headers(webhook: Webhook, message_id: str, at: datetime, body: str) -> Mapping[str, str]:
    """Return the headers of a message that is sent at this time. Raises SealBroken.

    While a secret that was replaced still holds, both sign.
    """
    secrets = [webhook.secret, *([webhook.old_secret] if webhook.has_old_secret else [])]
    signatures = [StandardWebhook(secret.open()).sign(message_id, at, body) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
