"""Backup, its check and restore, as somebody does it at night: under load, after a loss, with what may go wrong."""

import getpass
import gzip
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO, StringIO
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pytest
from django.conf import settings as used
from django.core.management import CommandError, call_command
from django.db import connection

from ivr.changes.spool import spool_put
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import verify
from pbxadmin.audit.checkpoints import checkpoint_make, checkpoints_path
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.sealed import key_id_of
from tests.factories import make_pbx
from tests.kill.processes import environment
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "data"
    settings.DATA_DIR.mkdir(mode=0o700)
    return settings.DATA_DIR


@pytest.fixture
def file(tmp_path):
    return tmp_path / "one.pbxadmin"


@pytest.fixture
def pbx():
    return make_pbx()


def said(*words):
    out = StringIO()
    call_command(*map(str, words), stdout=out)
    return out.getvalue()


def failed(*words):
    with pytest.raises(CommandError) as failure:
        said(*words)
    sentence = str(failure.value)
    assert "\n" not in sentence
    return sentence


@pytest.fixture
def writers():
    """Two people who write events until told to stop; what they have done is counted."""
    stop, done = Flag(), []

    def write(name):
        while not stop.is_set():
            done.append(record(EventAction.PBX_EDITED, customer=(1, name)).pk)
        connection.close()

    threads = [Thread(target=write, args=[name]) for name in ("Acme", "Bellweather")]
    for thread in threads:
        thread.start()

    def end():
        stop.set()
        for thread in threads:
            thread.join()
        return done

    yield done, end
    end()


def destroy():
    """All that is in the database, as a disk that died or a hand that slipped."""
    if connection.vendor == "sqlite":
        name = connection.settings_dict["NAME"]
        connection.close()
        for path in Path(name).parent.glob(f"{Path(name).name}*"):
            path.unlink()
    else:
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE")
            cursor.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
            cursor.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")  # as a new database has it


def test_the_drill(writers, pbx, file, data_dir):
    done, end = writers
    until(lambda: len(done) > 20)
    checkpoint_make("daily")
    spool_put({"change": 12, "verdict": {"sentence": "Verified."}})
    before = set(done)

    words = said("backup", file)
    at_the_end = set(end())

    assert file.stat().st_mode & 0o777 == 0o600
    assert f"It needs of PBX_KEYS: {key_id_of(used.PBX_KEYS[0])}. No key is in it: keep them" in words
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []
    assert "Opened 1 sealed value, one for each key." in said("backup", "--check", file)
    shutil.rmtree(data_dir / "spool")
    checkpoints = checkpoints_path().read_bytes()
    checkpoints_path().unlink()
    destroy()

    said("restore", file)

    kept = set(Event.objects.filter(action="pbx.edited").values_list("pk", flat=True))
    assert before <= kept <= at_the_end
    assert verify().faults == []
    assert checkpoints_path().read_bytes() == checkpoints
    assert len(list((data_dir / "spool").iterdir())) == 1
    assert "events are as they were recorded" in said("audit_verify")
    assert Pbx.objects.get().password_digest.open() == pbx.password_digest.open()
    record(EventAction.PBX_EDITED, customer=(1, "Acme"))
    assert said("migrate", "--check") == ""
    assert verify().faults == []


def test_a_database_that_has_events_is_replaced_only_when_told(pbx, file):
    said("backup", file)
    events = Event.objects.count()
    record(EventAction.PBX_EDITED)

    assert failed("restore", file) == "The database has people or events. --overwrite replaces them with the backup."
    assert Event.objects.count() == events + 1

    said("restore", "--overwrite", file)
    assert list(Event.objects.order_by("id").values_list("action", flat=True)[events - 1 :]) == ["backup.restored"]
    assert verify().faults == []


def test_the_log_says_which_backup_was_made_and_which_one_a_database_comes_from(pbx, file):
    record(EventAction.PBX_EDITED, customer=(1, "Acme"))
    last = record(EventAction.PERSON_EDITED)
    said("backup", file)
    made = Event.objects.latest("id")
    record(EventAction.PERSON_EDITED)

    said("restore", "--overwrite", file)

    restored = Event.objects.latest("id")
    assert (made.action, made.chain, restored.action, restored.chain) == (
        "backup.made",
        "installation",
        "backup.restored",
        "installation",
    )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert made.data["detail"]["sha256"] == restored.data["detail"]["sha256"] == digest
    assert made.data["detail"]["backup_of"] == restored.data["detail"]["backup_of"]
    assert made.data["detail"]["file"] == restored.data["detail"]["file"] == file.name
    assert made.data["detail"]["os_user"] == restored.data["detail"]["os_user"] == getpass.getuser()
    ends = {name: restored.data["detail"][name] for name in ("last_event", "last_number")}
    assert ends == {"last_event": last.pk, "last_number": last.sequence}
    assert restored.sequence == last.sequence + 1
    assert str(file.parent) not in made.text + restored.text
    assert "events are as they were recorded" in said("audit_verify")


