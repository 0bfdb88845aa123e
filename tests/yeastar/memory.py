"""A process of its own that calls a PBX and prints by how many KiB its peak of memory grew: see test_memory.py.

VmHWM, not ru_maxrss of getrusage: that one begins with the peak of the process it was started by, and hides any growth.
"""

import re
import sys
import time
from pathlib import Path

from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.drivers import driver_of
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.guard import allowed
from pbxadmin.yeastar.secret import Secret
from pbxadmin.yeastar.transport import Endpoint, Transport, Trust, TrustMode


def peak_kib() -> int:
    found = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def main(port: int, fingerprint: str, token: str, calls: int) -> None:
    transport = Transport(
        Endpoint("https", "127.0.0.1", port), Trust(TrustMode.PIN, fingerprint), networks=allowed(["127.0.0.0/8"])
    )
    client = PbxClient(
        transport, driver_of(ApiVersion.V1_0), "api", Secret(""), Secret(token), until=time.monotonic() + 60
    )
    client.query_ivrs()  # what is only loaded once is not counted
    before = peak_kib()
    for _ in range(calls):
        try:
            client.query_ivrs()
        except PbxError as error:
            print(type(error).__name__)
    print(peak_kib() - before)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
