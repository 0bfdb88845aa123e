"""How much memory a PBX can make us use, measured in a process of its own."""

import subprocess
import sys
import time
from typing import Any

import pytest

from pbxadmin.yeastar.simulator import ALWAYS, Fault, SimulatedPbx
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.tls

MOST_KIB = 20 * 1024
TOKEN = "c0ffee" * 5


def growth(pbx: SimulatedPbx, fault: Fault, calls: int = 3, **more: Any) -> tuple[set[str], int]:
    """How a few calls end under this fault, and by how many KiB the peak of the process grows."""
    pbx.tokens[TOKEN] = time.monotonic() + 120
    pbx.misbehave(fault, times=ALWAYS, after=1, **more)
    command = [sys.executable, "-m", "tests.yeastar.memory", str(pbx.port), pbx.fingerprint, TOKEN, str(calls)]
    *ends, grown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S).stdout.split()
    return set(ends), int(grown)


@pytest.mark.parametrize("fault", [Fault.HUGE, Fault.GZIP_BOMB])
def test_64_mib_in_one_answer_do_not_become_20_mib_of_ours(simulated_pbx: SimulatedPbx, fault: Fault) -> None:
    ends, grown = growth(simulated_pbx, fault)

    assert ends == {"PbxBadAnswer"}
    assert grown <= MOST_KIB


@pytest.mark.parametrize("part", [b"[],", b'{"a":1},', b"1,"])
def test_2_mib_of_small_parts_do_not_become_20_mib_of_ours(simulated_pbx: SimulatedPbx, part: bytes) -> None:
    body = b'{"status":"Success","ivr":[' + part * (2_000_000 // len(part)) + b"1]}"
    ends, grown = growth(simulated_pbx, Fault.PAYLOAD, payload=body)

    assert ends == {"PbxBadAnswer"}
    assert grown <= MOST_KIB


def test_the_growth_of_a_process_is_seen(simulated_pbx: SimulatedPbx) -> None:
    """5,000 IVRs are an answer that we do keep."""
    ivrs = [simulated_pbx.ivrs["6500"] | {"ivrnumber": str(number)} for number in range(5000)]
    ends, grown = growth(simulated_pbx, Fault.PAYLOAD, calls=1, payload={"status": "Success", "ivr": ivrs})

    assert ends == set()
    assert 2 * 1024 < grown < 64 * 1024
