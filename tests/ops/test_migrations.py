"""Migrations of the rows that say when periodic work is due."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from pbxadmin.ops.models import PeriodicJob


def migrate_to(name: str) -> MigrationExecutor:
    MigrationExecutor(connection).migrate([("ops", name)])
    return MigrationExecutor(connection)


@pytest.mark.django_db(transaction=True)
def test_the_times_of_periodic_work_survive_the_renaming_of_its_table():
    due = datetime(2026, 3, 1, 12, tzinfo=UTC)
    executor = migrate_to("0001_initial")
    try:
        before = executor.loader.project_state([("ops", "0001_initial")]).apps.get_model("ops", "Turn")
        before.objects.create(name="seal", due_at=due)
    finally:
        migrate_to("0002_periodic_job")

    assert PeriodicJob.objects.get(name="seal").due_at == due
