"""Client CPU for each PBX (login and query): our client, the best that `requests` alone can do, and the naive form."""

import ssl
import time
import warnings
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InsecureRequestWarning

from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.drivers import driver_of
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.guard import allowed
from pbxadmin.yeastar.s_series.driver import password_digest
from pbxadmin.yeastar.secret import Secret
from pbxadmin.yeastar.transport import Endpoint, Transport, Trust, TrustMode

from .figures import goal, heading, in_turns, table
from .fleet import distant_fleet

PBXS = 40
ROUNDS = 15
LOOPBACK = allowed(["127.0.0.0/8"])
NAIVE_PBXS = 8
NAIVE_ROUNDS = 3
OURS, BEST, NAIVE = "our client, certificate pinned", "best of requests, not verified", "requests.post(verify=False)"

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


class SharedContext(HTTPAdapter):
    """The one thing that makes `requests` fast here."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=context, **kwargs)

    def cert_verify(self, *args: Any) -> None:
        """The context decides."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"cert_reqs": "CERT_NONE"}


def ours(pbx: dict[str, Any]) -> int:
    endpoint, trust = Endpoint(pbx["scheme"], "127.0.0.1", pbx["port"]), Trust(TrustMode.PIN, pbx["fingerprint"])
    digest = Secret(password_digest(pbx["password"]))
    client = PbxClient(
        Transport(endpoint, trust, networks=LOOPBACK), driver_of(ApiVersion.V1_0), pbx["username"], digest
    )
    found = client.query_ivrs()
    client.transport.close()
    return len(found)


def best(pbx: dict[str, Any]) -> int:
    session = requests.Session()
    session.trust_env = False
    session.adapters.clear()
    session.mount("https://", SharedContext())
    found = by_requests(pbx, session.post)
    session.close()
    return found


def naive(pbx: dict[str, Any]) -> int:
    return by_requests(pbx, requests.post, verify=False)


def by_requests(pbx: dict[str, Any], post: Callable[..., requests.Response], **more: Any) -> int:
    base = f"https://127.0.0.1:{pbx['port']}/api/v1.0.0"
    login = {"username": pbx["username"], "password": password_digest(pbx["password"]), "port": "8260"}
    token = post(f"{base}/login", json=login, timeout=8, **more).json()["token"]
    return len(post(f"{base}/ivr/query?token={token}", timeout=8, **more).json()["ivr"])


def over(way: Callable[[dict[str, Any]], int], pbxs: list[dict[str, Any]]) -> Callable[[], None]:
    def sweep() -> None:
        if sum(way(pbx) for pbx in pbxs) < len(pbxs):
            raise RuntimeError("no IVRs were read")

    return sweep


def main() -> None:
    warnings.simplefilter("ignore", InsecureRequestWarning)
    with distant_fleet(PBXS) as fleet:
        heading(f"Client CPU for each PBX, login and query, {PBXS} PBXs one after the other, {ROUNDS} rounds")
        ways = {BEST: over(best, fleet.pbxs), OURS: over(ours, fleet.pbxs)}
        taken = in_turns(ways, ROUNDS, time.process_time)
        table(taken, BEST, PBXS)
        goal("our client against the best of requests (min)", min(taken[OURS]) / min(taken[BEST]), 1.3)
        heading(f"The same against the naive form, {NAIVE_PBXS} PBXs, {NAIVE_ROUNDS} rounds")
        few = fleet.pbxs[:NAIVE_PBXS]
        ways = {BEST: over(best, few), OURS: over(ours, few), NAIVE: over(naive, few)}
        table(in_turns(ways, NAIVE_ROUNDS, time.process_time), BEST, NAIVE_PBXS)
