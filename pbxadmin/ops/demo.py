"""Content of the database for `manage.py demo`. It can be run again: existing rows are left as they are."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from ivr.refresh import refresh_start
from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_create, membership_grant
from pbxadmin.audit.context import SYSTEM
from pbxadmin.fleet.inputs import clean_tags
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_create, pbx_edit
from pbxadmin.web.times import utc_today
from pbxadmin.yeastar.fields import ApiVersion

ACME, BELLWEATHER = "Acme Logistics", "Bellweather Clinics"
# user name, first name, last name, role, customer (None: all), days until it ends
PEOPLE: Sequence[tuple[str, str, str, Role | None, str | None, int | None]] = (
    ("admin", "Site", "Admin", None, None, None),
    ("max", "Max", "Brandt", Role.MANAGER, None, None),
    ("ada", "Ada", "Raman", Role.AUDITOR, None, None),
    ("sue", "Sue", "Marsh", Role.MANAGER, ACME, None),
    ("mara", "Mara", "Lindqvist", Role.HELPDESK, ACME, None),
    ("vic", "Vic", "Osei", Role.VIEWER, ACME, None),
    ("bea", "Bea", "Okafor", Role.HELPDESK, BELLWEATHER, None),
    ("eva", "Eva", "Holm", Role.AUDITOR, BELLWEATHER, 90),  # from outside, for one quarter
)
# By the place in the name of a simulated PBX, such as "ACME-Porto" or "ACME-Porto-2".
COUNTRIES = {
    "HQ": "United Kingdom",
    "Hamburg": "Germany",
    "Leeds": "United Kingdom",
    "Porto": "Portugal",
    "Lyon": "France",
    "Gdansk": "Poland",
    "Turin": "Italy",
    "Cork": "Ireland",
    "Ghent": "Belgium",
    "Malmo": "Sweden",
    "Brno": "Czechia",
    "Graz": "Austria",
    "Tartu": "Estonia",
    "Basel": "Switzerland",
    "Delft": "Netherlands",
    "Seville": "Spain",
    "Patras": "Greece",
    "Varna": "Bulgaria",
    "Oulu": "Finland",
    "Zadar": "Croatia",
}


@contextmanager
def simulated_fleet(count: int) -> Iterator[list[dict[str, Any]]]:
    """Run a fleet in a process of its own, which ends with the block or with ours. Yield a description of each PBX.

    Raises CommandError when it does not start; the process said why on standard error.
    """
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "simulate", "--pbxs", str(count), "--json"]
    command += ["--state", str(settings.DATA_DIR / "fleet.json"), "--until-eof"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)  # noqa: S603
    try:
        assert child.stdout is not None  # noqa: S101  (asked for just above)
        if not (line := child.stdout.readline()):
            raise CommandError("The simulated fleet did not start.")
        yield json.loads(line)
    finally:
        child.terminate()
        child.wait(10)


def fill(fleet: list[dict[str, Any]]) -> dict[str, str]:
    """Add customers, people and PBX records, and start a first refresh. Return the password of each user name."""
    customers = [customer_named(name) for name in (ACME, BELLWEATHER)]
    passwords = kept_passwords()
    known = set(User.objects.values_list("username", flat=True))
    for username, first, last, role, customer, days in PEOPLE:
        if username not in known:
            user = person(username, first, last, passwords[username])
            where = next((one for one in customers if one.name == customer), None)
            ends_on = utc_today() + timedelta(days=days) if days else None
            if role is not None:
                membership_grant(user=user, role=role, customer=where, ends_on=ends_on)
    pbxs = [keep_record(customers[position % 3 == 2], one, position) for position, one in enumerate(fleet)]
    refresh_start(pbxs=pbxs, actor=SYSTEM)
    return passwords


def sign_ins(passwords: dict[str, str]) -> Iterator[str]:
    """Yield lines with user name and password, below a line with their roles for each customer."""
    for customer in (None, ACME, BELLWEATHER):
        people = [(name, role) for name, _, _, role, where, _ in PEOPLE if where == customer]
        roles = ", ".join(role.label.lower() if role else "site admin" for _, role in people)
        yield f"{customer or 'All customers'}: {roles}"
        yield from (f"{name} / {passwords[name]}" for name, _ in people)
        yield ""


def customer_named(name: str) -> Customer:
    return Customer.objects.filter(name=name).first() or customer_create(name=name)


def person(username: str, first: str, last: str, password: str) -> User:
    make = User.objects.create_superuser if username == "admin" else User.objects.create_user
    return make(username, f"{username}@example.com", password, first_name=first, last_name=last)


def kept_passwords() -> dict[str, str]:
    """Return a password for each user name. They are stored beside the keys, so that a second start prints the same."""
    path = settings.DATA_DIR / "demo_sign_ins.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    passwords = {username: kept.get(username) or f"{username}-{secrets.token_hex(5)}" for username, *_ in PEOPLE}
    path.touch(mode=0o600)
    path.write_text(json.dumps(passwords, indent=1))
    return passwords


def keep_record(customer: Customer, simulated: dict[str, Any], position: int) -> Pbx:
    connection = {key: simulated[key] for key in ("scheme", "port", "username", "fingerprint")}
    values = {"name": simulated["name"], "host": "127.0.0.1", "trust": "pin", **connection}
    pbx = Pbx.objects.filter(name=simulated["name"]).select_related("customer").first()
    if pbx is None:
        place = simulated["name"].split("-")[1]
        tags = clean_tags(f"{COUNTRIES[place]}, {'vip' if position % 4 == 0 else ''}")
        values |= {
            "site": f"{place}, {COUNTRIES[place]}",
            "tags": tags,
            "main_numbers": f"03069 990{position:03}",  # nobody's: kept free for films
            "api_version": ApiVersion.V1_0 if position % 4 == 1 else ApiVersion.V1_1,  # which lists inbound routes
        }
        return pbx_create(customer=customer, values=values, password=simulated["password"])
    pbx_edit(pbx=pbx, values=values)
    return pbx
