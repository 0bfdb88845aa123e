"""The clock of a PBX as it told it: its zone, and how far it is from ours."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

# `systemtime` in the vendor's guides: 2019-10-17 23:07:43 UTC-8
SYSTEM_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC([+-])(\d{1,2})(?::?(\d\d))?")
AGREES = timedelta(minutes=1)  # a sign-in takes some seconds, and the PBX tells whole ones


@dataclass(frozen=True)
class PbxClock:
    """zone: "UTC-8"; ahead: of our clock, negative when it is behind."""

    zone: str
    ahead: timedelta

    @property
    def agrees(self) -> bool:
        return abs(self.ahead) <= AGREES

    @property
    def words(self) -> str:
        """Return how far it is from ours: "as ours", "5 min ahead of ours", "3 h behind ours"."""
        if self.agrees:
            return "as ours"
        minutes = round(abs(self.ahead) / timedelta(minutes=1))
        size = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"
        return f"{size} {'ahead of' if self.ahead > timedelta(0) else 'behind'} ours"


def clock_told(text: str, at: datetime) -> PbxClock | None:
    """Read what a PBX told of its clock at a time of ours. Returns None for what is no time with a zone."""
    found = SYSTEM_TIME.fullmatch(text)
    if found is None:
        return None
    offset = timedelta(hours=int(found[3]), minutes=int(found[4] or 0)) * (-1 if found[2] == "-" else 1)
    try:
        theirs = datetime.fromisoformat(found[1]).replace(tzinfo=timezone(offset))
        return PbxClock(text.rpartition(" ")[2], theirs - at)
    except (ValueError, OverflowError):
        return None
