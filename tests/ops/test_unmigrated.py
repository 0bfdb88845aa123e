"""Commands where migrations are missing: one sentence that says so, and exit code 1."""

import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import DatabaseError

from pbxadmin.ops.start_up import command_line
from pbxadmin.ops.unmigrated import why_not_there
from tests.ops.test_keys_and_settings import GOOD
from tests.waiting import LIMIT_S, until

READ_TABLES = {
    "audit_accept": ("audit_accept", "--reason", "why"),
    "audit_evidence": ("audit_evidence", "pack.zip"),
    "audit_seal": ("audit_seal",),
    "audit_verify": ("audit_verify",),
    "backup": ("backup", "pack.zip"),
    "api_key": ("api_key", "list"),
    "grant": ("grant", "mara", "viewer"),
    "import_pbxs": ("import_pbxs", "pbxs.csv"),
    "reconcile": ("reconcile",),
    "rotate_keys": ("rotate_keys",),
}
DO_NOT = {"audit_key", "audit_role", "demo", "migrate", "restore", "simulate", "version"}
WAIT_FOR_IT = {"serve", "work"}  # they start, and are not ready until migrate was run
NOT_OURS = [
    ("createsuperuser", "--noinput", "--username", "mara", "--email", "mara@example.com"),
    ("changepassword", "mara"),
]


@pytest.fixture
def start(tmp_path):
    """Start manage.py in a folder of its own, with a database that was never migrated."""
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "pbxs.csv").write_text("customer,name,host\nAcme,HQ,pbx.example.com\n")

    def start(*words, **options):
        return subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *words],
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), **GOOD},
            cwd=tmp_path,
            text=True,
            **options,
        )

    return start


@pytest.fixture
def manage(start):
    """Run manage.py to its end."""

    def run(*words):
        with start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            said, complained = process.communicate(timeout=LIMIT_S)
        return subprocess.CompletedProcess(words, process.returncode, said, complained)

    return run


@pytest.mark.parametrize("words", [*READ_TABLES.values(), *NOT_OURS], ids=lambda words: words[0])
def test_a_command_says_that_the_database_was_never_migrated(manage, tmp_path, words):
    ended = manage(*words)

    assert ended.returncode == 1
    said = ended.stderr.splitlines()[-1]
    assert said.startswith("CommandError: no such table: ")
    assert said.endswith(". This database was never migrated: run `manage.py migrate`.")
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "pack.zip").exists()


def test_every_command_of_ours_is_known_to_need_the_tables_or_not():
    ours = {name for name, app in get_commands().items() if app == "pbxadmin.ops"}

    assert ours == READ_TABLES.keys() | DO_NOT | WAIT_FOR_IT


def test_workers_wait_for_it_a_line_at_a_time(start, tmp_path):
    log = tmp_path / "log"
    with log.open("w") as output, start("work", stdout=output, stderr=output) as process:
        try:
            until(lambda: "tick: no turn, the database says no such table" in log.read_text())
            until(lambda: "worker 0 is started anew, the database says no such table" in log.read_text())
            assert process.poll() is None
        finally:
            process.kill()

    assert "Traceback" not in log.read_text()


def test_who_asks_for_the_traceback_gets_it(manage):
    ended = manage("audit_verify", "--traceback")

    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


# --- with the tables ---


def failure(statement):
    with connection.cursor() as cursor, pytest.raises(DatabaseError) as caught:
        cursor.execute(statement)
    return caught.value


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement", ["SELECT 1 FROM moon", "SELECT moon FROM audit_event", "INSERT INTO audit_event (moon) VALUES (1)"]
)
def test_a_database_that_lacks_some_migrations_says_how_many(statement):
    MigrationRecorder(connection).migration_qs.filter(app="ops", name="0001_initial").delete()
    lost = failure(statement)

    why = why_not_there(lost)

    MigrationRecorder(connection).record_applied("ops", "0001_initial")
    assert "moon" in why
    assert "\n" not in why
    assert why.endswith(". This database lacks 1 migration: run `manage.py migrate`.")


@pytest.mark.django_db(transaction=True)
def test_what_no_migration_would_make_is_a_defect_of_ours_and_keeps_its_traceback():
    assert why_not_there(failure("SELECT 1 FROM moon")) == ""


@pytest.mark.django_db(transaction=True)
def test_another_failure_of_the_database_keeps_its_traceback():
    MigrationRecorder(connection).migration_qs.filter(app="ops", name="0001_initial").delete()

    why = why_not_there(failure("SELECT nothing("))

    MigrationRecorder(connection).record_applied("ops", "0001_initial")
    assert why == ""


@pytest.mark.django_db
def test_a_command_that_works_is_left_alone(capsys):
    command_line(["manage.py", "audit_verify"])

    assert capsys.readouterr().out.endswith("All 0 events are as they were recorded.\n")
