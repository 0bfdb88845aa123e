"""A PBX at the HTTP edge, for tests that need no TLS: it keeps IVRs, so a read after a write is real."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

HOST = "pbx.invalid"
IVR = {
    "ivrnumber": "6500",
    "ivrname": "Main_Menu",
    "prompt": "[Default]",
    "promptrepeat": "3",
    "responsetimeout": "3",
    "digittimeout": "3",
    "dialext": "off",
    "dialoutboundroutes": "off",
    "dialtocheckvoicemail": "off",
}
SIDE_CALLS = ("inroute/query", "queue/query", "extensionlist/query")
CALLS = ("login", "ivr/query", "ivr/update", "deviceinfo/query", "logout", "ivr/dial_extension", *SIDE_CALLS)
Fault = Callable[["PbxDouble", dict[str, Any]], Any]


class PbxDouble:
    """`received` lists every call in order. `faults` replaces the answer of the next call of that name, once."""

    def __init__(self) -> None:
        self.ivrs: dict[str, dict[str, str]] = {"6500": dict(IVR)}
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[str, list[Fault | None]] = {}
        self.password_is_right = True
        self.tokens: set[str] = set()
        self.serial = "369364835218"
        self.routes: Any = []
        self.queues: Any = []
        self.extensions = ["1000", "1001", "1002"]

    def calls(self) -> list[str]:
        """What was called, apart from who it is, which follows every login, and from the lists beside the IVRs."""
        return [name for name, _ in self.received if name not in ("deviceinfo/query", *SIDE_CALLS)]

    def side_calls(self) -> list[str]:
        return [name for name, _ in self.received if name in SIDE_CALLS]

    def add(self, number: str, **fields: str) -> None:
        self.ivrs[number] = IVR | {"ivrnumber": number, "ivrname": f"IVR_{number}"} | fields

    def fail(self, name: str, fault: Fault | None, *, after: int = 0) -> None:
        """Answer the next call of this name, after so many good ones, with what `fault` returns or raises."""
        self.faults.setdefault(name, []).extend([None] * after + [fault])

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        url = urlsplit(request.url or "")
        name = url.path.split("/", 3)[3]
        body = json.loads(request.body or "{}")
        self.received.append((name, body))
        waiting = self.faults.get(name)
        fault = waiting.pop(0) if waiting else None
        token = parse_qs(url.query).get("token", [""])[0]
        payload = fault(self, body) if fault else self.carry_out(name, body, token)
        if isinstance(payload, Exception):
            raise payload
        return 200, {}, payload if isinstance(payload, str) else json.dumps(payload)

    def carry_out(self, name: str, body: dict[str, Any], token: str) -> dict[str, Any]:
        if name == "login":
            if not self.password_is_right:
                return refused("20003")
            self.tokens.add(f"{len(self.tokens):032x}")
            return {"status": "Success", "token": f"{len(self.tokens) - 1:032x}"}
        if token not in self.tokens:
            return refused("20004")
        if name == "logout":
            self.tokens.discard(token)
            return {"status": "Success"}
        if name == "deviceinfo/query":
            return {"status": "Success", "deviceinfo": {"sn": self.serial, "devicename": "Yeastar S100"}}
        if name == "ivr/query":
            wanted = body["ivrid"].split(",") if "ivrid" in body else list(self.ivrs)
            if not all(number in self.ivrs for number in wanted):
                return refused("10012")
            return {"status": "Success", "ivr": [self.ivrs[number] for number in wanted]}
        if name == "inroute/query":
            return {"status": "Success", "inroutes": self.routes}
        if name == "queue/query":
            return {"status": "Success", "queues": self.queues}
        if name == "extensionlist/query":
            return {"status": "Success", "extlist": [{"extnumber": number} for number in self.extensions]}
        if name == "ivr/dial_extension":
            return {"status": "Success", "callid": "1495700350.261"}
        return self.update(body)

    def update(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["ivrid"] not in self.ivrs:
            return refused("10012")
        number = body.get("ivrnumber", body["ivrid"])
        if number != body["ivrid"] and number in self.ivrs:
            return refused("10018")
        ivr = self.ivrs.pop(body["ivrid"])
        self.ivrs[number] = ivr | {key: value for key, value in body.items() if key != "ivrid"}
        return {"status": "Success"}


def refused(code: str) -> dict[str, str]:
    return {"status": "Failed", "errno": code}


def says(payload: Any) -> Fault:
    """Answer this, and do nothing."""
    return lambda pbx, body: payload


def loses_the_answer(pbx: PbxDouble, body: dict[str, Any]) -> Exception:
    """Apply, then break the connection."""
    pbx.update(body)
    return requests.ConnectionError("broken")


def breaks(pbx: PbxDouble, body: dict[str, Any]) -> Exception:
    return requests.ConnectionError("broken")


def cannot_be_reached(pbx: PbxDouble, body: dict[str, Any]) -> Exception:
    return requests.ConnectTimeout("no answer")


@pytest.fixture
def pbx_http() -> Iterator[PbxDouble]:
    pbx = PbxDouble()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_passthru("http://127.0.0.1:")  # a test's own servers
        for name in CALLS:
            for version in ("v1.0.0", "v1.1.0"):
                mock.add_callback(responses.POST, f"https://{HOST}:8088/api/{version}/{name}", callback=pbx.answer)
        yield pbx
