"""What people do to customers, memberships and sessions. Each use case writes its event in the same transaction."""

from datetime import date

from django.db import transaction
from django.utils import timezone

from pbxadmin.audit.log import record

from .grants import forget_grants
from .models import Customer, Membership, Session, User
from .names import saving_a_name
from .roles import Role


def customer_create(*, name: str) -> Customer:
    """Add a customer. Raises ValidationError when the name is empty, taken, or has characters that cannot be seen."""
    customer = Customer(name=name)
    with saving_a_name(customer.full_clean):
        customer.full_clean()
        customer.save()
        record("customer.added", customer=(customer.pk, customer.name), fields={"name": {"asked": customer.name}})
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
            record("customer.edited", customer=(renamed.pk, renamed.name), fields=fields)
    return renamed


def membership_grant(*, user: User, role: Role, customer: Customer | None, ends_on: date | None = None) -> bool:
    """Give a user a role for a customer, or for all (None); False when they have it, to the same end.

    ends_on: the last day, None for no end. A membership that is there already gets the new end.
    """
    with transaction.atomic():
        membership, added = Membership.objects.get_or_create(
            user=user, customer=customer, role=role, defaults={"ends_on": ends_on}
        )
        if not added and membership.ends_on == ends_on:
            return False
        membership.ends_on = ends_on
        membership.save(update_fields=["ends_on"])
        membership_event("membership.granted", membership)
    forget_grants(user)
    return True


def membership_end(*, membership: Membership) -> None:
    """Take a role away and sign the user out: what they have open would show what is no longer theirs."""
    with transaction.atomic():
        membership_event("membership.ended", membership)
        membership.delete()
        sessions_end(user=membership.user)
    forget_grants(membership.user)


def sessions_end(*, user: User, but: str | None = None) -> int:
    """Sign a user out everywhere, but in the session with this key. How many sessions that were still alive ended."""
    with transaction.atomic():
        sessions = user.sessions.exclude(session_key=but or "")
        ended = sessions.filter(expire_date__gt=timezone.now()).count()
        sessions.delete()
        if ended:
            record("session.ended", detail={"user_id": user.pk, "user": user.username, "sessions": ended})
    return ended


def sessions_expire() -> int:
    """Remove the sessions that have ended by themselves."""
    over = Session.objects.filter(expire_date__lte=timezone.now())
    return over.delete()[0] if over.exists() else 0


def membership_event(action: str, membership: Membership) -> None:
    """Into the customer's chain, or the installation's when the membership is for all customers."""
    customer, user, ends_on = membership.customer, membership.user, membership.ends_on
    record(
        action,
        customer=(customer.pk, customer.name) if customer else None,
        detail={
            "user_id": user.pk,
            "user": user.username,
            "role": membership.role,
            "ends_on": ends_on.isoformat() if ends_on else "",
        },
    )
