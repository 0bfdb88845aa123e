"""What keeps secrets out of the log lines, and strangers from filling them."""

import logging
import re
from collections.abc import MutableMapping
from typing import Any

# Links from e-mail: whoever has one can use it.
LINKS = re.compile(r"(/invitations/|/password/reset/key/)[^/\s?\"'>]+")


def hide_links(logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = LINKS.sub(r"\1…", value)
    return line


class Quieten(logging.Filter):
    """A request that is not in order, such as one for a foreign Host, is one line at INFO, without a traceback.

    Anybody can send it, and it is answered with 400: nothing of ours has failed.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("django.security.") or record.name == "django.security.csrf":
            return True
        record.levelno, record.levelname, record.exc_info = logging.INFO, "INFO", None
        return logging.getLogger().isEnabledFor(record.levelno)
