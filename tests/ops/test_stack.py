"""Calls are as fast at each depth: on a stack without room, one at the end of a chunk costs a page fault each time."""

import resource
from concurrent.futures import ThreadPoolExecutor

from pbxadmin.ops.stack import with_stack_room

DEPTHS, LOOPS = range(400), 200


def test_no_depth_of_calls_asks_the_system_for_memory_again_and_again() -> None:
    with ThreadPoolExecutor(1) as pool:
        most = pool.submit(with_stack_room(most_faults)).result()
    assert most < LOOPS // 2


def most_faults() -> int:
    return max(faults_at(depth) for depth in DEPTHS)


def faults_at(depth: int) -> int:
    """Return the page faults of a loop of calls so deep in others."""
    if depth:
        return faults_at(depth - 1)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(LOOPS):
        call(8)
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


def call(within: int) -> None:
    if within:
        call(within - 1)
