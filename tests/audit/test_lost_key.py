"""SEAL_KEY was lost: what somebody accepts then, what is still checked, and what nobody gets rid of by it."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import (
    checkpoint_make,
    checkpoints_path,
    public_key,
    read_checkpoints,
    signed,
)
from pbxadmin.audit.log import canonical_json, record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_remove
from pbxadmin.ops.checkpointing import lost_since_checkpoint

from .conftest import ACME

pytestmark = pytest.mark.django_db

LOST, NEW, THEIRS = ([bytes([letter]) * 32] for letter in b"lnt")


def verified(*copies):
    """What audit_verify says. Raises CommandError when anything is a fault."""
    out = StringIO()
    call_command("audit_verify", seals=list(copies), stdout=out)
    return out.getvalue().splitlines()


def faults(*copies):
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("audit_verify", seals=list(copies), stdout=out)
    return [line.removeprefix("BAD ") for line in out.getvalue().splitlines() if line.startswith("BAD ")]


def accept(key=None, reason="The disk with the key died."):
    out = StringIO()
    call_command("audit_accept", lost_key=key, reason=reason, stdout=out)
    return out.getvalue()


def cut(where):
    triggers_remove(connection)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM audit_event WHERE {where}")  # noqa: S608
    triggers_install(connection)


def lines():
    return checkpoints_path().read_text().splitlines()


def rewrite(found):
    checkpoints_path().write_text("".join(f"{line}\n" for line in found))


def facts_of(line):
    facts = json.loads(line)
    del facts["signature"]
    return facts


def begins_with_hyphen(ring, settings):
    settings.SEAL_KEYS = ring
    return public_key().startswith("-")


@pytest.fixture
def lost(three_events, settings):
    """The public key of two checkpoints of three events; the key that signs now is another one."""
    settings.SEAL_KEYS = LOST
    key = public_key()
    checkpoint_make("daily")
    checkpoint_make("daily")
    settings.SEAL_KEYS = NEW
    return key


@pytest.fixture
def accepted(lost):
    accept(lost)
    return lost


def test_a_lost_key_is_accepted_once_and_named_from_then_on(lost):
    assert len(faults()) == 2

    said = accept(lost)

    (named,) = [line for line in verified() if line.startswith("ACCEPTED ")]
    assert named.startswith(
        f"ACCEPTED heads.jsonl: checkpoints 1 to 2, signed with a lost key, {lost}: nobody can prove"
    )
    assert named.endswith(" UTC: The disk with the key died.")
    assert "nobody can prove any more that they were made here" in said
    with pytest.raises(CommandError, match="nothing to accept"):
        accept(lost)


def test_it_is_recorded_with_the_checkpoints_it_is_about_and_the_reason(lost):
    accept(lost)

    event = Event.objects.get(action="log.accepted")
    (sentence,) = event.data["detail"]["lost"]
    assert (event.chain, event.data["reason"]) == ("installation", "The disk with the key died.")
    assert sentence.startswith(f"checkpoints 1 to 2, signed with a lost key, {lost}: ")
    assert event.data["detail"]["last_line"] == read_checkpoints().entries[1].digest


def test_what_such_a_checkpoint_proves_against_the_log_stays_a_fault(accepted):
    cut("chain = 'customer:1' AND sequence > 1")

    assert any(fault.startswith("customer:1 2 (no event): missing, as are all up to 3: cut off") for fault in faults())
    assert lost_since_checkpoint(read_checkpoints().entries)


def test_a_cut_before_the_key_was_accepted_comes_to_light_by_that(lost):
    cut("chain = 'customer:1' AND sequence > 1")

    accept(lost)

    (fault,) = faults()
    assert fault.startswith("customer:1 2 (no event): missing, as are all up to 3: cut off since checkpoint 1 of")
    assert fault.endswith(" UTC, unproven")


def test_a_gap_that_was_accepted_earlier_does_not_cover_what_only_these_checkpoints_knew(lost):
    record(EventAction.PBX_EDITED, customer=ACME)
    checkpoint_make("daily")
    cut("chain = 'customer:1' AND sequence > 1")
    accept(reason="Restored the backup of Monday.")

    accept(lost)

    assert [fault.startswith("customer:1 2 (no event): missing, as are all up to 3") for fault in faults()] == [True]
    accept(reason="That was the backup of Monday too.")
    assert len([line for line in verified() if line.startswith("ACCEPTED ")]) == 2


def test_what_these_checkpoints_accepted_counts_no_more(three_events, settings):
    settings.SEAL_KEYS = LOST
    lost = public_key()
    checkpoint_make("daily")
    cut("chain = 'customer:1' AND sequence = 3")
    accept(reason="Restored the backup of Monday.")
    assert verified()
    settings.SEAL_KEYS = NEW

    accept(lost)

    assert [fault.startswith("customer:1 3 (no event): missing: cut off") for fault in faults()] == [True]


# --- who would like to use it ---


def test_a_checkpoint_that_is_changed_later_is_a_fault(accepted):
    rewrite([lines()[0].replace('"daily"', '"Daily"'), *lines()[1:]])

    assert faults()[0] == "heads.jsonl line 1: altered: checkpoint 1 does not have the signature of its key"


def test_a_checkpoint_that_is_written_anew_by_who_has_the_lost_key_is_a_fault(accepted, settings):
    settings.SEAL_KEYS = LOST
    forged = signed(facts_of(lines()[1]) | {"heads": []})
    settings.SEAL_KEYS = NEW
    rewrite([lines()[0], forged, *lines()[2:]])

    assert faults() == [
        f"heads.jsonl line 2: altered: checkpoint 2 is signed with a key that is not ours, {accepted}",
        "heads.jsonl line 3: checkpoint 3 does not follow the line before it: that one was altered or replaced",
    ]


def test_a_checkpoint_that_was_taken_out_or_put_twice_is_a_fault(accepted):
    whole = lines()

    rewrite(whole[1:])
    assert "checkpoint 2 comes after checkpoint 0" in faults()[0]

    rewrite([whole[0], *whole])
    assert "checkpoint 1 comes after checkpoint 1" in faults()[0]


@pytest.mark.parametrize("ring", [LOST, THEIRS], ids=["the lost key, found by somebody", "a further key"])
def test_a_checkpoint_that_comes_later_with_a_key_that_is_not_ours_is_a_fault(accepted, settings, ring):
    settings.SEAL_KEYS = ring
    checkpoint_make("daily")
    key = public_key()
    settings.SEAL_KEYS = NEW

    assert faults() == [f"heads.jsonl line 4: altered: checkpoint 4 is signed with a key that is not ours, {key}"]


def test_the_event_alone_accepts_nothing(lost):
    record(EventAction.LOG_ACCEPTED, detail={"lost": ["checkpoints 1 to 2"]}, reason="forged")

    assert len(faults()) == 2


def test_a_checkpoint_that_somebody_put_there_excuses_no_gap_although_it_is_accepted(three_events, settings):
    settings.SEAL_KEYS = NEW
    checkpoint_make("daily")
    settings.SEAL_KEYS = THEIRS
    checkpoint_make("accepted", [], reason="Restored the backup of Monday.")
    theirs = public_key()
    settings.SEAL_KEYS = NEW
    cut("chain = 'customer:1' AND sequence = 3")

    accept(theirs)

    assert [fault.startswith("customer:1 3 (no event): missing: cut off") for fault in faults()] == [True]


def test_nobody_accepts_a_key_with_a_checkpoint_of_their_own(lost, settings):
    settings.SEAL_KEYS = THEIRS
    accept(lost)
    settings.SEAL_KEYS = NEW

    assert len(faults()) == 3


def test_an_acceptance_to_which_more_checkpoints_are_added_accepts_nothing(accepted, settings):
    settings.SEAL_KEYS = THEIRS
    done = checkpoint_make("daily")
    settings.SEAL_KEYS = NEW
    facts = json.loads(lines()[2])
    facts["unproven"].append(done.digest)
    rewrite([*lines()[:2], canonical_json(facts), lines()[3]])

    assert len(faults()) == 5  # three foreign ones, the altered one, and who does not follow it


def test_what_was_accepted_with_a_key_that_is_lost_too_is_accepted_anew(accepted, settings):
    second = public_key()
    settings.SEAL_KEYS = THEIRS

    accept(second, "The second key is lost too.")
    assert len(faults()) == 2
    accept(accepted, "As was the first one.")

    assert len([line for line in verified() if line.startswith("ACCEPTED ")]) == 2


def test_an_event_that_was_accepted_away_with_its_checkpoint_is_missed(accepted):
    cut("action = 'log.accepted'")

    assert any(fault.startswith("installation 1 (no event): missing: cut off") for fault in faults())


def test_a_key_that_begins_with_a_hyphen_is_a_key(three_events, settings):
    settings.SEAL_KEYS = next(
        [key] for key in (bytes([n]) * 32 for n in range(256)) if begins_with_hyphen([key], settings)
    )
    lost = public_key()
    checkpoint_make("daily")
    settings.SEAL_KEYS = NEW

    call_command("audit_accept", f"--lost-key={lost}", "--reason=The disk died.", stdout=StringIO())

    assert verified()


def test_an_altered_checkpoint_cannot_be_accepted(lost):
    rewrite([line.replace('"daily"', '"Daily"') for line in lines()])

    with pytest.raises(CommandError, match="this key signed no checkpoint that is not ours"):
        accept(lost)


def test_only_the_key_that_was_named_is_accepted(lost, settings):
    settings.SEAL_KEYS = THEIRS
    checkpoint_make("daily")
    theirs = public_key()
    settings.SEAL_KEYS = NEW

    accept(lost)

    assert faults() == [f"heads.jsonl line 3: altered: checkpoint 3 is signed with a key that is not ours, {theirs}"]


def test_without_the_name_of_a_key_none_is_accepted(lost):
    with pytest.raises(
        CommandError, match=r"fits its checkpoints\. That a key of checkpoints was lost is accepted with --lost-key="
    ):
        accept()
    with pytest.raises(CommandError, match="nothing to accept"):
        accept("")
    with pytest.raises(CommandError, match="Give a reason"):
        accept(lost, " ")


def test_our_own_key_is_not_lost(lost):
    checkpoint_make("daily")

    with pytest.raises(CommandError, match="nothing to accept"):
        accept(public_key())


# --- afterwards ---


def test_a_key_that_was_found_again_proves_its_checkpoints_again(accepted, settings):
    settings.SEAL_KEYS = [*NEW, *LOST]

    assert not [line for line in verified() if line.startswith("ACCEPTED ")]
    assert {one.accepted_by for one in read_checkpoints().entries} == {None}


def test_a_mailed_copy_of_an_accepted_checkpoint_is_accepted_and_another_one_is_not(accepted, settings, tmp_path):
    copy, other = tmp_path / "mailed.jsonl", tmp_path / "other.jsonl"
    copy.write_text(lines()[1] + "\n")
    settings.SEAL_KEYS = LOST
    other.write_text(signed(facts_of(lines()[1]) | {"heads": [["customer:1", 9, "0" * 64, 9]]}) + "\n")
    settings.SEAL_KEYS = NEW

    assert any(line.startswith("ACCEPTED mailed.jsonl: checkpoint 2, signed") for line in verified(copy))
    assert faults(other) == [
        f"other.jsonl line 1: altered: checkpoint 2 is signed with a key that is not ours, {accepted}"
    ]


def test_checkpoints_go_on_after_the_acceptance(accepted):
    record(EventAction.PBX_EDITED, customer=ACME)
    done = checkpoint_make("daily")

    assert verified()
    assert read_checkpoints().entries[-1] == replace(done, accepted_by=None)
