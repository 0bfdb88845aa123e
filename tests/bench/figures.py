"""Taking times of several ways in turns, and printing them side by side."""

import time
from collections.abc import Callable, Mapping
from statistics import median

Way = Callable[[], object]


def in_turns(
    ways: Mapping[str, Way], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each way in each round. Each way goes first as often as the others, so that a busy moment hits all."""
    names = list(ways)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for way in ways.values():
        way()  # what is only done once is not counted
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            began = clock()
            ways[name]()
            taken[name].append(clock() - began)
    return taken


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def table(taken: Mapping[str, list[float]], against: str, per: int = 1) -> None:
    """Ratios to one of the ways first, then milliseconds. per: how many things were done in one time taken."""
    print(f"{'':<34}{'x min':>8}{'x median':>10}{'min ms':>10}{'median ms':>11}")
    base = taken[against]
    for name, times in taken.items():
        ratios = f"{min(times) / min(base):>8.2f}{median(times) / median(base):>10.2f}"
        print(f"{name:<34}{ratios}{min(times) * 1000 / per:>10.2f}{median(times) * 1000 / per:>11.2f}")


def goal(text: str, found: float, at_most: float) -> None:
    print(f"{'met   ' if found <= at_most else 'MISSED'} {text}: {found:.2f}, at most {at_most:.2f}")


def at_least(text: str, found: float, least: float) -> None:
    print(f"{'met   ' if found >= least else 'MISSED'} {text}: {found:.2f}, at least {least:.2f}")
