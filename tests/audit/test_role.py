"""The working role of PostgreSQL adds events and reads them. Whatever else it tries with the log is refused."""

import os
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, ProgrammingError, connection, transaction
from django.db.models import Max
from django.utils import timezone

from pbxadmin.access.models import Customer
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import verify
from pbxadmin.audit.checkpoints import checkpoint_make
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.role import grants_apply, why_not
from pbxadmin.audit.triggers import triggers_missing
from pbxadmin.fleet.models import Pbx
from pbxadmin.ops.owner import connect_as, own_parts
from pbxadmin.ops.start_up import command_line
from pbxadmin.ops.tick import tick
from tests.factories import PASSWORD, make_customer, make_pbx, make_user

from .conftest import ACME

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has roles")
# Roles are those of the whole server, which the workers of pytest share.
ROLE = f"pbxadmin_works_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


def run(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def role(transactional_db):
    """A role as the documentation has it made; nobody is connected as it yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE])
        if cursor.fetchone() is None:
            cursor.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'made-up'")
    yield ROLE
    run(f"DROP OWNED BY {ROLE}", f"DROP ROLE {ROLE}")


@contextmanager
def connected_as(user, password=""):
    used = own_parts(connection.settings_dict)
    connect_as(used | {"USER": user, "PASSWORD": password})
    try:
        yield used["USER"], used["PASSWORD"]
    finally:
        connect_as(used)


@pytest.fixture
def as_role(role):
    """Events of the owner are there; from here on the test is connected as the role."""
    for _ in range(3):
        record(EventAction.PBX_EDITED, customer=ACME)
    grants_apply(role)
    with connected_as(role, "made-up") as (owner, _):
        yield owner


@on_postgresql
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET actor_name = 'evil'",
        "UPDATE audit_event SET text = text",
        "DELETE FROM audit_event WHERE sequence = 3",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "ALTER TABLE audit_event DISABLE TRIGGER ALL",
        "ALTER TABLE audit_event DISABLE TRIGGER audit_event_no_change",
        "ALTER TABLE audit_event RENAME TO gone",
        "ALTER TABLE audit_event ADD COLUMN x int",
        "ALTER TABLE audit_event OWNER TO {role}",
        "DROP TABLE audit_event",
        "DROP TRIGGER audit_event_no_change ON audit_event",
        "DROP FUNCTION audit_event_refuse() CASCADE",
        "CREATE OR REPLACE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE RULE quiet AS ON INSERT TO audit_event DO INSTEAD NOTHING",
        "CREATE TRIGGER mine BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_event_refuse()",
        "CREATE TABLE mine (id int)",
        "SET session_replication_role = replica",
        "SELECT setval('audit_event_id_seq', 1)",
        "INSERT INTO audit_event SELECT * FROM audit_event ON CONFLICT (id) DO UPDATE SET text = 'evil'",
        "SELECT 1 FROM audit_event FOR UPDATE",
        "DELETE FROM django_migrations",
        "GRANT ALL ON audit_event TO {role}",
        "SET ROLE {owner}",
    ],
)
def test_the_working_role_is_refused(as_role, statement):
    before = list(Event.objects.order_by("id").values_list("id", "hash"))
    statement = statement.format(owner=as_role, role=ROLE)

    with transaction.atomic(), connection.cursor() as cursor:
        if statement.startswith("GRANT"):  # PostgreSQL says so with a warning only
            cursor.execute(statement)
            cursor.execute("SELECT has_table_privilege('audit_event', 'UPDATE')")
            assert cursor.fetchone() == (False,)
        else:
            with pytest.raises(ProgrammingError, match=r"permission|owner"), transaction.atomic():
                cursor.execute(statement)

    assert list(Event.objects.order_by("id").values_list("id", "hash")) == before
    assert verify().faults == []


@on_postgresql
def test_the_product_works_with_it(as_role, client):
    make_user("manager", username="mara")
    assert client.post("/accounts/login/", {"login": "mara", "password": PASSWORD}).status_code == 302
    pbx = make_pbx(make_customer())
    for address in ("/", "/pbxs/", "/ivrs/", "/customers/", f"/pbxs/{pbx.pk}/"):
        assert client.get(address).status_code == 200, address
    assert client.post(f"/pbxs/{pbx.pk}/edit/", {"name": "x"}).status_code == 422
    pbx.delete()
    assert tick()
    assert client.get("/readyz").status_code == 200
    assert client.post("/accounts/logout/").status_code == 302

    assert checkpoint_make("daily").heads
    assert (Customer.objects.count(), Pbx.objects.count()) == (1, 0)
    assert verify().faults == []
    assert Event.objects.aggregate(last=Max("at"))["last"] <= timezone.now()


@on_postgresql
def test_the_command_prints_what_the_owner_has_to_say_and_does_it_when_told(role):
    out = StringIO()
    call_command("audit_role", role, stdout=out)
    assert f'GRANT SELECT, INSERT ON "audit_event" TO "{role}";' in out.getvalue()

    with connected_as(role, "made-up"), pytest.raises(DatabaseError):
        Event.objects.exists()

    call_command("audit_role", role, "--apply", stdout=out)
    assert out.getvalue().endswith("may add and read events and do nothing else with the log.\n")
    with connected_as(role, "made-up"):
        assert not Event.objects.exists()


@on_postgresql
def test_a_role_that_could_not_be_kept_from_the_log_is_refused(role):
    owner = connection.settings_dict["USER"]
    assert "There is no role nobody. Make it first" in why_not("nobody")
    assert why_not(role) == ""

    run(f"GRANT {owner} TO {role}")
    try:
        assert f"is the owner of the log, or may become it ({owner})" in why_not(role)
        with pytest.raises(CommandError, match="superuser"):
            call_command("audit_role", owner, "--apply")
    finally:
        run(f"REVOKE {owner} FROM {role}")


@on_postgresql
@pytest.mark.parametrize("words", [["migrate", "audit", "0001", "-v0"], ["audit_role", ROLE, "--apply"]])
def test_what_only_the_owner_may_do_says_so_in_one_sentence(as_role, words):
    with pytest.raises(SystemExit) as stopped:
        command_line(["manage.py", *words])

    assert str(stopped.value).startswith("CommandError: ")
    assert str(stopped.value).endswith("Only the owner of the tables may: name it in MIGRATE_DATABASE_URL.")


@on_postgresql
def test_migrate_runs_as_the_owner_and_lets_the_role_use_what_is_new(role, settings):
    with connected_as(role, "made-up") as (owner, password):
        settings.MIGRATE_DATABASE = connection.settings_dict | {"USER": owner, "PASSWORD": password}

        call_command("migrate", verbosity=0)

        assert connection.settings_dict["USER"] == role
        record(EventAction.PBX_EDITED, customer=ACME)
        with pytest.raises(DatabaseError):
            Event.objects.all().delete()


@on_postgresql
def test_a_backup_is_made_and_restored_as_the_owner_and_the_role_goes_on_with_it(role, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    file = str(tmp_path / "one.pbxadmin")
    record(EventAction.PBX_EDITED, customer=ACME)
    grants_apply(role)
    with connected_as(role, "made-up") as (owner, password):
        settings.MIGRATE_DATABASE = connection.settings_dict | {"USER": owner, "PASSWORD": password}
        call_command("backup", file, stdout=StringIO())
        call_command("backup", file, "--check", stdout=StringIO())
        record(EventAction.PBX_EDITED, customer=ACME)

        call_command("restore", file, "--overwrite", stdout=StringIO())

        assert connection.settings_dict["USER"] == role
        record(EventAction.PBX_EDITED, customer=ACME)
        actions = list(Event.objects.order_by("id").values_list("action", flat=True))
        assert actions == ["pbx.edited", "backup.restored", "pbx.edited"]
        assert verify().faults == []
        assert triggers_missing(connection) == []
        with pytest.raises(DatabaseError):
            Event.objects.all().delete()


@pytest.mark.skipif(connection.vendor == "postgresql", reason="SQLite has no roles")
def test_on_sqlite_the_command_says_what_there_is_instead(transactional_db):
    with pytest.raises(CommandError, match="Only PostgreSQL has roles"):
        call_command("audit_role", ROLE)
