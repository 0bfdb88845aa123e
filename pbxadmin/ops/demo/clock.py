"""The clock of the story. It moves in the process that tells it, and only until the server starts.

The product takes its time from one place: `django.utils.timezone.now()`, also for the defaults of columns. That asks
`datetime` of its own module, so what stands there under this name is the clock of everything that is stored. Deadlines
and the budgets of calls are measured with `time.monotonic()`, which goes on as ever.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from typing import Any

from django.utils import timezone


class MovedClock(datetime):
    """A clock that runs, and is behind the real one by some time."""

    behind = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) - cls.behind


@contextmanager
def moved_clock() -> Iterator[Callable[[datetime], None]]:
    """Yield a function that sets the clock of this process to a moment of the past. It is right again afterwards."""

    def move(to: datetime) -> None:
        MovedClock.behind = datetime.now(to.tzinfo) - to

    was = timezone.datetime  # type: ignore[attr-defined]
    timezone.datetime = MovedClock  # type: ignore[attr-defined]
    try:
        yield move
    finally:
        timezone.datetime = was  # type: ignore[attr-defined]
        MovedClock.behind = timedelta(0)
