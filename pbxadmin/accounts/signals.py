"""Records sign-ins, sign-outs, and changes of passwords and second factors in the installation's chain of the log."""

import time
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.account.signals import authentication_step_completed, password_changed, password_reset, user_logged_in
from allauth.mfa import signals as mfa_signals
from allauth.mfa.models import Authenticator
from django.contrib.auth import signals as django_signals
from django.dispatch import receiver
from django.http import HttpRequest

from pbxadmin.access.models import User
from pbxadmin.access.reauthentication import note_authentication
from pbxadmin.access.services import sessions_end
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.web.times import TIME_ZONES

from .middleware import client_address
from .services import time_zone_choose
from .session_store import SIGNED_IN_AT

TYPED_LENGTH = 150
BROWSER_LENGTH = 300
BROWSER_ZONE = "zone"  # the cookie with the time zone of the browser


@receiver(django_signals.user_logged_in)
def session_begun(request: HttpRequest, **_: Any) -> None:
    """Store in the session what lets its owner recognise it in the list of their sessions."""
    browser = request.headers.get("User-Agent", "")[:BROWSER_LENGTH]
    request.session.update({SIGNED_IN_AT: time.time(), "address": client_address(request), "browser": browser})
    note_authentication(request)


@receiver(user_logged_in)
def signed_in(request: HttpRequest, user: User, **_: Any) -> None:
    proofs = [proof.get("type") or proof["method"] for proof in get_authentication_records(request, user)]
    proofs = ["sso" if proof == "socialaccount" else proof for proof in proofs]
    record(EventAction.SESSION_SIGNED_IN, actor=Actor(user.pk, user.display_name), detail={"by": proofs})


@receiver(user_logged_in)
def time_zone_told(request: HttpRequest, user: User, **_: Any) -> None:
    """Take the time zone that the browser told (theme.js), until the person has one."""
    told = request.COOKIES.get(BROWSER_ZONE, "")
    if not user.time_zone and told in TIME_ZONES:
        time_zone_choose(person=user, time_zone=told)


@receiver(authentication_step_completed)
def confirmed(request: HttpRequest, method: str, reauthenticated: bool = False, **_: Any) -> None:
    if reauthenticated:
        note_authentication(request)
        record(EventAction.SESSION_CONFIRMED, detail={"by": method})


@receiver(django_signals.user_login_failed)
def failed(credentials: dict[str, Any], **_: Any) -> None:
    """Record a failed sign-in with the user name as typed, never with the password."""
    record(EventAction.SESSION_FAILED, detail={"user": str(credentials.get("username", ""))[:TYPED_LENGTH]})


@receiver(django_signals.user_logged_out)
def signed_out(user: User | None, **_: Any) -> None:
    if user is not None:
        record(EventAction.SESSION_SIGNED_OUT, actor=Actor(user.pk, user.display_name))


@receiver(password_changed)
def password_was_changed(request: HttpRequest, user: User, **_: Any) -> None:
    record(EventAction.PASSWORD_CHANGED)
    sessions_end(user=user, but=request.session.session_key)


@receiver(password_reset)
def password_was_reset(user: User, **_: Any) -> None:
    record(EventAction.PASSWORD_RESET, actor=Actor(user.pk, user.display_name))
    sessions_end(user=user)


@receiver([mfa_signals.authenticator_added, mfa_signals.authenticator_reset])
def factor_added(authenticator: Authenticator, **_: Any) -> None:
    is_codes = authenticator.type == Authenticator.Type.RECOVERY_CODES
    record(
        EventAction.SECOND_FACTOR_CODES if is_codes else EventAction.SECOND_FACTOR_ADDED, detail=factor(authenticator)
    )


@receiver(mfa_signals.authenticator_removed)
def factor_removed(authenticator: Authenticator, **_: Any) -> None:
    record(EventAction.SECOND_FACTOR_REMOVED, detail=factor(authenticator))


@receiver(mfa_signals.authentication_failed)
def factor_failed(user: User, **_: Any) -> None:
    record(EventAction.SECOND_FACTOR_FAILED, detail={"user_id": user.pk, "user": user.username})


def factor(authenticator: Authenticator) -> dict[str, str]:
    """Return the kind of a second factor, and the name that its owner gave it."""
    return {"kind": authenticator.type, "name": authenticator.data.get("name", "")}
