"""A simulated fleet in a process of its own, so that its work is not counted as ours, which tells what reached it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pbxadmin.yeastar.simulator import Fault, Fleet, Framing
from pbxadmin.yeastar.simulator.faults import ALWAYS

ROOT = Path(__file__).resolve().parents[2]
SHOWN = ("name", "scheme", "port", "username", "password", "fingerprint")


class DistantFleet:
    """pbxs: what a record of each PBX needs."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self.child = child
        self.pbxs: list[dict[str, Any]] = self.read()

    def read(self) -> list[dict[str, Any]]:
        assert self.child.stdout is not None
        return json.loads(self.child.stdout.readline() or "[]")

    def counted(self) -> list[dict[str, Any]]:
        """Of each PBX since the last time: its calls in order, and the most that were worked on at one time."""
        return self.told("count")

    def hang(self, every: int) -> None:
        """Let one PBX in so many take each call and never answer; 0 lets all answer again."""
        self.told(f"hang {every}")

    def lose_answers(self, every: int) -> None:
        """Let one PBX in so many carry out updates and close the connection without an answer."""
        self.told(f"lose {every}")

    def keep(self) -> None:
        """Let all PBXs announce the length of an answer and keep the connection."""
        self.told("keep")

    def held(self) -> list[dict[str, dict[str, str]]]:
        """What each PBX holds now: the fields of its IVRs by number."""
        return self.told("tell")

    def told(self, word: str) -> list[dict[str, Any]]:
        assert self.child.stdin is not None
        self.child.stdin.write(f"{word}\n")
        self.child.stdin.flush()
        return self.read()


@contextmanager
def distant_fleet(count: int, latency_s: float = 0.0, ivrs: int = 0) -> Iterator[DistantFleet]:
    """PBXs that refuse a second call at a time (20010) and take so long for each. ivrs: of each PBX, 0 for a few."""
    command = [sys.executable, "-m", "tests.bench.fleet", str(count), str(latency_s), str(ivrs)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield DistantFleet(child)
    finally:
        child.communicate(timeout=30)  # it ends with its standard input


def serve(count: int, latency_s: float, ivrs: int) -> None:
    with Fleet(count) as fleet:
        for pbx in fleet.pbxs:
            pbx.latency_s, pbx.one_at_a_time = latency_s, True
            for number in map(str, range(6500, 6500 + ivrs)):
                pbx.ivrs[number] = {**pbx.ivrs["6500"], "ivrnumber": number, "responsetimeout": "3"}
        say([{key: getattr(pbx, key) for key in SHOWN} for pbx in fleet.pbxs])
        for line in sys.stdin:
            word, _, every = line.strip().partition(" ")
            say(COMMANDS[word](fleet, int(every or "0")))


def count(fleet: Fleet, _: int) -> list[dict[str, Any]]:
    counted: list[dict[str, Any]] = []
    for pbx in fleet.pbxs:
        counted.append({"calls": pbx.calls(), "max_in_flight": pbx.max_in_flight})
        pbx.received.clear()
        pbx.max_in_flight = pbx.in_flight
    return counted


def hang(fleet: Fleet, every: int) -> list[dict[str, Any]]:
    for place, pbx in enumerate(fleet.pbxs):
        pbx.behave()
        if every and place % every == 0:
            pbx.misbehave(Fault.SILENT, times=ALWAYS)
    return []


def lose(fleet: Fleet, every: int) -> list[dict[str, Any]]:
    for pbx in fleet.pbxs[1::every]:
        pbx.misbehave(Fault.CLOSE, call="ivr/update", times=ALWAYS)
    return []


def keep(fleet: Fleet, _: int) -> list[dict[str, Any]]:
    for pbx in fleet.pbxs:
        pbx.framing = Framing(tells_length=True, keeps=True)
    return []


def tell(fleet: Fleet, _: int) -> list[dict[str, Any]]:
    return [pbx.ivrs for pbx in fleet.pbxs]


COMMANDS = {"count": count, "hang": hang, "lose": lose, "keep": keep, "tell": tell}


def say(rows: list[dict[str, Any]]) -> None:
    print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
