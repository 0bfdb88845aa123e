"""Heads that are signed and kept outside the database: what was cut or replaced does not fit them."""

import base64
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import verify
from pbxadmin.audit.checkpoints import (
    checkpoint_make,
    checkpoints_path,
    heads,
    heads_by_chain,
    is_signed,
    public_key,
    read_checkpoints,
)
from pbxadmin.audit.log import record, written
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_remove

from .conftest import ACME, BELL

pytestmark = pytest.mark.django_db


def compared():
    """Faults of the log against all checkpoints, and those of the checkpoints."""
    file = read_checkpoints()
    return [str(fault) for fault in verify(known=heads_by_chain(file.entries)).faults] + file.faults


def delete(where="1 = 1"):
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM audit_event WHERE {where}")  # noqa: S608


@pytest.fixture
def checkpoint(three_events, without_triggers):
    """Three events of ACME, two of BELL, one checkpoint."""
    for _ in range(2):
        record(EventAction.PBX_EDITED, customer=BELL)
    return checkpoint_make("daily")


def test_a_checkpoint_says_where_each_chain_ends(checkpoint, three_events):
    acme, bell = checkpoint.heads

    assert (acme.chain, acme.sequence, acme.hash, acme.count) == ("customer:1", 3, three_events[2].hash, 3)
    assert (bell.chain, bell.sequence, bell.count) == ("customer:2", 2, 2)


def test_a_log_that_grew_fits_its_seals(checkpoint):
    record(EventAction.PBX_EDITED, customer=ACME)
    checkpoint_make("daily")
    record(EventAction.PBX_EDITED, customer=(3, "New"))

    assert compared() == []


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("chain = 'customer:1' AND sequence = 3", "customer:1 3 (no event): missing: cut off since checkpoint 1 of"),
        ("chain = 'customer:1' AND sequence > 1", "customer:1 2 (no event): missing, as are all up to 3: cut off"),
        ("chain = 'customer:1'", "customer:1 1 (no event): missing, as are all up to 3: cut off since checkpoint 1 of"),
    ],
)
def test_a_tail_that_was_cut_shows_where(checkpoint, where, fault):
    delete(where)

    assert len(compared()) == 1
    assert compared()[0].startswith(fault)
    assert f"checkpoint 1 of {checkpoint.at[:10]}" in compared()[0]


def test_a_log_that_was_emptied_shows_all_its_chains(checkpoint):
    delete()

    assert [fault.split(":", 2)[1] for fault in compared()] == ["1 1 (no event)", "2 1 (no event)"]


def test_yesterdays_database_shows_even_when_work_went_on_with_it(checkpoint):
    delete("chain = 'customer:1' AND sequence > 1")
    for _ in range(4):
        record(EventAction.PBX_EDITED, customer=ACME)

    (fault,) = compared()
    event = Event.objects.get(chain="customer:1", sequence=3)
    assert fault.startswith(f"customer:1 3 (event {event.pk}): not the event that checkpoint 1 of ")


def test_a_chain_written_anew_with_good_hashes_shows(checkpoint, three_events):
    texts = [event.data | {"actor_name": "Somebody else"} for event in three_events]
    delete("chain = 'customer:1'")
    previous = ""
    for data in texts:
        facts = {name: data[name] for name in data if name not in ("chain", "sequence", "at", "previous_hash", "index")}
        event = Event.objects.create(**written("customer:1", data["sequence"], previous, timezone.now(), facts))
        previous = event.hash

    assert verify("customer:1").faults == []
    assert compared()[0].startswith("customer:1 3 (event ")


def test_only_the_first_of_many_checkpoints_that_do_not_fit_is_told_and_the_others_counted(checkpoint):
    for _ in range(3):
        record(EventAction.PBX_EDITED, customer=ACME)
        checkpoint_make("daily")
    delete("chain = 'customer:1' AND sequence > 1")
    for _ in range(9):
        record(EventAction.PBX_EDITED, customer=ACME)

    (fault,) = compared()
    assert fault.endswith(", nor are 3 that later checkpoints hold")


# --- the file ---


def lines():
    return checkpoints_path().read_text().splitlines()


def rewrite(found):
    checkpoints_path().write_text("".join(f"{line}\n" for line in found))


