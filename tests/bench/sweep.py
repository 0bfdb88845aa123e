"""A scheduled reading of 1,000 PBXs by real `manage.py work` processes: one against its limit, and three against one.

On PostgreSQL three processes are compared with one, at 200 ms a call and where PBXs take 2 s, so that the simulated
fleet waits and does not work. BENCH_PBXS says another number of PBXs. In the end a fifth hangs, which is to cost the
others next to nothing.
"""

import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from ivr.refresh import refresh_due
from pbxadmin.fleet.models import Lease, Pbx
from tests.factories import make_customer, make_pbx
from tests.waiting import until

from .figures import at_least, goal, heading
from .fleet import ROOT, DistantFleet, distant_fleet
from .refresh_run import record_of

PBXS = int(os.environ.get("BENCH_PBXS", "1000"))
HANDSHAKES = 100
LONGEST_S = 900.0
MIB = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    one = swept(0.2, 1, then=beside_hanging)
    if connection.vendor != "postgresql":
        return
    for latency_s, least in ((0.2, 1.6), (2.0, 2.5)):
        alone = one if latency_s == 0.2 else swept(latency_s, 1)
        at_least(f"3 processes at {latency_s:g} s, x one", alone / swept(latency_s, 3), least)


def swept(
    latency_s: float, processes: int, count: int = PBXS, then: Callable[[DistantFleet], None] = lambda fleet: None
) -> float:
    """Read all PBXs with tokens held by so many processes. Return the seconds, and print what they cost.

    then: what else is measured with these PBXs and processes.
    """
    heading(f"{count:,} PBXs at {latency_s:g} s, processes of work: {processes}, load {os.getloadavg()[0]:.1f}")
    Pbx.objects.all().delete()
    with distant_fleet(count, latency_s) as fleet:
        customer = make_customer(f"Acme {count} {latency_s} {processes}")
        for pbx in fleet.pbxs:
            make_pbx(customer, **record_of(pbx), next_refresh_at=timezone.now() + timedelta(hours=1))
        with work(processes) as pids:
            took = swept_by(fleet, pids, latency_s)
            then(fleet)
    return took


def swept_by(fleet: DistantFleet, pids: list[int], latency_s: float) -> float:
    """Let these processes read all PBXs twice, and print what the second time cost. Return its seconds."""
    first = sweep()
    fleet.counted()
    cpu, size = sum(map(cpu_of, pids)), max(map(size_of, pids))
    took = sweep()
    cpu, growth = sum(map(cpu_of, pids)) - cpu, max(map(size_of, pids)) - size
    a_second = len(fleet.pbxs) / took
    print(f"first {first:.1f} s, tokens held {took:.1f} s, {a_second:.0f} PBXs a second, load {os.getloadavg()}")
    report(fleet, latency_s, len(pids), took, cpu, growth)
    return took


def beside_hanging(fleet: DistantFleet) -> None:
    """Read four fifths of the PBXs alone, and then while the last fifth takes each call and never answers."""
    hanging = [pbx["port"] for pbx in fleet.pbxs[::5]]
    others = Pbx.objects.exclude(port__in=hanging)
    alone = sweep(others)
    fleet.hang(5)
    beside = sweep(others, Pbx.objects.filter(port__in=hanging))
    print(f"{others.count()} PBXs alone: {alone:.1f} s; while {len(hanging)} hang: {beside:.1f} s")
    goal("a fifth that hangs, x the time of the others alone", beside / alone, 1.3)


def report(fleet: DistantFleet, latency_s: float, processes: int, took: float, cpu: float, growth: int) -> None:
    counted = fleet.counted()
    calls = sum(len(pbx["calls"]) for pbx in counted)
    threads, shake_s = settings.REFRESH_THREADS * processes, handshake_s(fleet)
    waits, shakes = calls * latency_s / threads, calls * shake_s
    print(f"{calls} calls; x latency / {threads} threads: {waits:.1f} s; handshakes: {shakes:.1f} s of CPU")
    goal("x the larger of the two", took / max(waits, shakes), 2.0)
    goal("CPU for each PBX, ms", cpu / len(counted) * 1000, 8.0)
    goal("growth of a process, MiB", growth / MIB, 150)
    goal("requests at one time to one PBX", max(pbx["max_in_flight"] for pbx in counted), 1)


def sweep(pbxs: QuerySet[Pbx] | None = None, beside: QuerySet[Pbx] | None = None, spare: int = 0) -> float:
    """Let PBXs be due, as the tick finds them, and wait until they were read. Return the seconds.

    pbxs: all by default. beside: more that are due at the same time and that nobody waits for. spare: how many of pbxs
    may be left, since what a person has in hand is read later.
    """
    pbxs = Pbx.objects.all() if pbxs is None else pbxs
    until(lambda: not Lease.objects.filter(pbx__in=pbxs, until__gt=timezone.now())[spare:].exists(), LONGEST_S)
    began, now = time.perf_counter(), timezone.now()
    with transaction.atomic():
        list(Pbx.objects.select_for_update().order_by("pk"))  # in the order of the workers
        pbxs.update(next_refresh_at=now)
        if beside is not None:
            beside.update(next_refresh_at=now - timedelta(seconds=1))  # the first to be sent out
    refresh_due()
    while (left := pbxs.filter(Q(read_at=None) | Q(read_at__lt=now)).count()) > spare:
        if time.perf_counter() - began > LONGEST_S:
            raise RuntimeError(f"{left} PBXs were not read within {LONGEST_S:g} s")
        time.sleep(0.1)
    return time.perf_counter() - began


@contextmanager
def work(processes: int) -> Iterator[list[int]]:
    """Run `manage.py work` so many times on the database of this benchmark. Yield their process ids."""
    names = ("SECRET_KEY", "PBX_KEYS", "PBX_NETWORKS", "PATH")
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: os.environ[name] for name in names} | {"DATABASE_URL": database(), "DATA_DIR": folder}
        command = [sys.executable, "manage.py", "work"]
        started = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) for _ in range(processes)
        ]
        try:
            for process in started:
                assert process.stdout is not None
                process.stdout.readline()  # it works
            yield [process.pid for process in started]
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.communicate(timeout=60)


def database() -> str:
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{quote(str(known['NAME']))}"
    return f"postgres://{known['USER']}@{known['HOST']}:{known['PORT']}/{known['NAME']}"


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU of a process and its threads so far."""
    columns = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(columns[11]) + int(columns[12])) / TICKS


def size_of(pid: int) -> int:
    """Return the largest size of a process so far, in bytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def handshake_s(fleet: DistantFleet) -> float:
    """Return the seconds of our CPU that one connection with TLS takes by the standard library alone."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    began = time.process_time()
    for pbx in fleet.pbxs[:HANDSHAKES]:
        with socket.create_connection(("127.0.0.1", pbx["port"]), 10) as raw, context.wrap_socket(raw):
            pass
    return (time.process_time() - began) / min(HANDSHAKES, len(fleet.pbxs))
