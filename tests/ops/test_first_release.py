"""A database of the first release, with data, is migrated to what there is now; nothing of it is lost."""

from contextlib import contextmanager

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from pbxadmin.access.models import Customer, User
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import verify
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.ops.backup import execute, using
from pbxadmin.sealed import seal
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db(transaction=True)
PACKAGES_THEN = ("access", "audit", "fleet", "ivr", "ops", "review")


@contextmanager
def empty_database(tmp_path):
    if connection.vendor == "sqlite":
        with using(str(tmp_path / "old.sqlite3")):
            yield
        return
    execute("CREATE DATABASE first_release")
    try:
        with using("first_release"):
            yield
    finally:
        execute("DROP DATABASE first_release WITH (FORCE)")


def migrated_to_the_first_release():
    """Apply the first migration of each package that there was; return its models."""
    executor = MigrationExecutor(connection)
    firsts = [node for package in PACKAGES_THEN for node in executor.loader.graph.root_nodes(package)]
    executor.migrate(firsts)
    return MigrationExecutor(connection).loader.project_state(firsts).apps


def fill(old, events, password):
    customer = old.get_model("access", "Customer").objects.create(name="Acme Logistics")
    old.get_model("access", "User").objects.create(username="mara", password=password)
    pbx = old.get_model("fleet", "Pbx").objects.create(
        customer=customer, name="ACME-HQ", host="pbx.invalid", port=8088, username="api", trust="pin"
    )
    seal(pbx, "password_digest", "a digest")
    pbx.save()
    for event in events:
        old.get_model("audit", "Event").objects.create(**event)


def test_a_database_of_the_first_release_is_migrated_with_its_data(tmp_path):
    password = make_user(username="mara").password
    for place in range(5):
        record(EventAction.PBX_EDITED, customer=(1, "Acme Logistics"), detail={"place": place})
    newer = {"id", "batch_id"}
    rows = Event.objects.order_by("id").values()
    events = [{name: value for name, value in row.items() if name not in newer} for row in rows]

    with empty_database(tmp_path):
        fill(migrated_to_the_first_release(), events, password)

        call_command("migrate", verbosity=0)

        assert list(Event.objects.order_by("id").values_list("hash", flat=True)) == [one["hash"] for one in events]
        assert verify().faults == []
        assert User.objects.get(username="mara").check_password(PASSWORD)
        assert Customer.objects.get().name == "Acme Logistics"
        assert Pbx.objects.matching("acme-hq").get().password_digest.open() == "a digest"
        record(EventAction.PBX_EDITED, customer=(1, "Acme Logistics"))
        assert (Event.objects.count(), verify().faults) == (len(events) + 1, [])
        call_command("audit_verify", verbosity=0)