def test_the_file_is_its_owners_and_only_grows(checkpoint):
    first = checkpoints_path().read_text()

    checkpoint_make("export")

    assert checkpoints_path().read_text().startswith(first)
    assert stat.S_IMODE(checkpoints_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(checkpoints_path().parent.stat().st_mode) == 0o700
    assert [json.loads(line)["number"] for line in lines()] == [1, 2]


@pytest.mark.parametrize("place", range(0, 700, 13))
def test_a_checkpoint_with_one_other_byte_is_named(checkpoint, place):
    raw = bytearray(checkpoints_path().read_bytes())
    raw[place % (len(raw) - 1)] ^= 1
    checkpoints_path().write_bytes(raw)

    assert read_checkpoints().entries == []
    assert read_checkpoints().faults[0].startswith("heads.jsonl line 1: ")


def test_a_checkpoint_that_was_taken_out_is_named(checkpoint):
    checkpoint_make("daily")
    checkpoint_make("daily")
    rewrite([lines()[0], lines()[2]])

    (fault,) = read_checkpoints().faults
    assert (
        fault
        == "heads.jsonl line 2: checkpoint 3 comes after checkpoint 1: what was between them is missing, or was moved"
    )


def test_a_file_that_starts_later_has_lost_its_beginning(checkpoint):
    checkpoint_make("daily")
    rewrite(lines()[1:])

    assert "checkpoint 2 comes after checkpoint 0" in read_checkpoints().faults[0]


def test_a_checkpoint_of_somebody_elses_key_is_named_and_not_believed(checkpoint, settings, tmp_path):
    settings.SEAL_KEYS = [b"x" * 32]
    checkpoint_make("daily")
    theirs = public_key()
    settings.SEAL_KEYS = []

    file = read_checkpoints()
    assert len(file.entries) == 1
    assert file.faults == [f"heads.jsonl line 2: altered: checkpoint 2 is signed with a key that is not ours, {theirs}"]


def test_checkpoints_of_an_earlier_key_stay_good(checkpoint, settings):
    settings.SEAL_KEYS = [b"a" * 32]
    rewrite([])
    checkpoint_make("daily")
    settings.SEAL_KEYS = [b"b" * 32, b"a" * 32]
    checkpoint_make("daily")

    assert compared() == []
    assert len({json.loads(line)["key"] for line in lines()}) == 2


def test_what_a_power_cut_left_of_a_line_is_taken_away(checkpoint):
    checkpoints_path().write_text(lines()[0] + "\n" + '{"at":"2026-')

    checkpoint_make("daily")

    assert [json.loads(line)["number"] for line in lines()] == [1, 2]
    assert compared() == []


def test_a_last_line_that_was_altered_does_not_keep_a_checkpoint_from_being_made(checkpoint):
    rewrite(["not a checkpoint"])

    checkpoint_make("daily")

    assert read_checkpoints().faults == ["heads.jsonl line 1: it is not a checkpoint"]
    assert len(read_checkpoints().entries) == 1


def test_the_last_of_long_lines_is_found(checkpoint, monkeypatch):
    monkeypatch.setattr("pbxadmin.audit.tail.BLOCK", 100)

    assert [checkpoint_make("daily").number for _ in range(3)] == [2, 3, 4]


@pytest.mark.django_db(transaction=True)
def test_many_at_once_leave_one_row_of_good_checkpoints():
    record(EventAction.PBX_EDITED, customer=ACME)

    def one(_):
        try:
            checkpoint_make("export", ["customer:1"])
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(24)))

    assert [one.number for one in read_checkpoints().entries] == list(range(1, 25))
    assert read_checkpoints().faults == []


def test_a_checkpoint_of_some_chains_tells_nothing_of_the_others(checkpoint):
    assert [head.chain for head in checkpoint_make("evidence", ["customer:2"]).heads] == ["customer:2"]
    assert heads([]) == []


# --- the key ---


def test_the_key_is_made_once_and_for_its_owner_only(settings, tmp_path):
    settings.DATA_DIR = tmp_path

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: public_key(), range(8)))

    assert len(keys) == 1
    assert os.listdir(tmp_path) == ["seal_key"]
    assert stat.S_IMODE((tmp_path / "seal_key").stat().st_mode) == 0o600


def test_the_public_key_is_shown_and_earlier_ones_too(settings):
    settings.SEAL_KEYS = [b"b" * 32, b"a" * 32]
    out = StringIO()

    call_command("audit_key", stdout=out)

    newest, earlier = out.getvalue().splitlines()
    assert newest == public_key()
    assert len(base64.urlsafe_b64decode(newest)) == 32
    assert earlier.endswith(" (earlier)")


