"""Log filters: they keep secrets out of log lines, and strangers from filling the log."""

import logging
import re
from collections.abc import MutableMapping
from typing import Any

# Links from e-mail: anybody who has one can use it.
LINKS = re.compile(r"(/invitations/|/notices/end/|/password/reset/key/)[^/\s?\"'>]+")


def hide_links(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = LINKS.sub(r"\1…", value)
    return line


class Quieten(logging.Filter):
    """Filter that logs a suspicious request, such as one for a foreign Host, as one INFO line without a traceback.

    Anybody can send such a request, and it is answered with 400: nothing failed here.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("django.security.") or record.name == "django.security.csrf":
            return True
        record.levelno, record.levelname, record.exc_info = logging.INFO, "INFO", None
        return logging.getLogger().isEnabledFor(record.levelno)
