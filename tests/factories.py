"""Valid rows for tests; a test names only what it is about."""

from typing import Any

from ivr.models import Change
from ivr.open_outside_changes import outside_judge, outside_note
from ivr.snapshots import Listing, listings_save
from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_create, membership_grant
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import SYSTEM
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.fleet.lease import leased
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_create
from pbxadmin.yeastar.readings import IvrSettings

PASSWORD = "correct horse battery"


def make_user(role: str | None = None, customer: Customer | None = None, *, ends_on: Any = None, **fields: Any) -> User:
    """Somebody with a role for a customer, or for all when none is given; without a role, somebody who sees nothing."""
    fields.setdefault("username", f"user{User.objects.count() + 1}")
    user = User.objects.create_user(**{"password": PASSWORD} | fields)
    if role is not None:
        membership_grant(user=user, role=Role(role), customer=customer, ends_on=ends_on)
    return user


def make_customer(name: str = "Acme Logistics") -> Customer:
    return customer_create(name=name)


def make_pbx(customer: Customer | None = None, *, password: str = "Api-Passw0rd", **values: Any) -> Pbx:
    """A PBX record whose address leads nowhere, unless the test's own edge answers for it."""
    values = {
        "name": "ACME-HQ",
        "host": "pbx.invalid",
        "port": 8088,
        "username": "api",
        "trust": "pin",
        "fingerprint": "0" * 64,
    } | values
    return pbx_create(customer=customer or make_customer(), values=values, password=password)


def make_snapshots(pbx: Pbx, *ivrs: IvrSettings) -> None:
    """Keep these as if the PBX had just listed them, and no others."""
    with leased(pbx.pk, "a test") as held:
        listings_save([Listing(pbx, held, ivrs)])


def make_outside(pbx: Pbx, number: str = "6500", action: str = "ivr.changed-outside", **more: Any) -> Event:
    """An outside change of a prompt that was played once and is played 5 times, judged by the snapshots there are."""
    facts: dict[str, Any] = {
        "ivr": (number, "Main_Menu"),
        "fields": {"prompt_repeat": {"before": "1", "found": "5"}} if action == "ivr.changed-outside" else {},
        "detail": {"sentence": "Changed outside PBX Admin, between 09:10 and 09:25 UTC."},
        "actor": SYSTEM,
    }
    named: dict[str, Any] = {"customer": (pbx.customer_id, pbx.customer.name), "pbx": (pbx.pk, pbx.name)}
    event = record(EventAction(action), **named, **facts | more)  # type: ignore[call-arg]
    outside_note(event)
    outside_judge({(pbx.pk, number)})
    return event


def make_change(pbx: Pbx, status: str = "verified", number: str = "6500", **fields: Any) -> Change:
    """A change of one field, as it stands in the database."""
    return Change.objects.create(
        form_key=f"form-{Change.objects.count()}",
        customer_id=pbx.customer_id,
        customer_name=pbx.customer.name,
        pbx_id=pbx.pk,
        pbx_name=pbx.name,
        api_version=pbx.api_version,
        address=pbx.endpoint.base,
        number=number,
        base={"response_timeout": "3"},
        wanted={"response_timeout": "6"},
        status=status,
        planned_by_id=1,
        planned_by_name="Mara Lindqvist",
        **fields,
    )
