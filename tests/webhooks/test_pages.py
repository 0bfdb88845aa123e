"""Pages of webhooks: who makes one, the secret that is shown once, what went to it, and what is done to it."""

import re
from typing import Any

import pytest
from django.test import Client

from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_grant
from pbxadmin.audit.models import Event
from pbxadmin.notices.kinds import NOTICE_KINDS
from pbxadmin.webhooks.models import Webhook, WebhookDelivery
from pbxadmin.webhooks.posting import FORBIDDEN_ADDRESS
from pbxadmin.webhooks.services import MOST_WEBHOOKS, NOT_HTTPS, WRONG_ADDRESS
from tests.factories import PASSWORD, make_user

from .test_delivery import hook, tell, work

pytestmark = pytest.mark.django_db


def signed_in(client: Client, role: str | None, customer: Customer | None = None, **fields: Any) -> Client:
    user = make_user(role, customer, **fields)
    client.post("/accounts/login/", {"login": user.username, "password": PASSWORD})
    return client


def form_for(customer: Customer | None, address: str, **more: Any) -> dict[str, Any]:
    facts = {"name": "Tickets", "address": address, "form": "standard", "kinds": ["pbx", "outside"]}
    return facts | {"customer": customer.pk if customer else ""} | more


def secret_in(page: str) -> str:
    return re.search(r"data-secret>(whsec_[^<]+)<", page)[1]


def test_a_manager_adds_one_tests_it_and_sees_what_came(client, acme, receiver):
    signed_in(client, "manager", acme)
    shown = client.post("/webhooks/add/", form_for(acme, f"https://127.0.0.1:{receiver.port}/T0KEN"))
    secret, webhook = secret_in(shown.content.decode()), Webhook.objects.get()
    assert (shown.status_code, shown["Cache-Control"]) == (200, "no-store")

    plain = client.post(f"/webhooks/{webhook.pk}/test/", follow=True).content.decode()
    part = client.post(f"/webhooks/{webhook.pk}/test/", headers={"HX-Request": "true"}).content.decode()
    tell(acme, "pbx/1")
    work()

    assert "Test: It answered 204." in plain
    assert ("data-tested" in part, "<html" in part) == (True, False)
    assert [message.verify(secret)["type"] for message in receiver.received] == [
        "notice.test",
        "notice.test",
        "notice.pbx",
    ]
    for address in ("/webhooks/", f"/webhooks/{webhook.pk}/"):
        page = client.get(address).content.decode()
        assert f"https://127.0.0.1:{receiver.port}" in page
        assert (secret in page, "T0KEN" in page) == (False, False)
    assert re.search(r"Taken", page)
    assert Event.objects.filter(action="webhook.tested", customer_id=acme.pk).count() == 2


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://tickets.example.com/", NOT_HTTPS),
        ("https://me:pw@tickets.example.com/", WRONG_ADDRESS),
        ("tickets.example.com", WRONG_ADDRESS),
        ("https://", WRONG_ADDRESS),
        ("https://[::1", WRONG_ADDRESS),
        ("https://a b/", WRONG_ADDRESS),
        ("https://tickets.example.com:99999/", WRONG_ADDRESS),
        ("https://10.0.0.1/", FORBIDDEN_ADDRESS),
        ("https://169.254.169.254/latest", FORBIDDEN_ADDRESS),
    ],
)
def test_a_wrong_address_is_refused_and_nothing_typed_is_lost(client, acme, address, said):
    signed_in(client, "manager", acme)

    answer = client.post("/webhooks/add/", form_for(acme, address, name="Kept as typed"))

    page = answer.content.decode()
    assert (answer.status_code, Webhook.objects.exists()) == (422, False)
    assert said in page
    assert "Kept as typed" in page


def test_who_manages_one_customer_makes_none_for_another_or_for_all(client, acme, bellweather, receiver):
    signed_in(client, "manager", acme)
    for customer in (bellweather, None):
        answer = client.post("/webhooks/add/", form_for(customer, f"https://127.0.0.1:{receiver.port}/"))
        assert answer.status_code == 422
    hidden = client.post("/webhooks/add/", form_for(acme, f"https://127.0.0.1:{receiver.port}/", kinds=["log"]))
    assert hidden.status_code == 422  # a manager does not review the log

    theirs, _ = hook(receiver, bellweather)
    of_all, _ = hook(receiver, None)
    for webhook in (theirs, of_all):
        assert client.get(f"/webhooks/{webhook.pk}/").status_code == 404
        for action in ("edit", "test", "rotate", "switch", "delete"):
            assert client.post(f"/webhooks/{webhook.pk}/{action}/").status_code == 404
    assert "data-webhook" not in client.get("/webhooks/").content.decode()
    assert Webhook.objects.count() == 2


