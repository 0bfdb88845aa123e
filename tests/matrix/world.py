"""Two customers, each with one of everything that a page can show."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from django.test import Client
from django.utils import timezone

from ivr.changes.plan import change_plan
from ivr.forms import opened_now
from ivr.models import Change, Ivr
from ivr.refresh import refresh_start
from pbxadmin.access.models import Customer, User
from pbxadmin.access.reauthentication import AUTHENTICATED_AT
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_grant
from pbxadmin.accounts.invitations import invitation_create
from pbxadmin.accounts.models import Invitation
from pbxadmin.api.scopes import Scope
from pbxadmin.api.services import api_key_make
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.batches.services import Chosen, Pace, batch_plan
from pbxadmin.fleet.imports import import_store
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.saved_filters import filter_save
from pbxadmin.notices.models import Condition, Notice, NoticeMail
from pbxadmin.notices.services import route_add
from pbxadmin.policies.models import PolicyException, Violation
from pbxadmin.policies.services import policy_add, violation_accept
from pbxadmin.review.desk import desk_read
from pbxadmin.review.models import DeskItem
from pbxadmin.review.periods import month, period_add
from pbxadmin.webhooks.models import WebhookDelivery
from pbxadmin.webhooks.services import webhook_add
from pbxadmin.yeastar.readings import IvrSettings
from tests.factories import make_customer, make_outside, make_pbx, make_snapshots, make_user

# In the order of what they may: nobody's right is used up by somebody before.
ROLES = ("anonymous", "no role", "wrong customer", *Role.values, "site admin")
OF_THEM = (
    "Bellweather",
    "BELL-SECRET",
    "7654321",
    "Bell_Menu",
    "zanzibar",
    "0999-bell",
    "bell-notes",
    "Beatrix",
    "BT-77",
)
OF_US = (
    "Northwind",
    "NORTH-SECRET",
    "6512345",
    "North_Menu",
    "yokohama",
    "0888-north",
    "north-notes",
    "Anselm",
    "AT-66",
)


@dataclass
class Side:
    """One customer and what belongs to it."""

    customer: Customer
    person: User
    pbx: Pbx
    number: str
    change: Change
    conflict: Change
    event: Event
    item: DeskItem
    ids: dict[str, Any]

    def path(self, pattern: str) -> str:
        return pattern.format(**self.ids)


def make_side(words: tuple[str, ...]) -> Side:
    customer_name, pbx_name, number, ivr_name, site, numbers, notes, person_name, ticket = words
    customer = make_customer(customer_name)
    person = make_user("helpdesk", customer, username=f"{person_name}-user", first_name=person_name, email="")
    described = {"site": site, "main_numbers": numbers, "notes": notes}
    pbx = make_pbx(customer, name=pbx_name, serial="1", other_serial="2", **described)
    settings = IvrSettings(number=number, name=ivr_name, response_timeout="3", digit_timeout="3", prompt_repeat="3")
    make_snapshots(pbx, settings)
    actor = Actor(person.pk, person.display_name)

    def plan(**wanted: str) -> Change:
        opened = opened_now(pbx, settings, timezone.now())
        return change_plan(pbx=pbx, opened=opened, wanted=wanted, actor=actor, reason=notes, ticket=ticket)

    change, conflict = plan(response_timeout="4"), plan(response_timeout="5")
    live = settings.values() | {"response_timeout": "9"}
    Change.objects.filter(pk=conflict.pk).update(status=Change.Status.CONFLICT, live=live)
    conflict.refresh_from_db()
    named: dict[str, Any] = {"customer": (customer.pk, customer.name), "pbx": (pbx.pk, pbx.name)}
    event = record(
        EventAction.CHANGE_OUTCOME, outcome="unknown", ivr=(number, ivr_name), ticket=ticket, actor=actor, **named
    )
    outside = make_outside(pbx, number, ivr=(number, ivr_name), fields={})
    policies = [
        policy_add(
            customer=customer,
            values={
                "title": f"{site} waits",
                "reason": notes,
                "severity": "low",
                "field": "response_timeout",
                "comparison": "is",
                "value": value,
                "tag": "",
            },
            actor=actor,
        )
        for value in ("5", "6")
    ]
    open_one, accepted = (Violation.objects.get(policy=policy) for policy in policies)
    accept: dict[str, Any] = {"value": "3", "reason": notes, "ends_on": timezone.now().date()}
    violation_accept(violation=accepted, actor=actor, **accept)
    today = timezone.now().date()
    period = period_add(customer=customer, starts_on=month(today)[0], ends_on=month(today)[1], by=person_name)
    desk_read()
    offer: dict[str, Any] = {"email": f"{site}@example.com", "name": person_name, "role": Role.VIEWER, "ends_on": None}
    invitation, _ = invitation_create(by=person, customer=customer, **offer)
    Invitation.objects.filter(pk=invitation.pk).update(renewed_at=timezone.now() - timedelta(hours=1))
    chosen = Chosen(customer.pk, customer.name, pbx.pk, pbx.name, number, ivr_name, {"response_timeout": "6"}, {})
    batch = batch_plan(
        chosen=[chosen], wanted=dict(chosen.asked), pace=Pace(), actor=actor, reason=notes, ticket=ticket
    )
    condition = Condition.objects.get(key=f"outside/{outside.pk}")
    route = route_add(customer=customer, address=f"{site}@example.com", kind="", least=2, by=person)
    mail = NoticeMail.objects.create(person=person, due_at=timezone.now(), state=NoticeMail.State.DEAD)
    hook, _ = webhook_add(
        customer=customer, name=f"{site} hook", address="https://127.0.0.1:9/", kinds=["pbx"], form="standard"
    )
    delivery = WebhookDelivery.objects.create(
        webhook=hook, notice=Notice.objects.latest("pk"), due_at=timezone.now(), state=WebhookDelivery.State.DEAD
    )
    key, _ = api_key_make(holder=person, name=f"{site} key", scope=Scope.READ, last_day=today)
    security_key = Authenticator.objects.create(user=person, type="webauthn", data={"name": notes, "credential": {}})
    ids = {
        "api_key": key.pk,
        "security_key": security_key.pk,
        "condition": condition.pk,
        "route": route.pk,
        "mail": mail.pk,
        "webhook": hook.pk,
        "delivery": delivery.pk,
        "batch": batch.pk,
        "ivr": Ivr.objects.get(pbx=pbx).pk,
        "customer": customer.pk,
        "person": person.pk,
        "membership": person.memberships.get().pk,
        "invitation": invitation.pk,
        "pbx": pbx.pk,
        "number": number,
        "change": change.pk,
        "conflict": conflict.pk,
        "event": event.pk,
        "outside": outside.pk,
        "period": period.pk,
        "policy": policies[0].pk,
        "violation": open_one.pk,
        "exception": PolicyException.objects.get(policy=policies[1]).pk,
        "import": import_store(person, b"customer,name,host\n").pk,
        "saved_filter": filter_save(
            owner=person, list_="pbxs", name=f"{site} only", query=f"q={site}", customer=customer
        ).pk,
        "refresh": refresh_start(pbxs=[pbx], actor=actor).pk,
    }
    return Side(customer, person, pbx, number, change, conflict, event, DeskItem.objects.get(event_id=event.pk), ids)


def client_for(person: User | None, **options: Any) -> Client:
    """Return a client of somebody who has just signed in, or of nobody."""
    client = Client(**options)
    if person is not None:
        client.force_login(person)
        session = client.session
        session[AUTHENTICATED_AT] = time.time()
        session.save()
    return client


@dataclass
class World:
    us: Side
    them: Side
    people: dict[str, User | None]


def make_world() -> World:
    us, them = make_side(OF_US), make_side(OF_THEM)
    people: dict[str, User | None] = {"anonymous": None, "no role": make_user()}
    foreign = make_user("manager", them.customer)
    for role in Role:
        membership_grant(user=foreign, role=role, customer=them.customer)
    people["wrong customer"] = foreign
    for name in Role.values:
        people[name] = make_user(name, us.customer)
    people["site admin"] = make_user(is_superuser=True)
    return World(us, them, people)
