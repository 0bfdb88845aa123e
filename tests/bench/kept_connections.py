"""Client CPU for a reading with its login at PBXs that keep the connection, against PBXs that close it."""

import time
from typing import Any

from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.drivers import driver_of
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.driver import password_digest
from pbxadmin.yeastar.secret import Secret
from pbxadmin.yeastar.transport import Endpoint, Transport, Trust, TrustMode

from .client_cpu import LOOPBACK, over
from .figures import goal, heading, in_turns, table
from .fleet import distant_fleet

PBXS, ROUNDS = 40, 15
CLOSES, KEEPS = "PBXs that close", "PBXs that keep the connection"


def main() -> None:
    heading(f"Client CPU for each PBX: login, identity and query, {PBXS} PBXs one after the other, {ROUNDS} rounds")
    with distant_fleet(PBXS) as closing, distant_fleet(PBXS) as keeping:
        keeping.keep()
        ways = {CLOSES: over(read, closing.pbxs), KEEPS: over(read, keeping.pbxs)}
        taken = in_turns(ways, ROUNDS, time.process_time)
        table(taken, CLOSES, PBXS)
        goal("where the connection is kept, x where not (min)", min(taken[KEEPS]) / min(taken[CLOSES]), 0.9)


def read(pbx: dict[str, Any]) -> int:
    endpoint, trust = Endpoint(pbx["scheme"], "127.0.0.1", pbx["port"]), Trust(TrustMode.PIN, pbx["fingerprint"])
    transport = Transport(endpoint, trust, networks=LOOPBACK)
    digest = Secret(password_digest(pbx["password"]))
    client = PbxClient(transport, driver_of(ApiVersion.V1_0), pbx["username"], digest, known_serial="")
    found = client.query_ivrs()
    transport.close()
    return len(found)
