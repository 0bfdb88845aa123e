"""What is done to customers, people, memberships and sessions. Each use case writes its event in one transaction."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record

from .grants import forget_grants
from .models import Customer, Membership, Session, User, as_named
from .names import saving_a_name
from .roles import Role

Fields = Mapping[str, Mapping[str, Any]]


def customer_create(*, name: str) -> Customer:
    """Add a customer. Raises ValidationError when the name is empty, taken, or has characters that cannot be seen."""
    customer = Customer(name=name)
    with saving_a_name(customer.full_clean):
        customer.full_clean()
        customer.save()
        record(
            EventAction.CUSTOMER_ADDED, customer=(customer.pk, customer.name), fields={"name": {"asked": customer.name}}
        )
    return customer


def customer_rename(*, customer: Customer, name: str) -> Customer:
    """Give a customer another name. Raises as customer_create does; `customer` itself is left alone."""
    renamed = Customer.objects.get(pk=customer.pk)
    with saving_a_name(renamed.full_clean):
        renamed.refresh_from_db(from_queryset=Customer.objects.select_for_update())
        before, renamed.name = renamed.name, name
        renamed.full_clean()
        if renamed.name != before:
            renamed.save(update_fields=["name", "folded"])
            fields = {"name": {"before": before, "asked": renamed.name}}
            record(EventAction.CUSTOMER_EDITED, customer=(renamed.pk, renamed.name), fields=fields)
    return renamed


def customer_set_rules(*, customer: Customer, values: Mapping[str, Any]) -> None:
    """Say what changes of a customer need, and when its people are at work. values: columns by name, checked."""
    with transaction.atomic():
        now = Customer.objects.select_for_update().get(pk=customer.pk)
        changed = {name: value for name, value in values.items() if getattr(now, name) != value}
        if not changed:
            return
        fields = {name: {"before": shown(getattr(now, name)), "asked": shown(value)} for name, value in changed.items()}
        Customer.objects.filter(pk=customer.pk).update(**changed)
        record(EventAction.CUSTOMER_EDITED, customer=(now.pk, now.name), fields=fields)


def shown(value: Any) -> str:
    return "" if value is None else f"{value:%H:%M}" if isinstance(value, time) else str(value)


def customer_archive(*, customer: Customer) -> None:
    """Let nothing of a customer be changed any more. All of it, and its history, stays readable."""
    customer_set_archived(customer, timezone.now(), EventAction.CUSTOMER_ARCHIVED)


def customer_unarchive(*, customer: Customer) -> None:
    customer_set_archived(customer, None, EventAction.CUSTOMER_UNARCHIVED)


def customer_set_archived(customer: Customer, at: datetime | None, action: EventAction) -> None:
    """Nothing when it is so already."""
    with transaction.atomic():
        others = Customer.objects.filter(pk=customer.pk, archived_at__isnull=at is not None)
        if others.update(archived_at=at):
            record(action, customer=(customer.pk, customer.name))


def membership_grant(*, user: User, role: Role, customer: Customer | None, ends_on: date | None = None) -> bool:
    """Give a user a role for a customer, or for all (None); False when they have it, to the same end.

    ends_on: the last day, None for no end. A membership that is there already gets the new end.
    """
    with transaction.atomic():
        membership, added = Membership.objects.get_or_create(
            user=user, customer=customer, role=role, defaults={"ends_on": ends_on}
        )
        if added:
            membership_event(EventAction.MEMBERSHIP_GRANTED, membership)
        changed = added or membership_set_end(membership=membership, ends_on=ends_on)
    forget_grants(user)
    return changed


def membership_set_end(*, membership: Membership, ends_on: date | None) -> bool:
    """Let a role end on another day, or on none; False when it is the day that stands there already."""
    before = membership.ends_on
    if before == ends_on:
        return False
    with transaction.atomic():
        membership.ends_on = ends_on
        membership.save(update_fields=["ends_on"])
        fields = {"last_day": {"before": day_in_words(before), "asked": day_in_words(ends_on)}}
        membership_event(EventAction.MEMBERSHIP_EDITED, membership, fields)
    forget_grants(membership.user)
    return True


def membership_end(*, membership: Membership) -> None:
    """Take a role away and sign the user out: what they have open would show what is no longer theirs."""
    with transaction.atomic():
        sessions_end(user=membership.user)  # first, see person_event
        membership_event(EventAction.MEMBERSHIP_ENDED, membership)
        membership.delete()
    forget_grants(membership.user)


def sessions_end(*, user: User, but: str | None = None) -> int:
    """Sign a user out everywhere, but in the session with this key. How many sessions that were still alive ended."""
    with transaction.atomic():
        sessions = user.sessions.exclude(session_key=but or "")
        ended = sessions.filter(expire_date__gt=timezone.now()).count()
        sessions.delete()
        if ended:
            record(EventAction.SESSION_ENDED, detail={"user_id": user.pk, "user": user.username, "sessions": ended})
    return ended


def second_factor_reset(*, user: User) -> int:
    """Take all second factors of somebody who lost theirs, and sign them out. How many, without the codes."""
    with transaction.atomic():
        factors = Authenticator.objects.filter(user=user)
        count = factors.exclude(type=Authenticator.Type.RECOVERY_CODES).count()
        factors.delete()
        record(EventAction.SECOND_FACTOR_RESET, detail={"user_id": user.pk, "user": user.username, "factors": count})
        sessions_end(user=user)
    return count


def sessions_expire() -> int:
    """Remove the sessions that have ended by themselves."""
    over = Session.objects.filter(expire_date__lte=timezone.now())
    return over.delete()[0] if over.exists() else 0


def membership_event(action: EventAction, membership: Membership, fields: Fields | None = None) -> None:
    """Into the customer's chain, or the installation's when the membership is for all customers."""
    customer, ends_on = membership.customer, membership.ends_on
    detail = {"role": membership.role, "ends_on": ends_on.isoformat() if ends_on else ""}
    record(
        action,
        customer=as_named(customer),
        fields=fields,
        detail=named(membership.user) | detail,
    )


def day_in_words(day: date | None) -> str:
    return day.isoformat() if day else "no end"


def person_create(*, username: str, name: str, email: str, password: str) -> User:
    """Make an account for somebody who has proven that they read mail to this address. Raises ValidationError by field.

    It has no role and sees nothing. The event is by the new person.
    """
    user = User(username=User.normalize_username(username), first_name=name, email=email)
    user.set_password(password)
    with saving_a_name(user.full_clean):
        user.full_clean()
        user.save()
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
        record(EventAction.PERSON_ADDED, actor=Actor(user.pk, user.display_name), detail=named(user))
    return user


def person_edit(*, user: User, name: str, email: str) -> bool:
    """Correct the name or the e-mail address of somebody; False when both are as they stand.

    The whole name is kept in one field, as people write it. Another address takes the place of those that were proven.
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
        person.save(update_fields=["first_name", "last_name", "email"])
        if "email" in fields:
            EmailAddress.objects.filter(user=person).delete()
        person_event(EventAction.PERSON_EDITED, person, fields=fields)
    return True


