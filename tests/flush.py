"""Lets transactional tests empty the database quickly, although the log's triggers refuse it, and leave it as migrated.

The triggers are taken away for the flush and put back after it, here and not in the product: a switch that turns them
off would be a back door. Rows that a migration made are made anew: the next test may look for them.

Django's own flush takes ten times as long on PostgreSQL, where it makes the files of each table anew, and does again
what follows a migration. Ids go on, since the cache, which is not emptied, knows people by theirs.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test import TransactionTestCase

from pbxadmin.audit.checkpoints import checkpoints_path
from pbxadmin.audit.triggers import triggers_install, triggers_remove

first_policies = import_module("pbxadmin.policies.migrations.0002_first_policies")


@pytest.fixture(autouse=True, scope="session")
def flush_leaves_the_database_as_migrated() -> Iterator[None]:
    test_case: Any = TransactionTestCase  # its hook is not public
    original = test_case._fixture_teardown

    def teardown(self: TransactionTestCase) -> None:
        with transaction.atomic(), connection.cursor() as cursor:  # keys are compared when it ends, so in any order
            triggers_remove(connection)
            for sql in deletions():
                cursor.execute(sql)
            triggers_install(connection)
        first_policies.add(apps, None)

    test_case._fixture_teardown = teardown
    yield
    test_case._fixture_teardown = original


def deletions() -> list[str]:
    """Return what empties every table: one text for a server, which takes a third of the time."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    each = [f"DELETE FROM {connection.ops.quote_name(name)}" for name in names]  # noqa: S608 - of our own models
    return [";".join(each)] if connection.vendor == "postgresql" else each


@pytest.fixture(autouse=True)
def checkpoints_are_of_one_test() -> Iterator[None]:
    yield
    checkpoints_path().unlink(missing_ok=True)
