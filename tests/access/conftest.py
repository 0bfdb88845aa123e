from collections.abc import Iterator

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _no_counts_left(db: None) -> Iterator[None]:
    """Sign-in limits are counted in the cache, whose table no test empties by itself."""
    cache.clear()
    yield
    cache.clear()
