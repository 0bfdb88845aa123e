from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _no_counts_left(db: None) -> Iterator[None]:
    """Sign-in limits are counted in the cache, whose table no test empties by itself."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def clock(time_machine: Any) -> Any:
    """The time, for a test to `shift` by seconds."""
    time_machine.move_to(datetime.now(UTC))
    return time_machine