def test_a_database_that_is_not_migrated_yet_can_be_backed_up_and_restored_and_migrate_says_so(pbx, file):
    said("migrate", "audit", "0003", "--verbosity=0")
    said("backup", file)
    said("restore", "--overwrite", file)
    assert not Event.objects.filter(action__startswith="backup.").exists()

    said("migrate", "--verbosity=0")
    said("migrate", "--verbosity=0")

    found = Event.objects.filter(action__startswith="backup.").order_by("id")
    assert [event.action for event in found] == ["backup.made", "backup.restored"]
    assert "events are as they were recorded" in said("audit_verify")


def test_no_backup_is_made_that_cannot_be_recorded(pbx, file):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event RENAME TO away")
    try:
        sentence = failed("backup", file)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO audit_event")

    assert "audit_event" in sentence
    assert not file.exists()


def test_later_checkpoints_of_this_machine_stay_and_tell_what_is_gone(pbx, file):
    checkpoint_make("daily")
    said("backup", file)
    record(EventAction.PBX_EDITED)
    checkpoint_make("daily")

    said("restore", "--overwrite", file)

    assert checkpoints_path().read_text().count("\n") == 2
    assert "cut off" in failed("audit_verify") or "missing" in failed("audit_verify")


def test_other_checkpoints_are_set_aside(pbx, file):
    checkpoint_make("daily")
    said("backup", file)
    kept = checkpoints_path().read_bytes()
    checkpoints_path().write_text("another\n")

    words = said("restore", "--overwrite", file)

    assert "Other checkpoints were here. They are kept as " in words
    assert checkpoints_path().read_bytes() == kept
    assert [path.read_text() for path in checkpoints_path().parent.glob("*.before-*")] == ["another\n"]


@pytest.mark.parametrize("words", [["backup", "--check"], ["restore", "--overwrite"]])
def test_a_key_that_is_missing_is_named(pbx, file, settings, words):
    said("backup", file)
    key = key_id_of(settings.PBX_KEYS[0])
    settings.PBX_KEYS = [b"x" * 32]

    assert failed(*words, file) == (
        f"The backup needs the key {key}, which is not in PBX_KEYS. Add it after the newest one."
    )
    assert Pbx.objects.exists()


def written(file, **manifest):
    """Write the backup again with something else in its manifest."""
    with tarfile.open(file) as tar:
        members = {one.name: tar.extractfile(one).read() for one in tar.getmembers()}
    members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | manifest).encode()
    with tarfile.open(file, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, BytesIO(content))


def test_a_backup_of_the_other_engine_is_refused(pbx, file):
    said("backup", file)
    written(file, engine="oracle")

    assert failed("restore", "--overwrite", file) == (
        f"The backup is of oracle, and DATABASE_URL names a {connection.vendor}."
    )


def cut(file):
    file.write_bytes(file.read_bytes()[:-200])


def no_backup(file):
    file.write_bytes(gzip.compress(b"something else" * 100))


def lists_another_place(file):
    written(file, files={"database": "0" * 64, "../evil": "0" * 64})


def altered(file):
    written(file, files={"database": "0" * 64})


@pytest.mark.parametrize("damage", [cut, no_backup, lists_another_place, altered])
@pytest.mark.parametrize("words", [["backup", "--check"], ["restore", "--overwrite"]])
def test_a_file_that_is_not_whole_changes_nothing(pbx, file, damage, words):
    said("backup", file)
    damage(file)

    assert failed(*words, file).startswith(f"{file} is not a complete backup of PBX Admin: ")
    assert Pbx.objects.exists()


def test_a_file_that_is_not_there(file):
    assert failed("backup", "--check", file) == f"{file}: No such file or directory."


def test_a_full_disk_is_said_and_leaves_no_part_of_a_file(pbx, file, data_dir):
    file.write_text("the one before")

    done = subprocess.run(
        [sys.executable, "manage.py", "backup", str(file)],
        cwd=used.BASE_DIR,
        env=environment(DATA_DIR=str(data_dir)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: ")
    assert done.stderr.count("\n") == 1
    assert file.read_text() == "the one before"
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []
