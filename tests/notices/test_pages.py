"""Pages of notices: what is open, choices, teams, mails given up, and the link that ends them."""

import re
from datetime import timedelta

import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone

from pbxadmin.access.models import Customer
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import SYSTEM
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.notices.deliver import mails_slice, notices_work
from pbxadmin.notices.models import Condition, NoticeChoice, NoticeMail, NoticeRoute
from pbxadmin.notices.services import route_add
from pbxadmin.webhooks.services import webhook_add
from pbxadmin.yeastar.readings import IvrSettings
from tests.factories import make_outside, make_pbx, make_snapshots, make_user
from tests.mail_server import text_in_mail

pytestmark = pytest.mark.django_db(transaction=True)


def tell_of(customer: Customer, name: str = "ACME-HQ") -> Event:
    pbx = make_pbx(customer, name=name)
    make_snapshots(pbx, IvrSettings(number="6500", name="Main_Menu", prompt_repeat="5"))
    return make_outside(pbx)


def signed_in(client: Client, role: str, customer: Customer | None, **fields: object) -> Client:
    client.force_login(make_user(role, customer, **fields))
    return client


def test_what_is_open_over_all_customers_is_acknowledged_once(client, acme, bellweather):
    event, other = tell_of(acme), tell_of(bellweather, "BELL-HQ")
    signed_in(client, "helpdesk", acme)
    page = client.get("/notices/").content.decode()
    assert re.findall(r'data-condition="([^"]+)"', page) == [f"outside/{event.pk}"]
    assert f"outside/{other.pk}" not in page

    action = re.search(r'action="(/notices/\d+/acknowledge/)"', page)[1]
    changed = re.search(r'name="changed" value="([^"]+)"', page)[1]
    client.post(action, {"changed": "2020-01-01T00:00:00+00:00"})  # as it was seen long ago
    assert not Condition.objects.get(key=f"outside/{event.pk}").is_acknowledged
    client.post(action, {"changed": changed})

    assert Condition.objects.get(key=f"outside/{event.pk}").is_acknowledged
    assert "data-condition" not in client.get("/notices/?state=new").content.decode()
    assert Event.objects.filter(action="condition.acknowledged", customer_id=acme.pk).count() == 1


def test_what_is_open_leads_only_to_pages_that_the_person_may_see(client, acme):
    hook, _ = webhook_add(customer=acme, name="Desk", address="https://127.0.0.1:9/", kinds=["pbx"], form="standard")
    record(
        EventAction.WEBHOOK_GIVEN_UP,
        customer=(acme.pk, acme.name),
        detail={"webhook": hook.pk, "name": hook.name},
        actor=SYSTEM,
    )
    links = {}

    for role in ("viewer", "auditor", "manager"):
        signed_in(client, role, acme)
        page = client.get("/notices/").content.decode()
        assert f"webhook/{hook.pk}" in page
        links[role] = f'href="/webhooks/{hook.pk}/"' in page

    assert links == {"viewer": False, "auditor": False, "manager": True}


def test_a_list_of_many_takes_as_many_queries_as_one_of_two(client, acme, django_assert_num_queries):
    signed_in(client, "manager", acme)
    for place in range(2):
        tell_of(acme, f"PBX-{place}")
    client.get("/notices/")
    with django_assert_num_queries(7):
        client.get("/notices/")
    for place in range(2, 12):
        tell_of(acme, f"PBX-{place}")
    with django_assert_num_queries(7):
        client.get("/notices/")


def test_a_person_chooses_for_all_and_for_one_customer(client, acme, bellweather):
    signed_in(client, "manager", acme)
    client.post("/notices/choices/", {"pace": "daily", "hour": "6", "time_zone": "Europe/Berlin"})
    client.post("/notices/choices/customer/", {"customer": acme.pk, "pace": "never"})
    refused = client.post("/notices/choices/customer/", {"customer": bellweather.pk, "pace": "never"})

    found = set(NoticeChoice.objects.values_list("customer", "pace"))
    assert (refused.status_code, found) == (422, {(None, "daily"), (acme.pk, "never")})
    client.post("/notices/choices/customer/", {"customer": acme.pk, "pace": ""})
    assert set(NoticeChoice.objects.values_list("customer", "pace")) == {(None, "daily")}


def test_the_link_in_a_mail_asks_and_then_ends_them_without_a_sign_in(client, acme, mail_server):
    person = make_user("manager", acme, email="mara@example.com")
    tell_of(acme)
    notices_work()
    mails_slice()
    link = re.search(r"No more of these: https://pbx.example.com(\S+)", text_in_mail(mail_server.mails[0]))[1]
    headers = {"Origin": "https://pbx.example.com"}

    asked = client.get(link, headers=headers)
    assert ("Acme Logistics" in asked.content.decode(), NoticeChoice.objects.count()) == (True, 0)
    done = client.post(link, headers=headers)

    assert (done.status_code, NoticeChoice.objects.get().pace) == (200, "never")
    assert NoticeChoice.objects.get().person == person
    forged = signing.dumps({"person": person.pk, "customer": None}, salt="another")
    assert client.get(f"/notices/end/{forged}/").status_code == 404


def test_only_who_reviews_the_log_sends_its_kinds_to_a_team(client, acme):
    statuses = {}
    for who in ("manager", "admin"):
        person = make_user(is_superuser=True) if who == "admin" else make_user("manager", acme)
        client.force_login(person)
        form = {"address": f"{who}@example.com", "kind": "log", "least": "2"}
        page = client.post(f"/notices/customers/{acme.pk}/", form)
        statuses[who] = (
            page.status_code,
            'value="log"' in client.get(f"/notices/customers/{acme.pk}/").content.decode(),
        )

    assert statuses == {"manager": (422, False), "admin": (302, True)}
    assert [route.address for route in NoticeRoute.objects.all()] == ["admin@example.com"]


def test_the_link_to_a_team_ends_its_route(client, acme, mail_server):
    route = route_add(customer=acme, address="noc@example.com", kind="", least=2, by=make_user())
    tell_of(acme)
    notices_work()
    mails_slice()
    link = re.search(r"No more of these: https://pbx.example.com(\S+)", text_in_mail(mail_server.mails[0]))[1]

    client.post(link, headers={"Origin": "https://pbx.example.com"})

    assert NoticeRoute.objects.get(pk=route.pk).ended_at
    assert Event.objects.latest("id").data["detail"]["why"] == "the link in a mail"


def test_a_mail_that_was_given_up_is_sent_again(client, acme):
    client.force_login(make_user(is_superuser=True))
    person = make_user("manager", acme, email="mara@example.com")
    old = timezone.now() - timedelta(days=1)
    mail = NoticeMail.objects.create(person=person, due_at=old, state="dead", tries=9, why="550 Nobody <b>here</b>")
    page = client.get("/notices/mails/").content.decode()
    assert "550 Nobody &lt;b&gt;here" in page

    client.post(f"/notices/mails/{mail.pk}/send/")

    assert NoticeMail.objects.values_list("state", "tries").get() == ("waiting", 0)
