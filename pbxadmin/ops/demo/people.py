"""Who is in the demo: customers, people with their roles, and their passwords."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.conf import settings

from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_create, membership_grant


class Cast(NamedTuple):
    """A person. customer: by prefix, None for all. days: until the role ends, None for no end."""

    username: str
    first: str
    last: str
    role: Role | None
    customer: str | None
    days: int | None = None


# By the first letters of the names of their PBXs.
CUSTOMERS: Mapping[str, str] = {
    "ACME": "Acme Logistics",
    "BELL": "Bellweather Clinics",
    "CURA": "Cura Pharmacies",
    "DELM": "Delmar Hotels",
    "EAST": "Eastgate Council",
}
PEOPLE: Sequence[Cast] = (
    Cast("admin", "Site", "Admin", None, None),
    Cast("max", "Max", "Brandt", Role.MANAGER, None),
    Cast("ada", "Ada", "Raman", Role.AUDITOR, None),
    Cast("sue", "Sue", "Marsh", Role.MANAGER, "ACME"),
    Cast("mara", "Mara", "Lindqvist", Role.HELPDESK, "ACME"),
    Cast("vic", "Vic", "Osei", Role.VIEWER, "ACME"),
    Cast("bea", "Bea", "Okafor", Role.HELPDESK, "BELL"),
    Cast("eva", "Eva", "Holm", Role.AUDITOR, "BELL", 90),  # from outside, for one quarter
    Cast("cleo", "Cleo", "Hart", Role.HELPDESK, "CURA"),
    Cast("dan", "Dan", "Ferro", Role.MANAGER, "DELM"),
    Cast("esi", "Esi", "Boateng", Role.HELPDESK, "EAST"),
)


def customers_keep() -> dict[str, Customer]:
    """Return the customers by prefix. Those that are not there yet are added."""
    known = {customer.name: customer for customer in Customer.objects.filter(name__in=CUSTOMERS.values())}
    return {prefix: known.get(name) or customer_create(name=name) for prefix, name in CUSTOMERS.items()}


def people_keep(customers: Mapping[str, Customer], passwords: Mapping[str, str]) -> dict[str, User]:
    """Return the people by user name. Those that are not there yet are added, with their roles."""
    known = User.objects.in_bulk([each.username for each in PEOPLE], field_name="username")
    return {each.username: known.get(each.username) or person_add(each, customers, passwords) for each in PEOPLE}


def person_add(one: Cast, customers: Mapping[str, Customer], passwords: Mapping[str, str]) -> User:
    make = User.objects.create_user if one.role else User.objects.create_superuser
    names = {"first_name": one.first, "last_name": one.last}
    user: User = make(one.username, f"{one.username}@example.com", passwords[one.username], **names)
    if one.role:
        ends_on = datetime.now(UTC).date() + timedelta(days=one.days) if one.days else None
        customer = customers[one.customer] if one.customer else None
        membership_grant(user=user, role=one.role, customer=customer, ends_on=ends_on)
    return user


def sign_ins(passwords: Mapping[str, str]) -> Iterator[str]:
    """Yield lines with user name and password, below a line with their roles for each customer."""
    for prefix in (None, *CUSTOMERS):
        people = [each for each in PEOPLE if each.customer == prefix]
        roles = ", ".join(each.role.label.lower() if each.role else "site admin" for each in people)
        yield f"{CUSTOMERS[prefix] if prefix else 'All customers'}: {roles}"
        yield from (f"{each.username} / {passwords[each.username]}" for each in people)
        yield ""


def kept_passwords() -> dict[str, str]:
    """Return a password for each user name. They are stored beside the keys, so that a second start prints the same."""
    path = settings.DATA_DIR / "demo_sign_ins.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    names = [each.username for each in PEOPLE]
    passwords = {username: kept.get(username) or f"{username}-{secrets.token_hex(5)}" for username in names}
    path.touch(mode=0o600)
    path.write_text(json.dumps(passwords, indent=1))
    return passwords
