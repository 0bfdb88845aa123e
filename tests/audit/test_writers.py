"""Many processes append to the log at once, as the servers and workers of a busy site do."""

import subprocess
import sys
from collections import Counter

import pytest
from django.conf import settings
from django.db import connection

from pbxadmin.audit.chain import verify
from pbxadmin.audit.models import Event
from tests.kill.processes import environment
from tests.waiting import LIMIT_S

PROCESSES, EACH = 8, 200


@pytest.mark.django_db(transaction=True)
def test_eight_processes_at_once_leave_no_gap_and_no_fork():
    connection.close()
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.kill.appending", str(EACH)],
            cwd=settings.BASE_DIR,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        assert [writer.wait(LIMIT_S) for writer in writers] == [0] * PROCESSES
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()

    report = verify()
    assert (report.chains, report.faults) == ({"customer:1": 1200, "installation": 400}, [])
    by = Counter(event.data["detail"]["by"] for event in Event.objects.all())
    assert list(by.values()) == [EACH] * PROCESSES
