import copy
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import TestCase

from .world import World, make_world


@pytest.fixture(scope="module")
def world_of_module(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """Make the world once for all tests of a module, as `setUpTestData` does. It is undone after them."""
    atomics = TestCase._enter_atomics  # type: ignore[attr-defined]
    with django_db_blocker.unblock():
        opened = atomics()
        world = make_world()
    yield world
    with django_db_blocker.unblock():
        TestCase._rollback_atomics(opened)  # type: ignore[attr-defined]


@pytest.fixture
def world(world_of_module: World, db: None) -> World:
    return copy.deepcopy(world_of_module)
