"""The database refuses to alter the log, also after migrations and test flushes."""

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.core.management.sql import emit_post_migrate_signal
from django.db import IntegrityError, connection, models, transaction

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_missing

EVERYWHERE = ["UPDATE audit_event SET actor_name = 'evil'", "DELETE FROM audit_event"]
ON_ONE = {
    "sqlite": "INSERT OR REPLACE INTO audit_event SELECT * FROM audit_event",
    "postgresql": "TRUNCATE audit_event",
}


def refused(*statements: str) -> bool:
    """Whether the last of these statements is refused by a trigger."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements[:-1]:
            cursor.execute(statement)
        with pytest.raises(IntegrityError, match="never altered"), transaction.atomic():
            cursor.execute(statements[-1])
    return True


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_database_refuses_to_alter_the_log(three_events, position):
    assert refused([*EVERYWHERE, ON_ONE[connection.vendor]][position])


def test_the_models_own_ways_are_refused_too(three_events):
    for alter in (three_events[0].delete, three_events[0].save, Event.objects.all().delete):
        with pytest.raises(IntegrityError, match="never altered"), transaction.atomic():
            alter()


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite replaces a row without deleting it")
@pytest.mark.parametrize("same", ["id", "place"])
def test_no_event_takes_the_id_or_the_place_of_another(three_events, same):
    taken = {field.attname: field.attname for field in Event._meta.concrete_fields}
    taken |= {"sequence": "sequence + 50"} if same == "id" else {"id": "id + 50"}
    values = f"SELECT {', '.join(taken.values())} FROM audit_event"  # noqa: S608

    assert refused(f"INSERT OR REPLACE INTO audit_event ({', '.join(taken)}) {values}")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL lets a superuser pass by triggers")
def test_a_superuser_who_plays_replica_is_refused(three_events):
    assert refused("SET LOCAL session_replication_role = replica", EVERYWHERE[0])


@pytest.mark.django_db
def test_a_missing_trigger_is_named_and_put_back(without_triggers):
    missing = triggers_missing(connection)

    triggers_install(connection)

    assert missing
    assert triggers_missing(connection) == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL can switch a trigger off")
def test_a_trigger_that_does_not_fire_for_everybody_counts_as_missing(db):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_event_no_change")
        assert triggers_missing(connection) == ["audit_event_no_change"]

        cursor.execute("ALTER TABLE audit_event ENABLE TRIGGER audit_event_no_change")
        assert triggers_missing(connection) == ["audit_event_no_change"]

    triggers_install(connection)
    assert triggers_missing(connection) == []


@pytest.mark.django_db(transaction=True)
def test_a_later_migration_that_remakes_the_table_leaves_the_triggers_there():
    record(EventAction.PBX_EDITED)
    old = Event._meta.get_field("ivr_name")
    new = models.CharField(max_length=300, blank=True)
    new.set_attributes_from_name("ivr_name")
    new.model = Event

    with connection.schema_editor() as editor:
        editor.alter_field(Event, old, new)
        editor.alter_field(Event, new, old)
    lost = triggers_missing(connection)
    emit_post_migrate_signal(verbosity=0, interactive=False, db="default")

    assert len(lost) == {"sqlite": 3, "postgresql": 0}[connection.vendor]
    assert triggers_missing(connection) == []
    assert refused(EVERYWHERE[1])


@pytest.mark.django_db(transaction=True)
def test_the_first_migration_can_be_taken_back_and_made_again():
    try:
        call_command("migrate", "audit", "zero", verbosity=0)
        assert "audit_event" not in connection.introspection.table_names()
    finally:
        call_command("migrate", verbosity=0)

    assert triggers_missing(connection) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_transactional_test_starts_empty_and_guarded_although_one_went_before(turn):
    assert not Event.objects.exists()

    record(EventAction.PBX_EDITED)

    assert triggers_missing(connection) == []
    assert refused(EVERYWHERE[0])


def checked():
    """What `check --database default` says of the triggers."""
    return [message for message in run_checks(databases=["default"]) if message.id == "pbxadmin.E001"]


def test_a_missing_trigger_fails_the_system_check(without_triggers):
    names = triggers_missing(connection)

    assert [message.msg for message in checked()] == [
        f"the audit log has no trigger {name}: run manage.py migrate" for name in names
    ]
    with pytest.raises(SystemCheckError, match=names[0]):
        call_command("check", databases=["default"])


@pytest.mark.django_db
def test_a_whole_log_passes_the_system_check():
    assert checked() == []


def test_migrate_puts_triggers_back_although_the_check_fails_without_them(without_triggers):
    call_command("migrate", verbosity=0, skip_checks=False)

    assert triggers_missing(connection) == []


def test_only_looking_at_migrations_changes_nothing(without_triggers):
    missing = triggers_missing(connection)

    with pytest.raises(SystemCheckError):
        call_command("migrate", verbosity=0, plan=True, skip_checks=False)

    assert triggers_missing(connection) == missing
