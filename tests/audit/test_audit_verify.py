"""`manage.py audit_verify`, as whoever runs it reads it."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import checkpoints_path
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install
from pbxadmin.ops.checkpointing import checkpoint_when_due

from .conftest import ACME, BELL


def verified() -> list[str]:
    out = StringIO()
    call_command("audit_verify", stdout=out)
    return out.getvalue().splitlines()


def refused() -> tuple[list[str], CommandError]:
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("audit_verify", stdout=out)
    return out.getvalue().splitlines(), caught.value


@pytest.mark.django_db
def test_it_says_what_it_walked():
    for customer in (ACME, ACME, BELL, None):
        record(EventAction.PBX_EDITED, customer=customer)

    assert verified() == [
        "customer:1: 2 events",
        "customer:2: 1 event",
        "installation: 1 event",
        "Compared with no checkpoint: events that were cut off at the end of a chain would not show.",
        "All 4 events are as they were recorded.",
    ]


def test_it_names_every_bad_event_and_ends_with_the_first(three_events, without_triggers):
    second = three_events[1]
    Event.objects.filter(pk=second.pk).update(actor_name="evil", outcome="verified")
    triggers_install(connection)

    lines, error = refused()

    named = f"customer:1 2 (event {second.pk}): changed: its column actor_name does not say what its text says"
    assert lines[2:] == [f"BAD {named}", f"BAD {named.replace('actor_name', 'outcome')}"]
    assert str(error) == f"2 faults. First: {named}"
    assert error.returncode == 1


def test_it_says_what_is_missing(three_events, without_triggers):
    Event.objects.filter(sequence=2).delete()

    assert "BAD customer:1 2 (no event): missing" in refused()[0]


def test_a_log_that_had_checkpoints_and_has_none_is_a_fault(three_events):
    checkpoint_when_due()
    checkpoints_path().unlink()

    assert "BAD checkpoints of the log were made, but there is none on this machine" in refused()[0]


def test_a_missing_trigger_is_a_fault_although_every_event_is_good(three_events, without_triggers):
    lines, error = refused()

    assert [line for line in lines if "BAD trigger" in line]
    assert "First: trigger" in str(error)
