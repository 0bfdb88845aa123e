"""Use cases of API keys and service accounts. Each writes its event in one transaction."""

import uuid
from collections.abc import Sequence
from datetime import date, timedelta
from ipaddress import ip_network

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from pbxadmin.access.models import Customer, User
from pbxadmin.access.names import refuse_unseen, saving_a_name, tidy
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_grant, person_detail
from pbxadmin.accounts.services import person_event
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import current
from pbxadmin.audit.log import record

from .key_text import KEY_SHOWN_LENGTH, key_digest, new_key_text
from .models import LONGEST_LIFE, ApiKey
from .scopes import Scope

MOST_KEYS = 20  # that work, of one holder
REFUSALS_TOLD = timedelta(hours=1)  # a refused key leaves one event in this time


def api_key_make(
    *, holder: User, name: str, scope: Scope, last_day: date, networks: Sequence[str] = ()
) -> tuple[ApiKey, str]:
    """Make a key and return it with its text, which is stored nowhere. Raises ValidationError by field."""
    name = tidy(name)
    check_key(name, last_day, networks)
    text = new_key_text()
    with transaction.atomic():
        User.objects.select_for_update().get(pk=holder.pk)  # lock: two at once do not both become the last one
        working = holder.api_keys.working()
        if working.filter(name=name).exists():
            raise ValidationError({"name": "There is a key with this name already."})
        if working.count() >= MOST_KEYS:
            raise ValidationError(f"{holder.display_name} has {MOST_KEYS} keys. Revoke one first.")
        key = ApiKey.objects.create(
            holder=holder,
            name=name,
            digest=key_digest(text),
            shown=text[:KEY_SHOWN_LENGTH],
            scope=scope,
            networks=" ".join(networks),
            last_day=last_day,
            made_by_name=current().actor.name,
        )
        key_event(EventAction.API_KEY_MADE, key)
    return key, text


def check_key(name: str, last_day: date, networks: Sequence[str]) -> None:
    """Raise ValidationError by field for what no key can have."""
    problems: dict[str, str] = {}
    if not 1 <= len(name) <= 60:
        problems["name"] = "Enter 1 to 60 characters, to know the key by."
    else:
        refuse_unseen(name)
    today = timezone.localdate()
    if not today <= last_day <= today + LONGEST_LIFE:
        problems["last_day"] = f"Give a day from today to {today + LONGEST_LIFE}: a key lasts a year at most."
    for network in networks:
        try:
            ip_network(network)
        except ValueError:
            problems["networks"] = f"{network[:50]} is no network, such as 192.0.2.0/24."
    if len(" ".join(networks)) > 500:
        problems["networks"] = "These are too many networks."
    if problems:
        raise ValidationError(problems)


def api_key_revoke(*, key: ApiKey) -> bool:
    """End a key at once. False when it was revoked already."""
    with transaction.atomic():
        if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
            return False
        key_event(EventAction.API_KEY_REVOKED, key)
    return True


def key_refusal_record(key: ApiKey, why: str) -> None:
    """Record that a known key was refused, once an hour at most: whoever goes on asking does not fill the log."""
    now = timezone.now()
    told_before = Q(refused_at=None) | Q(refused_at__lt=now - REFUSALS_TOLD)
    with transaction.atomic():
        if ApiKey.objects.filter(told_before, pk=key.pk).update(refused_at=now):
            key_event(EventAction.API_KEY_REFUSED, key, why=why)


def key_event(action: EventAction, key: ApiKey, **more: str) -> None:
    """Record an event of a key in each chain that its holder's roles belong to."""
    detail = {
        "key": key.name,
        "scope": key.scope,
        "last_day": key.last_day.isoformat(),
        "networks": key.network_list,
        **more,
    }
    person_event(action, key.holder, more=detail)


def service_account_make(*, name: str, role: Role, customer: Customer | None, last_day: date | None) -> User:
    """Add an account that no person signs in to, with one role. Raises ValidationError by field.

    customer: None for a role for all customers. last_day: of the role, None for no end.
    """
    name = tidy(name)
    if not 1 <= len(name) <= 100:
        raise ValidationError({"name": "Enter 1 to 100 characters."})
    refuse_unseen(name)
    account = User(username=f"service-{uuid.uuid4().hex[:12]}", first_name=name, is_service=True)
    account.set_unusable_password()
    with saving_a_name(account.full_clean):
        account.full_clean(exclude=["password"])
        account.save()
        record(EventAction.SERVICE_ACCOUNT_ADDED, detail=person_detail(account) | {"name": name})
        membership_grant(user=account, role=role, customer=customer, ends_on=last_day)
    return account
