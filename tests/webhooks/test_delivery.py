"""From the outbox to a receiver over real TLS: once, signed, in order, whatever refuses, is down, or dies."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, connections, transaction
from django.db.models import F, Min
from django.utils import timezone
from django.utils.http import http_date
from standardwebhooks.webhooks import WebhookVerificationError

from pbxadmin.access.models import Customer
from pbxadmin.access.services import customer_archive
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.models import Event
from pbxadmin.notices.addressing import notices_address
from pbxadmin.notices.kinds import NOTICE_KINDS
from pbxadmin.notices.models import Condition, Notice, NoticeSeverity
from pbxadmin.webhooks.deliver import TRY_HOOK_AFTER, webhooks_slice, webhooks_work
from pbxadmin.webhooks.models import PayloadForm, Webhook, WebhookDelivery
from pbxadmin.webhooks.posting import FORBIDDEN_ADDRESS
from pbxadmin.webhooks.services import (
    delivery_send_again,
    webhook_add,
    webhook_edit,
    webhook_rotate,
    webhook_switch,
    webhook_test,
)
from tests.factories import make_outside, make_pbx
from tests.kill.processes import Process
from tests.ops.test_processes import free_port
from tests.waiting import until
from tests.yeastar.servers import calls_in_threads

pytestmark = pytest.mark.django_db
ALL = list(NOTICE_KINDS)
State = WebhookDelivery.State


def work() -> None:
    """Do what tick and workers do, until nothing is due."""
    notices_address()
    webhooks_work()
    webhooks_slice()


def later(**after: float) -> Any:
    return time_machine.travel(timezone.now() + timedelta(**after))


def hook(receiver: Any, customer: Customer | None, **more: Any) -> tuple[Webhook, str]:
    facts: dict[str, Any] = {"name": "Tickets", "kinds": ALL, "form": PayloadForm.STANDARD}
    path = f"https://127.0.0.1:{receiver.port}/services/T0KEN"
    return webhook_add(customer=customer, **facts | {"address": path} | more)


def tell(customer: Customer | None, condition: str, kind: str = "pbx", **more: Any) -> Notice:
    facts: dict[str, Any] = {
        "kind": kind,
        "severity": NoticeSeverity.WARNING,
        "customer_id": customer.pk if customer else None,
        "customer_name": customer.name if customer else "",
        "condition": condition,
        "subject": f"{condition} is not well",
        "path": "/pbxs/1/",
        "event_id": 0,
        "at": timezone.now(),
        "due_at": timezone.now(),
    }
    return Notice.objects.create(**facts | more)


def test_each_kind_comes_once_and_verifies(acme, receiver, settings):
    settings.SITE_URL = "https://pbx.example.com"
    _, secret = hook(receiver, acme)
    for kind in ALL:
        tell(acme, f"{kind}/7000", kind)

    for _ in range(2):
        work()

    assert [message.verify(secret)["type"] for message in receiver.received] == [f"notice.{kind}" for kind in ALL]
    assert len(set(receiver.ids)) == len(ALL)
    assert not WebhookDelivery.objects.exclude(state=State.SENT).exists()
    assert receiver.received[0].said["data"] == {
        "severity": "warning",
        "customer": {"id": acme.pk, "name": "Acme Logistics"},
        "condition": "outside/7000",
        "subject": "outside/7000 is not well",
        "text": "",
        "was": "",
        "now": "",
        "repeats": False,
        "link": "https://pbx.example.com/pbxs/1/",
        "event": None,
    }


def test_the_public_facts_of_the_event_come_with_it(acme, receiver):
    hook(receiver, acme)
    event = make_outside(make_pbx(acme))

    work()

    (message,) = receiver.received
    facts = message.said["data"]["event"]
    assert (facts["id"], facts["action"], facts["pbx"]["name"]) == (event.pk, "ivr.changed-outside", "ACME-HQ")
    assert facts["ivr"] == {"number": "6500", "name": "Main_Menu"}
    assert facts["fields"] == {"prompt_repeat": {"before": "1", "found": "5"}}


def test_nothing_goes_to_the_endpoint_of_another(acme, bellweather, make_receiver):
    ours, theirs, everywhere, others = (make_receiver() for _ in range(4))
    hook(ours, acme)
    hook(theirs, bellweather)
    hook(everywhere, None)
    hook(others, acme, kinds=["batch"])
    tell(acme, "pbx/1")
    tell(bellweather, "pbx/2")
    tell(None, "log/0", "log")

    work()

    assert (ours.conditions, theirs.conditions) == (["pbx/1"], ["pbx/2"])
    assert sorted(everywhere.conditions) == ["log/0", "pbx/1", "pbx/2"]
    assert others.received == []


def test_an_archived_customer_and_a_kind_that_is_no_longer_wanted_are_not_told(acme, bellweather, receiver):
    webhook, _ = hook(receiver, acme)
    hook(receiver, bellweather)
    tell(acme, "pbx/1")
    tell(bellweather, "pbx/2")
    customer_archive(customer=bellweather)
    notices_address()
    webhook_edit(webhook=webhook, name="Tickets", address="", kinds=["batch"], form=PayloadForm.STANDARD)

    work()

    assert (receiver.received, WebhookDelivery.objects.get().state) == ([], State.DROPPED)


# --- tried again, given up, sent again ---


def test_failures_are_tried_again_with_the_same_id_until_it_is_taken(acme, receiver):
    _, secret = hook(receiver, acme)
    tell(acme, "pbx/1")
    statuses = [500, 429, 204]
    receiver.answer = lambda message: statuses.pop(0)
    for seconds in (0, 5, 11, 12, 75, 80):
        with later(seconds=seconds):
            work()
            receiver.received[-1].verify(secret)

    assert len(receiver.received) == 3
    assert len(set(receiver.ids)) == 1
    assert len({message.headers["webhook-timestamp"] for message in receiver.received}) == 3
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.tries, delivery.answer) == (State.SENT, 3, "It answered 204.")
    assert Webhook.objects.get().failing_since is None


def work_for(hours: float) -> None:
    """Work whenever something is due, for so many hours."""
    end = timezone.now() + timedelta(hours=hours)
    work()
    rows = WebhookDelivery.objects.waiting().filter(webhook__off_at=None)
    while (due := rows.aggregate(at=Min("due_at"))["at"]) and due < end:
        with time_machine.travel(due + timedelta(seconds=1)):
            work()


def test_after_a_day_it_is_given_up_and_sent_again_by_hand(acme, receiver):
    hook(receiver, acme)
    tell(acme, "pbx/1")
    receiver.answer = lambda message: 500
    work_for(hours=40)
    dead = WebhookDelivery.objects.get()
    assert (dead.state, dead.tries, dead.answer) == (State.DEAD, len(TRY_HOOK_AFTER) + 1, "It answered 500.")
    assert timedelta(hours=23) < dead.ended_at - dead.made_at < timedelta(hours=25)

    receiver.answer = lambda message: 200
    with later(hours=30):
        assert delivery_send_again(delivery=dead)
        assert not delivery_send_again(delivery=dead)
        work()

    assert WebhookDelivery.objects.get().state == State.SENT
    assert len(set(receiver.ids)) == 1


def told_of(webhook: Webhook) -> list[str]:
    return list(Notice.objects.filter(condition=f"webhook-given-up/{webhook.pk}").values_list("subject", flat=True))


def test_that_messages_are_given_up_is_told_once_while_one_is(acme, receiver):
    """The endpoint takes others in between, so it is not switched off."""
    webhook, _ = hook(receiver, acme)
    receiver.answer = lambda message: 400 if message.condition.startswith("pbx/") else 204
    tell(acme, "pbx/1")
    tell(acme, "pbx/2")
    work_for(hours=40)
    assert WebhookDelivery.objects.filter(state=State.DEAD).count() == 2
    assert not [condition for condition in receiver.conditions if condition.startswith("webhook")]  # of itself
    assert told_of(webhook) == ["Webhook “Tickets” did not take a message for a day, and it was given up"]
    event = Event.objects.get(action=EventAction.WEBHOOK_MESSAGE_GIVEN_UP)
    assert (event.customer_id, event.data["detail"]["sentence"]) == (acme.pk, "It answered 400.")
    condition = Condition.objects.still_open().get(key=f"webhook-given-up/{webhook.pk}")
    assert condition.path == f"/webhooks/{webhook.pk}/"

    receiver.answer = lambda message: 204
    first, second = WebhookDelivery.objects.filter(state=State.DEAD).order_by("pk")
    with later(hours=41):
        delivery_send_again(delivery=first)
        work()
        webhooks_work()
        assert Condition.objects.still_open().filter(pk=condition.pk).exists()
        delivery_send_again(delivery=second)
        work()
        webhooks_work()
    assert not Condition.objects.still_open().filter(pk=condition.pk).exists()
    assert Event.objects.filter(action=EventAction.WEBHOOK_MESSAGE_GIVEN_UP).count() == 1

    receiver.answer = lambda message: 400 if message.condition.startswith("pbx/") else 204
    with later(hours=42):
        tell(acme, "pbx/3")
        work_for(hours=40)
    assert len(told_of(webhook)) == 2


@pytest.mark.parametrize("asked", ["1800", "date"])
def test_a_receiver_says_when_it_wants_more(acme, receiver, asked):
    hook(receiver, acme)
    tell(acme, "pbx/1")
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        at = http_date((now + timedelta(minutes=30)).timestamp()) if asked == "date" else asked
        receiver.headers = [f"Retry-After: {at}"]
        receiver.answer = lambda message: 429
        work()
    with later(minutes=29):
        tell(acme, "pbx/2")
        work()
        assert len(receiver.received) == 1  # others wait too
    receiver.answer = lambda message: 204
    with later(minutes=31):
        work()

    assert receiver.conditions == ["pbx/1", "pbx/1", "pbx/2"]


def test_a_receiver_that_asks_for_too_much_is_tried_a_last_time_after_a_day(acme, receiver):
    hook(receiver, acme)
    tell(acme, "pbx/1")
    receiver.headers, receiver.answer = ["Retry-After: 999999999"], lambda message: 503
    work()
    delivery = WebhookDelivery.objects.get()
    assert delivery.state == State.WAITING
    assert delivery.due_at - delivery.first_tried_at <= timedelta(hours=24)
    with later(minutes=61):
        tell(acme, "pbx/2")
        work()

    assert receiver.conditions == ["pbx/1", "pbx/2"]


# --- order ---


def test_what_is_tried_again_is_not_overtaken_by_the_same_and_holds_up_nothing_else(acme, receiver):
    hook(receiver, acme)
    for condition in ("pbx/1", "pbx/2", "pbx/1", "pbx/2"):
        tell(acme, condition)
    statuses = {"pbx/1": [500, 500]}
    receiver.answer = lambda message: (statuses.get(message.condition) or [204]).pop(0)

    work()
    assert receiver.conditions == ["pbx/1", "pbx/2", "pbx/2"]
    for minutes in (1, 10):
        with later(minutes=minutes):
            work()

    first, last = receiver.received[0].id, receiver.received[-1].id
    assert receiver.ids[3:] == [first, first, last]
    assert not WebhookDelivery.objects.waiting().exists()


def test_changes_of_one_ivr_keep_their_order_too(acme, receiver):
    hook(receiver, acme)
    pbx = make_pbx(acme)
    first, second = make_outside(pbx), make_outside(pbx)
    make_outside(pbx, "6501", ivr=("6501", "Other"))
    receiver.answer = lambda message: 500 if message.condition == f"outside/{first.pk}" else 204

    work()

    assert f"outside/{second.pk}" not in receiver.conditions
    assert len(receiver.received) == 2


def test_an_endpoint_where_nothing_answers_does_not_keep_others_waiting(acme, bellweather, receiver):
    hook(receiver, acme, address=f"https://127.0.0.1:{free_port()}/")
    hook(receiver, bellweather)
    for place in range(5):
        tell(acme, f"pbx/1{place}")
        tell(bellweather, f"pbx/2{place}")

    work()

    assert len(receiver.received) == 5
    assert sum(row.tries for row in WebhookDelivery.objects.filter(webhook__customer=acme)) == 1
    assert Webhook.objects.get(customer=acme).paused_until


# --- switched off ---


def test_three_days_of_failures_switch_it_off_and_somebody_is_told(acme, receiver):
    webhook, _ = hook(receiver, acme)
    receiver.answer = lambda message: 503
    start = timezone.now()
    for day in range(4):
        with time_machine.travel(start + timedelta(days=day)):
            tell(acme, f"pbx/{day}")
            work_for(hours=24)
            webhook.refresh_from_db()
            assert webhook.is_on == (day < 3)

    assert webhook.off_why == "Nothing was taken for three days. It answered 503."
    event = Event.objects.get(action=EventAction.WEBHOOK_GIVEN_UP)
    assert event.customer_id == acme.pk
    notice = Notice.objects.get(condition=f"webhook/{webhook.pk}")
    assert notice.subject == "Webhook “Tickets” was switched off: it failed for three days"
    assert notice.path == f"/webhooks/{webhook.pk}/"
    came = len(receiver.received)
    with time_machine.travel(start + timedelta(days=5)):
        tell(acme, "pbx/9")
        work()
        assert len(receiver.received) == came
        receiver.answer = lambda message: 204
        assert webhook_switch(webhook=webhook, on=True)
        work()
    assert "pbx/9" not in receiver.conditions  # nothing is collected while it is off
    assert not WebhookDelivery.objects.waiting().exists()
    assert not Condition.objects.still_open().filter(key=f"webhook/{webhook.pk}").exists()


def test_an_endpoint_that_says_it_is_gone_is_switched_off_at_once(acme, receiver):
    webhook, _ = hook(receiver, acme)
    receiver.answer = lambda message: 410
    tell(acme, "pbx/1")
    tell(acme, "pbx/2")

    work()

    webhook.refresh_from_db()
    assert (webhook.is_on, webhook.off_why) == (False, "It answered 410. That says it is gone.")
    assert len(receiver.received) == 1
    assert Event.objects.get(action=EventAction.WEBHOOK_GIVEN_UP).data["detail"]["sentence"] == webhook.off_why
    notice = Notice.objects.get(kind="webhook")
    assert notice.subject == "Webhook “Tickets” was switched off: it answered that it is gone for good"
    receiver.answer = lambda message: 204
    with later(minutes=1):
        webhook_switch(webhook=webhook, on=True)
        work()
    assert receiver.conditions[1:] == ["pbx/1", "pbx/2"]  # what waited goes then


def test_one_success_or_a_quiet_week_begins_anew(acme, receiver):
    webhook, _ = hook(receiver, acme)
    receiver.answer = lambda message: 503
    start = timezone.now()
    tell(acme, "pbx/1")
    work_for(hours=30)
    with time_machine.travel(start + timedelta(days=8)):
        tell(acme, "pbx/2")
        work()
        webhook.refresh_from_db()
        assert (webhook.is_on, webhook.failing_since > start + timedelta(days=7)) == (True, True)
        receiver.answer = lambda message: 204
        with later(minutes=1):
            work()
    webhook.refresh_from_db()
    assert (webhook.failing_since, webhook.failed_at) == (None, None)


# --- secrets ---


def test_for_a_day_the_old_secret_and_the_new_one_verify(acme, receiver):
    webhook, old = hook(receiver, acme)
    new = webhook_rotate(webhook=webhook)
    tell(acme, "pbx/1")
    work()
    assert receiver.received[0].verify(old)
    assert receiver.received[0].verify(new)

    with later(hours=25):
        tell(acme, "pbx/2")
        work()
        assert receiver.received[1].verify(new)
        with pytest.raises(WebhookVerificationError):
            receiver.received[1].verify(old)


def test_no_secret_and_no_address_stands_in_the_database_or_the_log(acme, receiver):
    webhook, secret = hook(receiver, acme)
    new = webhook_rotate(webhook=webhook)
    webhook_edit(webhook=webhook, name="Other", address="https://127.0.0.1/T0KEN", kinds=["pbx"], form="slack")
    assert webhook_test(webhook=webhook).status == 204

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM webhooks_webhook")
        stored = str(cursor.fetchall())
    told = "".join(Event.objects.values_list("text", flat=True))
    for hidden in (secret, new, "T0KEN"):
        assert hidden not in stored
        assert hidden not in told
    assert "https://127.0.0.1" in told


def test_a_key_that_is_gone_is_a_failure_like_others_until_address_and_secret_are_new(acme, receiver, settings):
    webhook, _ = hook(receiver, acme)
    settings.PBX_KEYS = [b"another key of exactly 32 bytes."]
    tell(acme, "pbx/1")

    work()

    assert (receiver.received, WebhookDelivery.objects.get().answer[:10]) == ([], "Its secret")
    facts: dict[str, Any] = {"name": "Tickets", "kinds": ALL, "form": PayloadForm.STANDARD}
    webhook_edit(webhook=webhook, address=f"https://127.0.0.1:{receiver.port}/", **facts)
    secret = webhook_rotate(webhook=webhook)
    with later(minutes=2):
        work()
        assert receiver.received[0].verify(secret)


def test_the_addresses_are_checked_at_each_try(acme, receiver, settings):
    hook(receiver, acme)
    settings.WEBHOOK_NETWORKS = ["10.0.0.0/8"]
    tell(acme, "pbx/1")

    work()

    assert (receiver.connections, WebhookDelivery.objects.get().answer) == (0, FORBIDDEN_ADDRESS)


# --- what remains ---


def test_deliveries_are_forgotten_after_thirty_days(acme, receiver):
    hook(receiver, acme)
    tell(acme, "pbx/1")
    work()
    with later(days=29):
        webhooks_work()
        assert WebhookDelivery.objects.exists()
    with later(days=31):
        webhooks_work()
        assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_workers_share_what_waits_and_keep_its_order(acme, receiver):
    hook(receiver, acme)
    for place in range(12):
        tell(acme, f"pbx/{place % 4}", subject=str(place))
    notices_address()

    def slice_of_a_worker() -> None:
        webhooks_slice()
        connections.close_all()

    calls_in_threads(*[slice_of_a_worker] * 3)
    webhooks_slice()  # whoever found only what others had in hand has left

    places = [int(message.said["data"]["subject"]) for message in receiver.received]
    assert sorted(places) == list(range(12))
    for one in range(4):
        assert [place for place in places if place % 4 == one] == [one, one + 4, one + 8]


def end_what_waits_for_a_lock() -> None:
    """End the statement of a killed process: PostgreSQL would carry it out when it gets its lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_answered", [False, True], ids=["before the answer", "before it is written down"])
