"""The check of a single row: does it say what was recorded? `chain.verify` checks all rows and their links."""

import json
from collections.abc import Mapping
from typing import Any

from .log import DERIVED, derived_digest, index_of, link
from .models import Event


def is_as_recorded(event: Event) -> bool:
    try:
        said: Mapping[str, Any] = json.loads(event.text)
        columns = {name: getattr(event, name) for name in index_of(said)}
        return (
            event.is_typed
            and link(event.previous_hash, event.text) == event.hash
            and columns == index_of(said)
            and derived_digest([getattr(event, name) for name in DERIVED]) == said["index"]
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
