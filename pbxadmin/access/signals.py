"""Sign-in, failed sign-in and sign-out, into the installation's chain of the audit log."""

from typing import TYPE_CHECKING, Any

from allauth.account.signals import user_logged_in
from django.contrib.auth.signals import user_logged_out, user_login_failed
from django.dispatch import receiver

from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record

if TYPE_CHECKING:
    from .models import User

TYPED_LENGTH = 150


@receiver(user_logged_in)
def signed_in(user: "User", **_: Any) -> None:
    record("session.signed-in", actor=Actor(user.pk, user.display_name))


@receiver(user_login_failed)
def failed(credentials: dict[str, Any], **_: Any) -> None:
    """Keeps the user name as it was typed, never the password."""
    record("session.failed", detail={"user": str(credentials.get("username", ""))[:TYPED_LENGTH]})


@receiver(user_logged_out)
def signed_out(user: "User | None", **_: Any) -> None:
    if user is not None:
        record("session.signed-out", actor=Actor(user.pk, user.display_name))
