"""Use cases of people and their second factors. Each writes its event in one transaction."""

from collections.abc import Mapping
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from pbxadmin.access.models import Session, User
from pbxadmin.access.names import saving_a_name
from pbxadmin.access.services import FieldChanges, person_detail, sessions_end
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.web.times import TIME_ZONES


def second_factor_reset(*, user: User) -> int:
    """Remove all second factors of a user and sign them out. Returns how many, not counting recovery codes."""
    with transaction.atomic():
        factors = Authenticator.objects.filter(user=user)
        count = factors.exclude(type=Authenticator.Type.RECOVERY_CODES).count()
        factors.delete()
        record(EventAction.SECOND_FACTOR_RESET, detail={"user_id": user.pk, "user": user.username, "factors": count})
        sessions_end(user=user)
    return count


def sessions_expire() -> int:
    """Delete expired sessions. Returns how many."""
    over = Session.objects.filter(expire_date__lte=timezone.now())
    return over.delete()[0] if over.exists() else 0


def person_create(*, username: str, name: str, email: str, password: str) -> User:
    """Create an account without roles for the verified owner of an e-mail address. Raises ValidationError by field.

    The new person is the actor of the event.
    """
    user = User(username=User.normalize_username(username), first_name=name, email=email)
    user.set_password(password)
    with saving_a_name(user.full_clean):
        user.full_clean()
        user.save()
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
        record(EventAction.PERSON_ADDED, actor=Actor(user.pk, user.display_name), detail=person_detail(user))
    return user


def person_edit(*, user: User, name: str, email: str) -> bool:
    """Change the name or the e-mail address of a person. Returns False if both stay as they are.

    The full name is stored in one field, as people write it. A new address replaces the verified ones.
    """
    with transaction.atomic():
        person = locked(user)
        before = {"name": person.get_full_name(), "email": person.email}
        asked = {"name": name, "email": email}
        fields = {key: {"before": before[key], "asked": asked[key]} for key in asked if asked[key] != before[key]}
        if not fields:
            return False
        person.first_name, person.last_name, person.email = name, "", email
        person.full_clean(exclude=["username", "folded", "password"])
        person.save(update_fields=["first_name", "last_name", "email", "words"])
        if "email" in fields:
            EmailAddress.objects.filter(user=person).delete()
        person_event(EventAction.PERSON_EDITED, person, fields=fields)
    return True


def time_zone_choose(*, person: User, time_zone: str) -> None:
    """Store in which time zone a person sees times. Raises ValueError for one that is not known."""
    if time_zone not in TIME_ZONES:
        raise ValueError(f"no time zone {time_zone!r}")
    User.objects.filter(pk=person.pk).update(time_zone=time_zone)
    person.time_zone = time_zone


def person_disable(*, user: User) -> None:
    """Stop a person from signing in, and end their sessions. Raises ValidationError for the last site admin."""
    with transaction.atomic():
        refuse_last_admin(user)
        sessions_end(user=user)
        switch(user, "is_active", False, EventAction.PERSON_DISABLED)


def person_enable(*, user: User) -> None:
    """Let a person sign in again, with the roles that they still have."""
    with transaction.atomic():
        switch(user, "is_active", True, EventAction.PERSON_ENABLED)


def site_admin_give(*, user: User) -> None:
    """Make a person a site admin. Raises ValidationError for a service account."""
    if user.is_service:
        raise ValidationError("A service account has roles for customers. It cannot be a site admin.")
    with transaction.atomic():
        switch(user, "is_superuser", True, EventAction.PERSON_ADMIN_GIVEN)


def site_admin_take(*, user: User) -> None:
    """Make a site admin an ordinary user, and end their sessions. Raises ValidationError for the last site admin."""
    with transaction.atomic():
        refuse_last_admin(user)
        sessions_end(user=user)
        switch(user, "is_superuser", False, EventAction.PERSON_ADMIN_TAKEN)


def switch(user: User, field: str, value: bool, action: EventAction) -> None:
    """Set a flag of a person and record it. Does nothing if the flag has that value already."""
    person = locked(user)
    if getattr(person, field) == value:
        return
    setattr(person, field, value)
    person.save(update_fields=[field])
    person_event(action, person, concerns_all=field == "is_superuser")


def locked(user: User) -> User:
    return User.objects.select_for_update().get(pk=user.pk)


def refuse_last_admin(user: User) -> None:
    """Raise ValidationError for the last site admin.

    Locks the rows of all site admins, in order, so that two of them cannot remove each other at the same moment.
    """
    admins = User.objects.select_for_update().filter(is_superuser=True, is_active=True).order_by("pk")
    if list(admins) == [user]:
        raise ValidationError(f"{user.display_name} is the last site admin. Make somebody else one first.")


def person_event(
    action: EventAction,
    person: User,
    *,
    fields: FieldChanges | None = None,
    more: Mapping[str, Any] | None = None,
    concerns_all: bool = False,
) -> None:
    """Record an event in the chain of each customer that the person has a role for. more: further details.

    Record it in the installation's chain too if they are a site admin, have a role for all customers, or no role.
    Chains are locked in one order, the installation's first, so that no two writers wait for each other.
    """
    memberships = person.memberships.current().select_related("customer").order_by("customer_id")
    customers = dict.fromkeys(membership.customer for membership in memberships)
    chains = [(customer.pk, customer.name) for customer in customers if customer]
    detail = person_detail(person) | dict(more or {})
    if concerns_all or person.is_superuser or None in customers or not customers:
        record(action, fields=fields, detail=detail)
    for customer in chains:
        record(action, customer=customer, fields=fields, detail=detail)