def test_anybody_can_check_a_checkpoint_with_the_public_key(checkpoint):
    facts = json.loads(checkpoint.line)
    signature = facts.pop("signature")
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    assert is_signed(text, signature, public_key())
    assert not is_signed(text + " ", signature, public_key())
    assert not is_signed(text, "no base64", public_key())


# --- the commands ---


def verified(*words):
    out = StringIO()
    call_command("audit_verify", *words, stdout=out)
    return out.getvalue().splitlines()


def test_audit_verify_says_what_it_compared_with(three_events):
    out = StringIO()
    call_command("audit_seal", stdout=out)

    assert out.getvalue().startswith("Checkpoint 1: 3 events in 1 chains.\nSHA-256 of its line: ")
    assert verified()[1].startswith("Compared with 1 checkpoint, the last one checkpoint 1 of ")


def test_a_copy_from_elsewhere_shows_what_the_file_here_does_not(checkpoint, tmp_path):
    copy = tmp_path / "mailed.jsonl"
    copy.write_text(checkpoint.line + "\n")
    checkpoints_path().unlink()
    delete("chain = 'customer:1'")

    with pytest.raises(CommandError, match=r"customer:1 1 \(no event\): missing, as are all up to 3"):
        verified("--seals", str(copy))


def test_a_copy_may_start_anywhere(checkpoint, tmp_path):
    copy = tmp_path / "mailed.jsonl"
    copy.write_text(checkpoint_make("daily").line + "\n")

    assert read_checkpoints(copy).faults == []
    assert [one.number for one in read_checkpoints(copy).entries] == [2]


def test_a_copy_that_is_not_there_is_named(three_events, tmp_path):
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        verified("--seals", str(tmp_path / "nothing"))


def test_a_checkpoint_that_was_altered_makes_the_command_fail(checkpoint):
    rewrite([lines()[0].replace('"count"', '"Count"').replace('"daily"', '"Daily"')])

    with pytest.raises(CommandError, match=r"heads\.jsonl line 1: altered"):
        verified()


def test_a_checkpoint_that_cannot_be_written_says_so(three_events, settings, tmp_path):
    (tmp_path / "seals").write_text("in the way")
    settings.DATA_DIR = tmp_path

    with pytest.raises(CommandError, match="No checkpoint was made"):
        call_command("audit_seal")


# --- after a restore from a backup ---


def accepted(reason="Restored the backup of Monday."):
    out = StringIO()
    call_command("audit_accept", reason=reason, stdout=out)
    return out.getvalue()


@pytest.fixture
def restored(checkpoint):
    """Two events of ACME are gone and one came after; all of BELL is gone."""
    delete("(chain = 'customer:1' AND sequence > 1) OR chain = 'customer:2'")
    for _ in range(2):
        record(EventAction.PBX_EDITED, customer=ACME)


@pytest.fixture
def whole_again(restored):
    said = accepted()
    triggers_install(connection)
    return said


def test_a_restored_log_is_accepted_with_a_reason_that_is_recorded_and_signed(whole_again):
    assert "ACCEPTED customer:1 3 (event " in whole_again
    assert "ACCEPTED customer:2 1 (no event): missing, as are all up to 2" in whole_again
    assert Event.objects.get(action="log.accepted").data["reason"] == "Restored the backup of Monday."
    assert read_checkpoints().entries[-1].reason == "Restored the backup of Monday."


def test_what_was_accepted_is_still_said_and_is_no_fault(whole_again):
    assert len([line for line in verified() if line.startswith("ACCEPTED ")]) == 2
    assert compared() == []


def test_what_is_lost_after_that_is_a_fault_again(whole_again):
    triggers_remove(connection)
    delete("chain = 'customer:1' AND sequence = 3")

    (fault,) = compared()
    assert fault.startswith("customer:1 3 (no event): missing: cut off since checkpoint 2 of ")


def test_an_altered_event_cannot_be_accepted(three_events, without_triggers):
    checkpoint_make("daily")
    Event.objects.filter(sequence=2).update(actor_name="evil")

    with pytest.raises(CommandError, match="nothing to accept"):
        accepted()


def test_a_log_that_fits_its_checkpoints_needs_nothing_accepted(checkpoint):
    with pytest.raises(CommandError, match="nothing to accept"):
        accepted()


def test_nothing_is_accepted_without_a_reason(restored):
    with pytest.raises(CommandError, match="Give a reason"):
        accepted(" ")
