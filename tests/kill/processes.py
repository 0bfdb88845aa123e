"""Processes of ours on the test's own database, and what a test needs to kill them at the right moment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from ivr.changes.settle import CLAIM_S
from ivr.models import Change
from pbxadmin.batches.models import BatchUnit
from pbxadmin.fleet.models import Lease
from tests.ops.test_processes import free_port, get
from tests.waiting import LIMIT_S, until

START_S = LIMIT_S


def database_url() -> str:
    """The test's own database, as a process of ours is told of it."""
    at: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{quote(str(at['NAME']))}"
    pooler = "?pooler=transaction" if at.get("DISABLE_SERVER_SIDE_CURSORS") else ""
    who = f"{quote(at['USER'])}:{quote(at['PASSWORD'])}"
    return f"postgres://{who}@{at['HOST']}:{at['PORT']}/{quote(at['NAME'])}{pooler}"


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"DATABASE_URL": database_url(), "PYTHONWARNINGS": ""} | more


class Process:
    """A process of ours, killed as `kill -9` does it. `dead` and `frozen` are set once it is."""

    def __init__(self, *words: str, **more: str) -> None:
        self.dead, self.frozen = Flag(), Flag()
        self.running = subprocess.Popen(
            [sys.executable, *words],
            cwd=settings.BASE_DIR,
            env=environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def kill(self) -> None:
        """The process and all below it. Returns when they are gone."""
        if not self.dead.is_set():
            os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()
            self.dead.set()

    def stop(self) -> None:
        """End the process as an administrator does. It finishes what is in flight."""
        self.running.send_signal(signal.SIGTERM)
        self.ended()

    def ended(self) -> int:
        """Wait until the process ends by itself. Return its exit code."""
        code = self.running.wait(START_S)
        self.dead.set()
        return code

    def freeze(self) -> None:
        """As a machine that is suspended: `thaw` lets it go on where it was."""
        os.killpg(self.running.pid, signal.SIGSTOP)
        self.frozen.set()

    def thaw(self) -> None:
        os.killpg(self.running.pid, signal.SIGCONT)

    def says(self, line: str) -> None:
        """Wait for this line."""
        assert self.running.stdout
        for found in self.running.stdout:
            if found.strip() == line:
                return
        raise AssertionError(f"the process ended and never said {line!r}")

    def close(self) -> None:
        self.kill()
        assert self.running.stdout
        self.running.stdout.close()


def serve(data_dir: Path, *words: str) -> tuple[Process, str]:
    """A server that answers, with its address."""
    port = free_port()
    process = Process("manage.py", "serve", "--port", str(port), *words, DATA_DIR=str(data_dir))
    address = f"http://127.0.0.1:{port}"
    until(lambda: get(f"{address}/healthz")[0] == 200)
    return process, address


def manage(*words: str) -> str:
    """The output of a command of ours in a fresh process, which must succeed."""
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), *words]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=START_S, check=True
    ).stdout


class LogLock:
    """Keeps every other process from committing to the log, from `take` until `release`."""

    def __init__(self) -> None:
        self.taken = Flag()
        self.link = connection.copy()
        self.link.inc_thread_sharing()

    def take(self) -> None:
        """Called where the PBX answers, which is a loop that Django does not talk to a database from."""
        taking = Thread(target=self.take_here)
        taking.start()
        taking.join()

    def take_here(self) -> None:
        statements = {
            "sqlite": ["BEGIN IMMEDIATE"],
            "postgresql": ["BEGIN", "LOCK TABLE audit_event IN EXCLUSIVE MODE"],
        }
        with self.link.cursor() as cursor:
            for statement in statements[connection.vendor]:
                cursor.execute(statement)
        self.taken.set()

    def wait_for_somebody(self) -> None:
        """Return when a process waits for the lock.

        SQLite does not tell, so there it is given some time: one that needs longer is killed a step earlier, in a state
        of which the same must be true.
        """
        assert self.taken.wait(START_S)
        if connection.vendor == "sqlite":
            time.sleep(0.7)
        else:
            until(is_lock_awaited)

    def release(self) -> None:
        self.link.close()


def is_lock_awaited() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'audit_event'::regclass")
        return bool(cursor.fetchone()[0])


@contextmanager
def log_held() -> Iterator[LogLock]:
    held = LogLock()
    try:
        yield held
    finally:
        held.release()


def let_the_leases_end() -> None:
    """As if the 30 seconds of a claim, and of the lease that ends with it, had passed; or the 60 of a batch's PBX."""
    past = timedelta(seconds=CLAIM_S + 1)
    BatchUnit.objects.filter(claimed_until__gt=timezone.now()).update(claimed_until=timezone.now())
    Change.objects.exclude(claimed_until=None).update(claimed_until=F("claimed_until") - past)
    Lease.objects.update(until=F("until") - past)
