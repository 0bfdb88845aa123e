"""Lets transactional tests empty the database quickly, although the log's triggers refuse it, and leave it as migrated.

The triggers are taken away for the flush and put back after it, here and not in the product: a switch that turns them
off would be a back door. Rows that a migration made are made anew: the next test may look for them.

What follows a migration (Django's permissions, a look at each search index) took nine tenths of such a flush and is
left out. Ids go on, since the cache, which is not emptied, knows people by theirs.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase

from pbxadmin.audit.checkpoints import checkpoints_path
from pbxadmin.audit.triggers import triggers_install, triggers_remove

first_policies = import_module("pbxadmin.policies.migrations.0002_first_policies")


@pytest.fixture(autouse=True, scope="session")
def flush_leaves_the_database_as_migrated() -> Iterator[None]:
    test_case: Any = TransactionTestCase  # its hook is not public
    original = test_case._fixture_teardown

    def teardown(self: TransactionTestCase) -> None:
        triggers_remove(connection)
        try:
            call_command("flush", verbosity=0, interactive=False, reset_sequences=False, inhibit_post_migrate=True)
        finally:
            triggers_install(connection)
        first_policies.add(apps, None)

    test_case._fixture_teardown = teardown
    yield
    test_case._fixture_teardown = original


@pytest.fixture(autouse=True)
def checkpoints_are_of_one_test() -> Iterator[None]:
    yield
    checkpoints_path().unlink(missing_ok=True)
