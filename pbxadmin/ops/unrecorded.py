"""Events of commands that work on a database before it is migrated: they wait in a file until the log can take them."""

import json
import os
import pwd
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record

from .unmigrated import migrations_missing


def unrecorded_path() -> Path:
    return Path(settings.DATA_DIR) / "unrecorded.jsonl"


def record_or_keep(action: EventAction, **detail: Any) -> None:
    """Record an event of the installation; where migrations are missing, keep it until `unrecorded_record`.

    The event names who ran the command, as the operating system calls them.
    """
    detail["os_user"] = os_user()
    if not migrations_missing():
        record(action, detail=detail)
        return
    descriptor = os.open(unrecorded_path(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps({"action": action.name, "detail": detail}) + "\n")
        file.flush()
        os.fsync(file.fileno())


def unrecorded_record() -> int:
    """Record what waits, once all migrations are applied; return how many events. Killed there, it may do so twice."""
    path = unrecorded_path()
    if not path.exists() or migrations_missing():
        return 0
    kept = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with transaction.atomic():
        for one in kept:
            record(EventAction[one["action"]], detail=one["detail"])
    path.unlink()
    return len(kept)


def os_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number
        return str(os.getuid())