def test_a_worker_killed_while_it_has_a_message_in_hand_loses_nothing(
    acme, receiver, trusts_the_authority, is_answered
):
    """Each kind arrives. Only what was in hand at the kill comes twice, with the id that tells so."""
    _, secret = hook(receiver, acme)
    for kind in ALL:
        tell(acme, f"{kind}/7000", kind)
    notices_address()
    receiver.is_silent = True
    process = Process("-m", "tests.webhooks.sending", SSL_CERT_FILE=str(trusts_the_authority))
    until(lambda: receiver.received)
    with transaction.atomic():
        if is_answered:  # the receiver has answered, and nobody else can write that down meanwhile
            WebhookDelivery.objects.update(tries=F("tries"))
            receiver.is_silent = False
            until(lambda: receiver.answered)
        process.kill()
        process.close()
        end_what_waits_for_a_lock()
    receiver.is_silent = False
    assert not WebhookDelivery.objects.exclude(state=State.WAITING).exists()

    work()
    assert len(receiver.received) == len(ALL)  # the first, and all but that: it is claimed still
    WebhookDelivery.objects.waiting().update(claimed_until=timezone.now())
    work()

    assert len(set(receiver.ids)) == len(ALL)
    assert receiver.ids[-1] == receiver.ids[0]
    assert {message.verify(secret)["type"] for message in receiver.received} == {f"notice.{kind}" for kind in ALL}
    assert not WebhookDelivery.objects.exclude(state=State.SENT).exists()
