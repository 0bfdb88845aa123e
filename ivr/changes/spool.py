"""A second place for outcomes that the database does not take: files, which the next tick replays.

A change was sent and read back; then the database was away, locked or full. What was found must not be lost, and it is
not sent again. A file holds how the change ended, as `settle.as_spooled` writes it.
"""

import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

log = logging.getLogger(__name__)


def folder() -> Path:
    """Return the folder of outcomes that wait."""
    return Path(settings.DATA_DIR) / "spool"


def spool_put(outcome: dict[str, Any]) -> None:
    """Write an outcome to disk, whole or not at all, readable by its owner alone."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder() / f"{uuid.uuid4()}.json"
    partial = path.with_suffix(".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(outcome, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def waits(change_id: int) -> str:
    """Return the sentence of an outcome of this change that waits to be recorded, "" when there is none."""
    waiting = (outcome for _, outcome in spooled() if outcome["change"] == change_id)
    return next((outcome["verdict"]["sentence"] for outcome in waiting), "")


def spooled() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each outcome that waits, with its file. A file that cannot be read stays, and the log says so."""
    for path in sorted(folder().glob("*.json")):
        try:
            yield path, json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            log.exception("spool: %s cannot be read", path.name)
