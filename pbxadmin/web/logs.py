"""What keeps secrets out of the log lines."""

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