def person_disable(*, user: User) -> None:
    """Let somebody sign in no more, and end their sessions. Raises ValidationError for the last site admin."""
    with transaction.atomic():
        refuse_last_admin(user)
        sessions_end(user=user)
        switch(user, "is_active", False, EventAction.PERSON_DISABLED)


def person_enable(*, user: User) -> None:
    """Let somebody sign in again, with the roles that they have."""
    with transaction.atomic():
        switch(user, "is_active", True, EventAction.PERSON_ENABLED)


def site_admin_give(*, user: User) -> None:
    with transaction.atomic():
        switch(user, "is_superuser", True, EventAction.PERSON_ADMIN_GIVEN)


def site_admin_take(*, user: User) -> None:
    """Leave somebody with their roles only, and end their sessions. Raises ValidationError for the last site admin."""
    with transaction.atomic():
        refuse_last_admin(user)
        sessions_end(user=user)
        switch(user, "is_superuser", False, EventAction.PERSON_ADMIN_TAKEN)


def switch(user: User, field: str, value: bool, action: EventAction) -> None:
    """Nothing when it is so already."""
    person = locked(user)
    if getattr(person, field) == value:
        return
    setattr(person, field, value)
    person.save(update_fields=[field])
    person_event(action, person, concerns_all=field == "is_superuser")


def locked(user: User) -> User:
    return User.objects.select_for_update().get(pk=user.pk)


def refuse_last_admin(user: User) -> None:
    """Holds the rows of all site admins, in order, so that two of them cannot put each other out at once."""
    admins = User.objects.select_for_update().filter(is_superuser=True, is_active=True).order_by("pk")
    if list(admins) == [user]:
        raise ValidationError(f"{user.display_name} is the last site admin. Make somebody else one first.")


def person_event(
    action: EventAction, person: User, *, fields: Fields | None = None, concerns_all: bool = False
) -> None:
    """Into the chain of each customer that the person has a role for.

    And into the installation's, when they are a site admin, have a role for all customers, or none at all. Chains are
    taken in one order, the installation's first, so that no two writers wait for each other.
    """
    memberships = person.memberships.current().select_related("customer").order_by("customer_id")
    customers = dict.fromkeys(membership.customer for membership in memberships)
    chains = [(customer.pk, customer.name) for customer in customers if customer]
    if concerns_all or person.is_superuser or None in customers or not customers:
        record(action, fields=fields, detail=named(person))
    for customer in chains:
        record(action, customer=customer, fields=fields, detail=named(person))


def named(person: User) -> dict[str, Any]:
    return {"user_id": person.pk, "user": person.username}
