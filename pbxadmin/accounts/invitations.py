"""Use cases of invitations: a role offered by e-mail to the person who opens the link in it.

The link contains 32 random bytes, works once and for seven days, and is not stored: only its digest is. The offer
is checked again when the link is opened: it is void if the sender could no longer give that role.
"""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from smtplib import SMTPException

import structlog
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from pbxadmin.access.models import Customer, Membership, User, as_named
from pbxadmin.access.permissions import last_day_to_give, outlasts, roles_to_give
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_grant
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor, acting, current
from pbxadmin.audit.log import record

from .models import Invitation
from .services import person_create

LIFETIME = timedelta(days=7)
MOST_AN_HOUR = 30  # sent by one person
SEND_AGAIN_AFTER = timedelta(minutes=5)
SUBJECT = "You are invited to PBX Admin"
TEXT = """\
Hello {name},

{inviter} invites you to PBX Admin, as {role}.

To accept, open this link before {expires:%Y-%m-%d %H:%M} UTC. It works once.

{link}

If you did not expect this, do nothing: no account is made.
"""
log = structlog.get_logger(__name__)


class InvitationGone(Exception):
    """Raised when an invitation was used, withdrawn or has expired meanwhile."""


def invitation_create(
    *, by: User, email: str, name: str, role: Role, customer: Customer | None, ends_on: date | None
) -> tuple[Invitation, str]:
    """Offer a role. Returns the invitation and the token for its link, which is not stored.

    Raises ValidationError if this address has the same offer already, or if this person sent too many.
    """
    now, token = timezone.now(), new_invitation_token()
    with transaction.atomic():
        User.objects.select_for_update().get(pk=by.pk)  # locks the inviter, so that the count is right
        if Invitation.objects.filter(invited_by=by, created_at__gt=now - timedelta(hours=1)).count() >= MOST_AN_HOUR:
            raise ValidationError(f"You sent {MOST_AN_HOUR} invitations within an hour. Go on a little later.")
        if Invitation.objects.waiting().filter(email=email, customer=customer, role=role).exists():
            raise ValidationError("This address has such an invitation. Send that one again, under Invitations.")
        invitation = Invitation.objects.create(
            email=email,
            name=name,
            customer=customer,
            role=role,
            ends_on=ends_on,
            invited_by=by,
            token_digest=digest(token),
            expires_at=now + LIFETIME,
        )
        invitation_event(EventAction.INVITATION_SENT, invitation)
    return invitation, token


def invitation_renew(*, invitation: Invitation, by: User) -> str:
    """Replace the link of an invitation; the old one stops working. Returns the new token.

    Raises ValidationError right after the last link, or if the offer outlasts the sender's own role; InvitationGone if
    the invitation is no longer waiting.
    """
    now, token = timezone.now(), new_invitation_token()
    if now - invitation.renewed_at < SEND_AGAIN_AFTER:
        raise ValidationError("It was sent just now. Wait five minutes before you send it again.")
    if not could_be_sent(invitation, by):
        raise ValidationError("It offers a role for longer than you have yours. Send one of your own.")
    values = {"token_digest": digest(token), "renewed_at": now, "expires_at": now + LIFETIME, "invited_by": by}
    with transaction.atomic():
        if not Invitation.objects.waiting().filter(pk=invitation.pk, renewed_at=invitation.renewed_at).update(**values):
            raise InvitationGone
        invitation.refresh_from_db()
        invitation_event(EventAction.INVITATION_SENT, invitation)
    return token


def invitation_withdraw(*, invitation: Invitation) -> None:
    """Withdraw an invitation. Does nothing if it was used or withdrawn already."""
    with transaction.atomic():
        if Invitation.objects.waiting().filter(pk=invitation.pk).update(withdrawn_at=timezone.now()):
            invitation_event(EventAction.INVITATION_WITHDRAWN, invitation)


def invitation_mail(*, invitation: Invitation, link: str) -> bool:
    """Mail the link. Returns False if the mail server did not accept it."""
    until = f" until {invitation.ends_on}" if invitation.ends_on else ""
    role = f"{invitation.get_role_display().lower()} of {invitation.customer or 'all customers'}{until}"
    inviter = invitation.invited_by.display_name
    text = TEXT.format(name=invitation.name, inviter=inviter, role=role, expires=invitation.expires_at, link=link)
    try:
        send_mail(SUBJECT, text, None, [invitation.email])
    except (SMTPException, OSError) as error:
        log.error("invitation not mailed", invitation=invitation.pk, why=type(error).__name__)
        return False
    Invitation.objects.filter(pk=invitation.pk).update(mails=invitation.mails + 1)
    return True


def invitation_with(token_digest: str) -> Invitation | None:
    """Return the open invitation with this digest, or None if there is none or its sender could not send it now."""
    found = Invitation.objects.open().select_related("customer", "invited_by").filter(token_digest=token_digest).first()
    return found if found and could_be_sent(found, found.invited_by) else None


def could_be_sent(invitation: Invitation, by: User) -> bool:
    """Return whether this user may give the offered role until its last day."""
    latest = last_day_to_give(by, invitation.customer_id)
    is_theirs = invitation.role in roles_to_give(by, invitation.customer_id)
    return is_theirs and not outlasts(invitation.ends_on, latest)


def invitation_accept(*, invitation: Invitation, user: User) -> None:
    """Give the offered role to a signed-in person. Raises InvitationGone if the invitation was used meanwhile.

    A person who has the role until a later day keeps that day: an invitation takes nothing away.
    """
    role, customer, ends_on = Role(invitation.role), invitation.customer, invitation.ends_on
    with transaction.atomic():
        use(invitation, user)
        if not Membership.objects.filter(user=user, role=role, customer=customer).until(ends_on).exists():
            membership_grant(user=user, role=role, customer=customer, ends_on=ends_on)


def invitation_accept_new(*, invitation: Invitation, username: str, password: str) -> User:
    """Create an account with the offered role. Its address is verified, since the link was sent there.

    Raises InvitationGone, and ValidationError as person_create does. The new person is the actor of the events.
    """
    with transaction.atomic():
        user = person_create(username=username, name=invitation.name, email=invitation.email, password=password)
        with acting_as(user):
            invitation_accept(invitation=invitation, user=user)
    return user


def use(invitation: Invitation, user: User) -> None:
    used = {"accepted_at": timezone.now(), "accepted_by": user}
    if not Invitation.objects.open().filter(pk=invitation.pk, token_digest=invitation.token_digest).update(**used):
        raise InvitationGone
    invitation_event(EventAction.INVITATION_ACCEPTED, invitation)


@contextmanager
def acting_as(user: User) -> Iterator[None]:
    with acting(replace(current(), actor=Actor(user.pk, user.display_name))):
        yield


def invitation_event(action: EventAction, invitation: Invitation) -> None:
    customer, ends_on = invitation.customer, invitation.ends_on
    detail = {"invitation_id": invitation.pk, "email": invitation.email, "name": invitation.name}
    detail |= {"role": invitation.role, "ends_on": ends_on.isoformat() if ends_on else ""}
    record(action, customer=as_named(customer), detail=detail)


def new_invitation_token() -> str:
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
