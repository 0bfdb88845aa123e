"""An evidence pack holds what proves itself: clean it passes, and whatever is changed in it shows."""

import base64
import io
import json
import subprocess
import sys
import zipfile

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pbxadmin.audit import verify_pack
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import checkpoint_make, public_key, read_checkpoints
from pbxadmin.audit.evidence import pack_write
from pbxadmin.audit.log import link, record
from pbxadmin.audit.models import Event
from tests.waiting import LIMIT_S

from .conftest import ACME, BELL

pytestmark = pytest.mark.django_db


def packed(events=None, **about):
    """The files of a pack, by name, and what pack_write says of it."""
    file = io.BytesIO()
    words = {"made_by": "Ada Raman", "wanted": "customer=1"} | about
    pack = pack_write(file, Event.objects.all() if events is None else events, **words)
    return verify_pack.read_zip(file), pack


def faults(files, key=""):
    return list(verify_pack.check(files, key))


@pytest.fixture
def log():
    """Four events of ACME and two of BELL."""
    for number in range(4):
        record(
            EventAction.PBX_EDITED,
            customer=ACME,
            pbx=(5, "ACME-Zürich"),
            detail={"number": number},
            reason='"quoted" \\ line\n',
        )
    for _ in range(2):
        record(EventAction.PBX_TESTED, customer=BELL)


def test_a_clean_pack_passes_and_says_which_chains_are_whole(log, capsys):
    files, pack = packed()

    assert faults(files, public_key()) == []
    assert pack.chains == {"customer:1": {"count": 4, "whole": True}, "customer:2": {"count": 2, "whole": True}}
    assert "customer:1: all 4 events, to its checkpoint; 3 links between neighbours" in capsys.readouterr().out


def test_a_part_of_a_chain_passes_and_says_of_how_many(log, capsys):
    files, _ = packed(Event.objects.filter(chain="customer:1", sequence__in=[1, 2, 4]))

    assert faults(files) == []
    assert "customer:1: 3 of 4 events; 1 links between neighbours" in capsys.readouterr().out


def test_a_pack_of_one_customer_tells_nothing_of_another(log):
    files, _ = packed(Event.objects.filter(chain="customer:2"))

    assert all(b"customer:1" not in data for name, data in files.items() if name not in ("README.txt", "verify.py"))
    assert b"Acme" not in b"".join(files.values())


def test_its_checkpoint_is_the_one_kept_outside_the_database(log):
    files, pack = packed()

    (file,) = read_checkpoints().entries
    assert files["seal.json"].decode() == file.line == pack.checkpoint.line
    assert file.why == "evidence"


def test_what_was_recorded_after_the_checkpoint_is_left_out(log, monkeypatch):
    from pbxadmin.audit import evidence

    def make(why, chains):
        done = original(why, chains)
        record(EventAction.PBX_EDITED, customer=ACME)
        return done

    original = checkpoint_make
    monkeypatch.setattr(evidence, "checkpoint_make", make)

    files, pack = packed()
    assert pack.chains["customer:1"] == {"count": 4, "whole": True}
    assert faults(files) == []


def test_one_other_byte_in_an_event_names_it(log):
    files, _ = packed()
    clean = files["events.jsonl"]

    for place in range(len(clean)):
        for bit in (1, 128):
            found = list(verify_pack.check_events(flipped(clean, place, bit), {}))
            line = clean[:place].count(b"\n") + 1
            named = [f"event in line {line} ", f"event in line {line + 1} "]  # it may hide in a line feed
            assert found, (place, bit)
            assert found[0].startswith(tuple(named)) or "last line" in found[0], (place, bit, found)


