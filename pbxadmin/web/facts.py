"""Facts as plain text, one a line, to be pasted into a ticket."""

from collections.abc import Iterable
from datetime import datetime

Fact = tuple[str, str]
WIDTH = 11


def moment(at: datetime | None) -> str:
    """Return a time as plain text has it, "" for none."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""


def facts_text(facts: Iterable[Fact]) -> str:
    """Write one fact a line. Line breaks inside a value become blanks: no name on a PBX may pose as our fact."""
    return "".join(f"{label:<{WIDTH}}{' '.join(text.split())}\n" for label, text in facts if text.strip())
