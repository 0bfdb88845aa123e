"""Waiting in tests: for a condition instead of a fixed time, or by a clock that a test moves on."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
LIMIT_S = 300.0  # long enough on any machine; only a test that fails waits that long


def until(is_true: Callable[[], Found], seconds: float = LIMIT_S, every: float = 0.02) -> Found:
    """Return what `is_true` returned as soon as that counts as true. Fail after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := is_true()):
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(every)
    return found


class Clock:
    """A stand-in for the module `time`. Sleeping only moves this clock on; `slept` says how far, in seconds."""

    def __init__(self) -> None:
        self.slept = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
