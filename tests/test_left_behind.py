"""Tests leave nothing on the machine: the folder of their settings goes with the process that made it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import LIMIT_S

LOAD = "import tests.settings, os, signal, subprocess, sys; "
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"


def ran(statements: str, folder: Path) -> int:
    """What a fresh process ended with, whose temporary folders are made in `folder`."""
    environment = {name: value for name, value in os.environ.items() if name != "TESTS_FOLDER"}
    command = [sys.executable, "-c", LOAD + statements]
    return subprocess.run(command, env=environment | {"TMPDIR": str(folder)}, timeout=LIMIT_S).returncode


def test_the_folder_of_a_process_goes_with_it(tmp_path: Path) -> None:
    assert ran(f"assert os.listdir({str(tmp_path)!r})", tmp_path) == 0

    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_goes_with_the_one_that_started_it(tmp_path: Path) -> None:
    started = f"assert subprocess.run([sys.executable, '-c', {LOAD + KILLED!r}]).returncode == -signal.SIGKILL"

    assert ran(started, tmp_path) == 0

    assert list(tmp_path.iterdir()) == []


def test_a_fork_leaves_the_folder_to_the_process_that_made_it(tmp_path: Path) -> None:
    forked = "pid = os.fork(); pid or sys.exit(); os.waitpid(pid, 0); assert os.path.isdir(tests.settings._FOLDER)"

    assert ran(forked, tmp_path) == 0
