"""Use cases of customers, memberships and the end of sessions. Each writes its event in one transaction."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from django.db import transaction
from django.utils import timezone

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record

from .models import Customer, Membership, User, as_named, forget_grants
from .names import saving_a_name
from .roles import Role

FieldChanges = Mapping[str, Mapping[str, Any]]


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
    """Give a customer another name. Raises as customer_create does; `customer` itself is not changed."""
    renamed = Customer.objects.get(pk=customer.pk)
    with saving_a_name(renamed.full_clean):
        renamed.refresh_from_db(from_queryset=Customer.objects.select_for_update())
        before, renamed.name = renamed.name, name
        renamed.full_clean()
        if renamed.name != before:
            renamed.save(update_fields=["name", "folded", "words"])
            fields = {"name": {"before": before, "asked": renamed.name}}
            record(EventAction.CUSTOMER_EDITED, customer=(renamed.pk, renamed.name), fields=fields)
    return renamed


def customer_set_rules(*, customer: Customer, values: Mapping[str, Any]) -> None:
    """Store the rules and working hours of a customer. values: validated columns by name."""
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
    """Make everything of a customer read-only. It stays readable, with its history."""
    customer_set_archived(customer, timezone.now(), EventAction.CUSTOMER_ARCHIVED)


def customer_unarchive(*, customer: Customer) -> None:
    customer_set_archived(customer, None, EventAction.CUSTOMER_UNARCHIVED)


def customer_set_archived(customer: Customer, at: datetime | None, action: EventAction) -> None:
    """Archive or unarchive a customer. Does nothing if that is its state already."""
    with transaction.atomic():
        others = Customer.objects.filter(pk=customer.pk, archived_at__isnull=at is not None)
        if others.update(archived_at=at):
            record(action, customer=(customer.pk, customer.name))


def membership_grant(*, user: User, role: Role, customer: Customer | None, ends_on: date | None = None) -> bool:
    """Give a user a role for a customer, or for all (None). Returns False if they have it already, with the same end.

    ends_on: the last day, None for no end. An existing membership gets the new end.
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
    """Change the last day of a role (None: no end). Returns False if that is its last day already."""
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
    """Take a role away and sign the user out, because their open pages show what they may no longer see."""
    with transaction.atomic():
        sessions_end(user=membership.user)  # first: chains are taken in one order, see person_event
        membership_event(EventAction.MEMBERSHIP_ENDED, membership)
        membership.delete()
    forget_grants(membership.user)


def sessions_end(*, user: User, but: str | None = None) -> int:
    """Sign a user out everywhere except in the session with this key. Returns how many live sessions ended."""
    with transaction.atomic():
        sessions = user.sessions.exclude(session_key=but or "")
        ended = sessions.filter(expire_date__gt=timezone.now()).count()
        sessions.delete()
        if ended:
            record(EventAction.SESSION_ENDED, detail={"user_id": user.pk, "user": user.username, "sessions": ended})
    return ended


def membership_event(action: EventAction, membership: Membership, fields: FieldChanges | None = None) -> None:
    """Record an event in the chain of the customer, or of the installation if the membership is for all customers."""
    customer, ends_on = membership.customer, membership.ends_on
    detail = {"role": membership.role, "ends_on": ends_on.isoformat() if ends_on else ""}
    record(
        action,
        customer=as_named(customer),
        fields=fields,
        detail=person_detail(membership.user) | detail,
    )


def day_in_words(day: date | None) -> str:
    return day.isoformat() if day else "no end"


def person_detail(person: User) -> dict[str, Any]:
    return {"user_id": person.pk, "user": person.username}
