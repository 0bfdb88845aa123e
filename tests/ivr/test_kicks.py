"""Kicks of the workers: however long the workers are busy, one of each kind waits."""

import pytest
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from ivr.kicks import kick_once
from ivr.refresh import kick, refresh_start
from pbxadmin.audit.context import SYSTEM
from pbxadmin.batches.work import batch_work
from pbxadmin.notices.deliver import notices_work
from pbxadmin.notices.models import NoticeMail
from pbxadmin.webhooks.deliver import webhooks_work
from pbxadmin.webhooks.services import webhook_add
from tests.factories import make_pbx, make_user
from tests.webhooks.test_delivery import tell

pytestmark = pytest.mark.django_db


def waiting() -> list[str]:
    return sorted(DBTaskResult.objects.ready().values_list("task_path", flat=True))


def test_mails_to_a_slow_server_kick_once(acme):
    for place in range(3):
        person = make_user("manager", acme, email=f"m{place}@example.com")
        NoticeMail.objects.create(person=person, due_at=timezone.now())

    assert [notices_work() for _ in range(5)] == [3] * 5

    assert waiting() == ["pbxadmin.notices.deliver.mails_send"]


def test_messages_to_a_slow_endpoint_kick_once(acme):
    webhook_add(customer=acme, name="Tickets", address="https://127.0.0.1:9/", kinds=["pbx"], form="standard")
    tell(acme, "pbx/1")
    notices_work()
    DBTaskResult.objects.all().delete()

    assert [webhooks_work() for _ in range(5)] == [1] * 5

    assert waiting() == ["pbxadmin.webhooks.deliver.webhooks_send"]


def test_each_batch_is_kicked_once_and_again_when_its_kick_was_taken():
    for pk in (7, 7, 8):
        kick_once(batch_work, pk)
    assert len(waiting()) == 2

    DBTaskResult.objects.update(status="RUNNING")
    kick_once(batch_work, 7)
    assert len(waiting()) == 1


def test_a_run_of_readings_is_kicked_once_while_it_waits(acme):
    run = refresh_start(pbxs=[make_pbx(acme)], actor=SYSTEM)

    for _ in range(3):
        kick(run)

    assert waiting() == ["ivr.refresh.refresh_work"]