@pytest.mark.parametrize("name", ["README.txt", "pack.json", "pack.sig", "seal.json", "verify.py"])
def test_one_other_byte_in_any_other_file_shows(log, name):
    files, _ = packed()
    data = files[name]

    for place in sorted({*range(0, len(data), len(data) // 25 + 1), len(data) - 1}):
        assert faults(files | {name: flipped(data, place, 1)}), place


def flipped(data, place, bit):
    changed = bytearray(data)
    changed[place] ^= bit
    return bytes(changed)


@pytest.mark.parametrize("name", ["README.txt", "events.jsonl", "pack.json", "pack.sig", "seal.json", "verify.py"])
def test_a_file_that_is_missing_shows(log, name):
    files, _ = packed()
    del files[name]

    assert faults(files)


def test_a_file_that_was_added_shows(log):
    files, _ = packed()

    assert faults(files | {"more.txt": b"more"}) == ["more.txt: changed, or added later"]


def altered(files, change):
    """The events after this change, written as the maker writes them."""
    events = [json.loads(line) for line in files["events.jsonl"].decode().splitlines()]
    change(events)
    return files | {"events.jsonl": b"".join(verify_pack.canonical_text(event).encode() + b"\n" for event in events)}


def renamed(event):
    return event["text"].replace("ACME", "ACNE")


def rehash(event, text):
    event["text"] = text
    event["hash"] = link(event["previous_hash"], text)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda events: events.pop(1), "customer:1: pack.json says otherwise"),
        (lambda events: events.insert(1, events.pop(2)), "event in line 3 (customer:1 2) is not in order"),
        (lambda events: events.append(events[-1]), "event in line 7 (customer:2 2) is not in order"),
        (lambda events: events.pop(3), "customer:1: pack.json says otherwise"),
        (
            lambda events: events[1].update(text=events[1]["text"].replace("ACME", "ACNE")),
            "event in line 2 (customer:1 2)",
        ),
        (lambda events: rehash(events[1], events[1]["text"].replace("ACME", "ACNE")), "event in line 3 (customer:1 3)"),
        (lambda events: rehash(events[3], events[3]["text"].replace("ACME", "ACNE")), "customer:1 4: is not the event"),
        (lambda events: rehash(events[3], "{}"), "event in line 4 (customer:1 4): its text is not one"),
        (lambda events: events[5].update(sequence=9), "event in line 6 (customer:2 9): its text is of another event"),
    ],
)
def test_an_event_that_was_changed_moved_added_or_taken_out_is_named(log, change, fault):
    files, _ = packed()

    found = faults(altered(files, change))
    assert any(one.startswith(fault) for one in found), found
    assert "events.jsonl: changed, or added later" in found


def test_a_pack_made_by_somebody_else_does_not_pass_for_ours(log, settings):
    ours = public_key()
    settings.SEAL_KEYS = [b"x" * 32]
    files, _ = packed()

    assert faults(files) == []
    assert faults(files, ours) == [f"pack.json: signed with another key than the one you gave, {public_key()}"]


def test_whoever_gets_it_needs_nothing_but_python(log, tmp_path):
    path = tmp_path / "evidence.zip"
    with path.open("w+b") as file:
        pack_write(file, Event.objects.all(), made_by="Ada Raman", wanted="")
    with zipfile.ZipFile(path) as pack:
        pack.extractall(tmp_path / "unpacked")
    (tmp_path / "verify.py").write_bytes((tmp_path / "unpacked" / "verify.py").read_bytes())

    for words in ([tmp_path / "unpacked" / "verify.py"], [tmp_path / "verify.py", path, f"--key={public_key()}"]):
        ran = ran_alone(words)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "Good: every event is as it was recorded." in ran.stdout

    events = tmp_path / "unpacked" / "events.jsonl"
    events.write_bytes(events.read_bytes().replace(b"ACME", b"ACNE", 1))
    ran = ran_alone([tmp_path / "unpacked" / "verify.py"])
    assert ran.returncode == 1
    assert "BAD event in line 1 (customer:1 1): its text does not give its hash" in ran.stdout

    ran = ran_alone([tmp_path / "verify.py", path, "--key=another"])
    assert ran.stdout.splitlines()[-1] == "1 fault: this is not what was packed."


def ran_alone(words):
    """With the standard library only: -S leaves packages out, -I all that the environment would add."""
    return subprocess.run(
        [sys.executable, "-I", "-S", *words], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: data[:200] + b"\0" * 50 + data[250:]])
def test_a_zip_file_that_was_damaged_does_not_pass(log, tmp_path, damage):
    file = io.BytesIO()
    pack_write(file, Event.objects.all(), made_by="Ada Raman", wanted="")
    path = tmp_path / "evidence.zip"
    path.write_bytes(damage(file.getvalue()))

    with pytest.raises(verify_pack.Bad, match="damaged"):
        verify_pack.read_pack(path)


# --- its own Ed25519, against the one of cryptography ---


@pytest.mark.parametrize("seed", range(8))
def test_its_signature_check_agrees_with_cryptography(settings, seed):
    settings.SEAL_KEYS = [bytes([seed]) * 32]
    message = b"m" * seed
    signature = Ed25519PrivateKey.from_private_bytes(settings.SEAL_KEYS[0]).sign(message)
    text = base64.urlsafe_b64encode(signature).decode()

    assert verify_pack.has_signature(message, text, public_key())
    assert not verify_pack.has_signature(message + b"x", text, public_key())
    for place in range(0, 64, 7):
        other = base64.urlsafe_b64encode(flipped(signature, place, 4)).decode()
        assert not verify_pack.has_signature(message, other, public_key())


@pytest.mark.parametrize(
    ("signature", "public"),
    [("", ""), ("AA==", "AA=="), ("ä", "ö"), (None, None), ("A" * 86 + "==", "/" * 43 + "=")],
)
def test_what_is_no_signature_or_no_key_is_no_proof(signature, public):
    assert not verify_pack.has_signature(b"message", signature, public)
