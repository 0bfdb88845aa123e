"""Reading many whole PBXs, several at once, for whoever has rows of them: a run (refresh.py), or a preview.

The pool's threads do HTTP only; the task's own thread takes leases and writes in bulk.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import RLock
from typing import Protocol

from pbxadmin.fleet.concurrency import ending
from pbxadmin.fleet.lease import LeaseHandle
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import client_or_state, refused_logins_save
from pbxadmin.yeastar.client import PAGE_S, PbxClient
from pbxadmin.yeastar.driver import CallKind
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.readings import IvrSettings

from .snapshots import Listing
from .ways import ListFound, lists_read

log = logging.getLogger(__name__)

IN_USE_WAIT_S = 0.2
GATHER_S = 0.05  # readings that end so soon after another are stored with it
RUN_S = 30.0  # a task ends by then and makes room for others
LAST_S = 10.0  # before its end, a task begins no more PBXs
SLOW_S = 0.3  # at least, until a reading is slow
LAST_ANSWERS = 64  # how many are remembered
SLOW_TOO = 4  # so many times the PBXs read at once may be slow beside them


class PbxSource(Protocol):
    """Whose rows are read. All of it is called in the task's own thread.

    threads: how many PBXs are read at once.
    """

    threads: int

    def take(self, at_most: int, until: float) -> "list[Work]":
        """Claim rows of at most so many PBXs, and their leases. until: when the calls end, by time.monotonic()."""

    def save(self, results: "Sequence[Result]") -> None:
        """Store what was read, and give rows and leases back."""

    def give_back(self, works: "Sequence[Work]") -> None:
        """Give rows and leases back of PBXs that nobody began to read."""

    def waits_for_others(self) -> bool:
        """Tell whether PBXs are left that somebody else has in use, and that are waited for."""


class BulkReading:
    """What one task reads: PBXs of a source, several at once, for a while.

    Some more are leased and ready, so that a thread whose PBX has answered begins the next one at once, while
    this task stores what others read. A PBX that takes longer than three of four did is slow. It does not count among
    those read at once any more, and as many of the next are expected to be slow, so that PBXs which hang cost the
    others little. Where all take long, since the machine is busy, no more are begun.

    taken: each PBX whose lease was claimed. ready: those of them that nobody has begun. begun: when those under way
    were, by row. in_hand: how many were taken and not stored. answered: how many did. slow_s: from when on one is slow.
    """

    def __init__(self, source: PbxSource) -> None:
        self.source = source
        self.taken: list[Work] = []
        self.ready: deque[Work] = deque()
        self.begun: dict[int, float] = {}
        self.ended: SimpleQueue[Result] = SimpleQueue()
        self.in_hand = 0
        self.until = time.monotonic() + RUN_S
        self.answered_in: deque[float] = deque(maxlen=LAST_ANSWERS)
        self.answered = 0
        self.slow_s = SLOW_S
        self.lock = RLock()  # for ready, begun and what answered, which the threads share

    def work(self) -> None:
        """Read until nothing is left or the time is up, and store what was read."""
        try:
            self.read_all()
        except BaseException:
            refused_logins_save((work.pbx, work.client) for work in self.taken)
            raise

    def read_all(self) -> None:
        results: list[Result] = []
        with ThreadPoolExecutor((1 + SLOW_TOO) * self.source.threads, thread_name_prefix="reading") as pool:
            try:
                while True:
                    if self.may_take:
                        self.take()
                    else:
                        self.give_back()
                    for _ in range(min(self.free, len(self.ready))):
                        pool.submit(self.read_ready)
                    if results:
                        self.source.save(results)  # while the next readings are under way
                    elif not self.in_hand:
                        if not self.may_take or not self.source.waits_for_others():
                            break
                        time.sleep(IN_USE_WAIT_S)
                    results = self.results()
            finally:
                self.ready.clear()

    def take(self) -> None:
        """Lease more PBXs, as many as may be begun now and soon."""
        wanted = self.wanted
        if wanted > 0:
            works = self.source.take(wanted, self.until)
            self.taken += works
            self.in_hand += len(works)
            self.ready.extend(works)

    def give_back(self) -> None:
        """Give back what is ready: begun now, it would be cut off by our own end and look as if it did not answer."""
        with self.lock:
            left = list(self.ready)
            self.ready.clear()
        if left:
            self.in_hand -= len(left)
            self.source.give_back(left)

    @property
    def may_take(self) -> bool:
        """Tell whether another PBX is begun: not so late that no time is left for it, nor when the process ends."""
        return time.monotonic() < self.until - LAST_S and not ending.is_set()

    @property
    def wanted(self) -> int:
        """Return how many PBXs are to be leased now: those that may begin, and others that will soon.

        As many as are read at once, and fewer the longer PBXs take, so that none is leased long before it is read.
        """
        with self.lock:
            return self.free + int(self.source.threads * SLOW_S / self.slow_s) - len(self.ready)

    @property
    def free(self) -> int:
        """Return how many PBXs may be begun now: as many as are read at once, and those expected to be slow.

        As many again at most: where nobody answers because our own machine is busy, more would make it busier.
        """
        with self.lock:
            threads, young = self.source.threads, len(self.young())
            slow = len(self.begun) - young
            expected = min(threads, threads * slow // max(1, self.answered))
            return min(threads + expected - young, (1 + SLOW_TOO) * threads - len(self.begun))

    def young(self) -> list[float]:
        """Return when those were begun that are not slow yet."""
        slow = time.monotonic() - self.slow_s
        return [began for began in self.begun.values() if began > slow]

    def read_ready(self) -> None:
        """Read PBXs that are ready, one after the other, in a thread of the pool."""
        while work := self.begin():
            result = result_of(work)
            self.end(result)
            self.ended.put(result)

    def begin(self) -> "Work | None":
        """Return the next PBX to read, None when none may be begun now."""
        with self.lock:
            if not self.ready or self.free <= 0 or not self.may_take:
                return None
            work = self.ready.popleft()
            self.begun[work.row_id] = time.monotonic()
            return work

    def end(self, result: "Result") -> None:
        """Note that a reading ended, and how long it took when it did not fail."""
        with self.lock:
            seconds = time.monotonic() - self.begun.pop(result.work.row_id)
            if not result.problem:
                self.answered += 1
                self.answered_in.append(seconds)
                self.slow_s = max(SLOW_S, sorted(self.answered_in)[(len(self.answered_in) - 1) * 3 // 4])

    def results(self) -> "list[Result]":
        """Wait a moment for readings to end. Return those that did, also those just after the first."""
        if not self.in_hand:
            return []
        results: list[Result] = []
        with suppress(Empty):
            results.append(self.ended.get(timeout=self.look_s()))
            if self.in_hand > 1 + self.ended.qsize():
                time.sleep(GATHER_S)
            while True:
                results.append(self.ended.get_nowait())
        self.in_hand -= len(results)
        return results

    def look_s(self) -> float:
        """Return for how long to wait for results: at most until one under way is slow, so that another may begin."""
        with self.lock:
            first = min(self.young(), default=None)
        if first is None:
            return IN_USE_WAIT_S
        return min(IN_USE_WAIT_S, max(0.0, first + self.slow_s - time.monotonic()) + GATHER_S)


@dataclass(frozen=True)
class WholeReading:
    """What a PBX listed: its IVRs, and the lists beside them that were due."""

    ivrs: Sequence[IvrSettings] = ()
    lists: Sequence[ListFound] = ()


@dataclass(frozen=True)
class Work:
    """One PBX, leased by this task. row_id: of its row in the source. lists: what is read beside its IVRs."""

    row_id: int
    pbx: Pbx
    client: PbxClient
    held: LeaseHandle
    lists: Sequence[CallKind] = ()

    def read(self) -> WholeReading:
        """Read the PBX, in a thread of the pool. Raises PbxError when its IVRs could not be read."""
        self.client.until = min(self.client.until, time.monotonic() + PAGE_S)  # not from when it was leased
        try:
            ivrs = self.client.query_ivrs()
            return WholeReading(ivrs, lists_read(self.client, self.lists))
        finally:
            self.client.transport.close()  # before it waits to be stored


@dataclass(frozen=True)
class Result:
    """How the reading of one PBX ended: what it listed, or why it could not be read."""

    work: Work
    read: WholeReading = WholeReading()
    problem: str = ""

    @property
    def listing(self) -> Listing:
        return Listing(self.work.pbx, self.work.held, self.read.ivrs, found_none=self.work.client.found_none)


def result_of(work: Work) -> Result:
    """Read a PBX, in a thread of the pool, and return how that ended."""
    try:
        read = work.read()
    except PbxError as error:
        return Result(work, problem=str(error))
    except Exception:
        log.exception("reading %s", work.pbx.name)
        return Result(work, problem="PBX Admin failed. Its own log says why.")
    return (
        Result(work, problem=unexpected_device_sentence(work.pbx))
        if work.client.is_unexpected_device
        else Result(work, read)
    )


def unexpected_device_sentence(pbx: Pbx) -> str:
    return f"Another device answers at the address of {pbx.name}. What it holds is not kept."


def works_begin(
    pbxs: Iterable[Pbx],
    row_ids: Mapping[int, int],
    held: LeaseHandle,
    until: float,
    check: Callable[[Pbx], None],
    lists: Mapping[int, Sequence[CallKind]] | None = None,
) -> tuple[list[Work], dict[int, str]]:
    """Return what can be read of leased PBXs, and for each row whose PBX may not be read the reason.

    row_ids: by PBX. check: raises PbxError when nothing may be sent to a PBX. The leases of the others are released.
    """
    works: list[Work] = []
    held_back: dict[int, str] = {}
    for pbx in pbxs:
        try:
            check(pbx)
            client = client_or_state(pbx, until)
        except PbxError as error:
            held_back[row_ids[pbx.pk]] = str(error)
            continue
        one = LeaseHandle(held.holder, frozenset([pbx.pk]))
        works.append(Work(row_ids[pbx.pk], pbx, client, one, (lists or {}).get(pbx.pk, ())))
    release_leases([LeaseHandle(held.holder, held.pbx_ids - {work.pbx.pk for work in works})])
    return works, held_back


def release_leases(all_held: Iterable[LeaseHandle]) -> None:
    """Release leases, those of one holder together."""
    pbx_ids: dict[str, set[int]] = {}
    for held in all_held:
        pbx_ids.setdefault(held.holder, set()).update(held.pbx_ids)
    for holder, ids in pbx_ids.items():
        if ids:
            LeaseHandle(holder, frozenset(ids)).release()


def works_end(works: Iterable[Work]) -> None:
    """Close the connections of what was read, and release the PBXs."""
    works = list(works)
    for work in works:
        work.client.transport.close()
    release_leases(work.held for work in works)
