"""The tick makes a checkpoint of the log once a day."""

from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import checkpoints_path, read_checkpoints
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_remove
from pbxadmin.ops.checkpointing import checkpoint_when_due
from pbxadmin.ops.models import PeriodicJob
from pbxadmin.ops.tick import JOBS

pytestmark = pytest.mark.django_db

ACME = (1, "Acme Logistics")


def let_pass(**time):
    PeriodicJob.objects.filter(name="seal").update(due_at=timezone.now() - timedelta(**time))


def cut_all():
    triggers_remove(connection)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_event")
    triggers_install(connection)


def test_the_tick_seals():
    assert checkpoint_when_due in JOBS


def test_a_checkpoint_is_made_once_a_day():
    record(EventAction.PBX_EDITED, customer=ACME)

    assert [checkpoint_when_due(), checkpoint_when_due()] == [1, 0]

    let_pass(seconds=1)
    assert checkpoint_when_due() == 1
    assert [checkpoint.why for checkpoint in read_checkpoints().entries] == ["daily", "daily"]
    assert timedelta(hours=23) < PeriodicJob.objects.get(name="seal").due_at - timezone.now() < timedelta(hours=25)


def test_what_fails_is_tried_again_soon(settings, tmp_path):
    (tmp_path / "seals").write_text("in the way")
    settings.DATA_DIR = tmp_path

    with pytest.raises(OSError, match=r"exists|directory"):
        checkpoint_when_due()

    assert PeriodicJob.objects.get(name="seal").due_at - timezone.now() < timedelta(minutes=11)


def test_a_checkpoint_is_told_to_the_log_of_the_service(caplog):
    caplog.set_level("INFO", "pbxadmin.audit.checkpoints")
    checkpoint_when_due()

    assert "audit log: checkpoint 1 of " in caplog.text
    assert read_checkpoints().entries[0].digest in caplog.text


def test_a_checkpoint_is_mailed_whole(settings):
    settings.SEAL_MAIL_TO = ["audit@example.com"]
    record(EventAction.PBX_EDITED, customer=ACME)

    checkpoint_when_due()

    (sent,) = mail.outbox
    assert sent.to == ["audit@example.com"]
    assert sent.subject.startswith("PBX Admin: checkpoint 1 of ")
    assert sent.attachments[0][1] == checkpoints_path().read_text()


def test_a_mail_that_cannot_be_sent_does_not_undo_the_seal(settings, caplog):
    settings.SEAL_MAIL_TO = ["audit@example.com"]
    settings.EMAIL_BACKEND = "no.such.backend"

    assert checkpoint_when_due() == 1

    assert len(read_checkpoints().entries) == 1
    assert "could not be mailed" in caplog.text


def test_a_restored_older_database_is_recorded_once(caplog):
    record(EventAction.PBX_EDITED, customer=ACME)
    checkpoint_when_due()
    cut_all()

    PeriodicJob.objects.all().delete()
    checkpoint_when_due()
    let_pass(seconds=1)
    checkpoint_when_due()

    event = Event.objects.get(action="log.regressed")
    assert event.data["detail"]["lost"][0].startswith("customer:1 1: missing (checkpoint 1 of ")
    assert "does not hold what its checkpoints say" in caplog.text


def test_checkpoints_that_were_altered_are_recorded(caplog):
    record(EventAction.PBX_EDITED, customer=ACME)
    checkpoint_when_due()
    checkpoints_path().write_text(checkpoints_path().read_text().replace('"daily"', '"dayly"'))
    let_pass(seconds=1)

    checkpoint_when_due()

    said = "its checkpoints have 1 fault, see audit_verify; the first is heads.jsonl line 1: altered"
    assert said in caplog.text
    assert Event.objects.get(action="log.regressed").data["detail"]["lost"][0].startswith(said)


def test_a_file_of_checkpoints_that_is_gone_is_recorded():
    record(EventAction.PBX_EDITED, customer=ACME)
    checkpoint_when_due()
    checkpoints_path().unlink()
    let_pass(seconds=1)

    checkpoint_when_due()

    assert Event.objects.get(action="log.regressed").data["detail"]["lost"] == [
        "checkpoints of the log were made, but there is none on this machine"
    ]