def test_who_reviews_another_log_cannot_have_this_one_told(client, acme, bellweather, receiver):
    signed_in(client, "manager", acme)
    membership_grant(user=User.objects.get(), role=Role.AUDITOR, customer=bellweather, ends_on=None)

    answer = client.post("/webhooks/add/", form_for(acme, f"https://127.0.0.1:{receiver.port}/", kinds=["log"]))

    assert (answer.status_code, Webhook.objects.exists()) == (422, False)
    assert "You may not be told of this yourself: Log not as recorded." in answer.content.decode()


def test_a_site_admin_makes_one_for_all_of_every_kind(client, receiver):
    signed_in(client, None, is_superuser=True)

    kinds = list(NOTICE_KINDS)
    client.post("/webhooks/add/", form_for(None, f"https://127.0.0.1:{receiver.port}/", kinds=kinds))

    assert (Webhook.objects.get().customer, set(Webhook.objects.get().kinds)) == (None, set(kinds))


def test_an_edit_keeps_the_address_and_what_the_editor_may_not_choose(client, acme, receiver):
    webhook, _ = hook(receiver, acme, kinds=["log", "pbx"])
    signed_in(client, "manager", acme)
    asked = {"name": "Chat", "address": "", "form": "slack", "kinds": ["log", "batch"]}

    client.post(f"/webhooks/{webhook.pk}/edit/", asked)

    after = Webhook.objects.get()
    assert (after.name, after.form, after.kinds) == ("Chat", "slack", ["batch", "log"])
    assert after.address.open() == webhook.address.open()
    assert client.post(f"/webhooks/{webhook.pk}/edit/", asked | {"address": "http://x/"}).status_code == 422
    assert Event.objects.filter(action="webhook.edited").count() == 1


def test_rotate_switch_send_again_and_delete(client, acme, receiver):
    webhook, old = hook(receiver, acme)
    signed_in(client, "manager", acme)
    new = secret_in(client.post(f"/webhooks/{webhook.pk}/rotate/").content.decode())
    assert new != old
    assert "signs too until" in client.get(f"/webhooks/{webhook.pk}/").content.decode()
    tell(acme, "pbx/1")
    work()
    WebhookDelivery.objects.update(state=WebhookDelivery.State.DEAD)
    page = client.get(f"/webhooks/{webhook.pk}/?state=dead").content.decode()
    client.post(re.search(r'action="(/webhooks/deliveries/\d+/send/)"', page)[1])
    client.post(f"/webhooks/{webhook.pk}/switch/", {"on": "no"})
    work()
    assert len(receiver.received) == 1
    client.post(f"/webhooks/{webhook.pk}/switch/", {"on": "yes"})
    work()
    assert len(receiver.received) == 2
    assert client.get(f"/webhooks/{webhook.pk}/delete/").status_code == 200
    client.post(f"/webhooks/{webhook.pk}/delete/")
    assert not Webhook.objects.exists()


def test_a_message_that_waits_for_another_says_so(client, acme, receiver):
    webhook, _ = hook(receiver, acme)
    signed_in(client, "manager", acme)
    receiver.answer = lambda message: 500
    for condition in ("pbx/1", "pbx/1", "pbx/2"):
        tell(acme, condition)
    work()

    page = client.get(f"/webhooks/{webhook.pk}/").content.decode()

    assert page.count("It waits for the one before it") == 1
    assert page.count("Next try") == 2


def test_there_is_a_limit_for_each_customer(client, acme, receiver):
    for _ in range(MOST_WEBHOOKS):
        hook(receiver, acme)
    signed_in(client, "manager", acme)

    answer = client.post("/webhooks/add/", form_for(acme, f"https://127.0.0.1:{receiver.port}/"))

    assert (answer.status_code, Webhook.objects.count()) == (422, MOST_WEBHOOKS)


def test_a_list_of_many_takes_as_many_queries_as_one_of_two(client, acme, receiver, django_assert_num_queries):
    signed_in(client, "manager", acme)
    for _ in range(2):
        hook(receiver, acme)
    client.get("/webhooks/")
    with django_assert_num_queries(6):
        client.get("/webhooks/")
    for _ in range(10):
        hook(receiver, acme)
    with django_assert_num_queries(6):
        client.get("/webhooks/")
