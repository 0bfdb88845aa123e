"""A simulated S-Series PBX, as the vendor's guides for API v1.0.0, v1.1.0 and v2.0.0 describe it."""

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import md5
from typing import Any

V1_0, V1_1, V2_0 = "v1.0.0", "v1.1.0", "v2.0.0"

Fields = dict[str, str]
Answer = dict[str, Any]

SECONDS = re.compile("[1-9]|10")
SWITCH = re.compile("on|off", re.IGNORECASE)
# Values that ivr/update accepts, by wire name.
RULES = {
    "ivrnumber": re.compile("[0-9]{1,7}"),
    "ivrname": re.compile(r"[^\s!$()/#;,\[\]\"=<>&'`^%@{}|\\]{1,31}"),
    "promptrepeat": re.compile("[1-5]"),
    "responsetimeout": SECONDS,
    "digittimeout": SECONDS,
    "dialext": SWITCH,
    "dialtocheckvoicemail": SWITCH,
    "dialoutboundroutes": SWITCH,
}
READ_ONLY = {V1_0: {"dialoutboundroutes"}, V1_1: {"dialoutboundroutes"}, V2_0: {"ivrnumber"}}
# Calls that not all versions have.
ONLY_IN = {"inroute/query": {V1_1, V2_0}, "extensionlist/query": {V1_0, V1_1}, "extension/list": {V2_0}}
WRONG_LOGINS_ALLOWED = 5
REPORTS = "8260"  # the port of event reports that nobody named


class Refusal(Exception):
    def __init__(self, errno: str) -> None:
        super().__init__(errno)
        self.errno = errno


@dataclass(frozen=True)
class Asked:
    """A call. stores: returns the part of an update that is applied, for a PBX that does not do as it answers."""

    version: str
    token: str
    fields: Mapping[str, Any]
    stores: Callable[[Fields], Fields]

    @property
    def identity(self) -> str:
        return str(self.fields.get("number" if self.version == V2_0 else "ivrid") or "")


class Device:
    """A PBX. Attributes may be changed at any time and hold from the next request on.

    ivrs: fields by wire name, by number. queues: likewise. routes: likewise, by id. extensions: their numbers.
    rung: extension and IVR of each phone that was made to ring.
    behind_s: how far its clock is behind. versions: the API versions that answer.
    leaves_out: fields that ivr/query does not report.
    """

    def __init__(self, name: str = "PBX", ivrs: Mapping[str, Fields] | None = None) -> None:
        self.name = name
        self.ivrs = {number: dict(ivr) for number, ivr in (ivrs or {}).items()}
        self.username = "api"
        self.password = ""
        self.serial = "369300000000"
        self.model = "Yeastar S100"
        self.firmware = "30.10.0.67"
        self.extensions = {"1000", "1001", "1002"}
        self.queues: dict[str, Fields] = {}
        self.routes: dict[str, Fields] = {}
        self.rung: list[tuple[str, str]] = []
        self.versions = {V1_0, V1_1}
        self.leaves_out: set[str] = set()
        self.token_life_s = 1800.0
        self.lockout_s = 600.0
        self.tokens: dict[str, float] = {}
        self.wrong_logins = 0
        self.locked_until = 0.0
        self.behind_s = 0.0
        self.on_change: Callable[[], None] = lambda: None

    def answer(
        self, version: str, call: str, token: str, body: bytes, stores: Callable[[Fields], Fields] = dict
    ) -> Answer:
        try:
            if version not in self.versions & ONLY_IN.get(call, self.versions) or call not in CALLS:
                raise Refusal("10003")
            asked = Asked(version, token, parse(body), stores)
            if call != "login":
                self.check_token(token)
            return {"status": "Success"} | CALLS[call](self, asked)
        except Refusal as refusal:
            return {"status": "Failed", "errno": refusal.errno}

    def login(self, asked: Asked) -> Answer:
        if time.monotonic() < self.locked_until:
            raise Refusal("20002")
        digest = md5(self.password.encode(), usedforsecurity=False).hexdigest()
        if (asked.fields.get("username"), asked.fields.get("password")) != (self.username, digest):
            self.count_wrong_login()
            raise Refusal("20003")
        if asked.version != V2_0 and not is_port(asked.fields.get("port")):
            raise Refusal("20008")
        self.wrong_logins = 0
        token = secrets.token_hex(16)
        self.tokens[token] = time.monotonic() + self.token_life_s
        return {"token": token} | ({"transport": "TCP"} if asked.version == V2_0 else {})

    def count_wrong_login(self) -> None:
        self.wrong_logins += 1
        if self.wrong_logins == WRONG_LOGINS_ALLOWED:
            self.wrong_logins = 0
            self.locked_until = time.monotonic() + self.lockout_s

    def check_token(self, token: str) -> None:
        if not token:
            raise Refusal("20005")
        if token not in self.tokens:
            raise Refusal("20004")
        if time.monotonic() >= self.tokens[token]:
            raise Refusal("20006")

    def expire_tokens(self) -> None:
        self.tokens = dict.fromkeys(self.tokens, 0.0)

    def heartbeat(self, asked: Asked) -> Answer:
        """Prolong the token. The guides name ipaddr as required, and their own example has only port and url."""
        if not asked.fields.keys() & {"ipaddr", "port"}:
            raise Refusal("20011")
        if not is_port(asked.fields.get("port", REPORTS)):
            raise Refusal("20008")
        self.tokens[asked.token] = time.monotonic() + self.token_life_s
        return {}

    def logout(self, asked: Asked) -> Answer:
        del self.tokens[asked.token]
        return {}

    def apply(self, asked: Asked) -> Answer:
        return {}

    def device_info(self, asked: Asked) -> Answer:
        return {
            "deviceinfo": {
                "devicename": self.model,
                "sn": self.serial,
                "hardwarever": "V1.30 0000-0000",
                "firmwarever": self.firmware,
                "systemtime": time.strftime("%Y-%m-%d %H:%M:%S UTC+0", time.gmtime(time.time() - self.behind_s)),
                "uptime": "03:25:04",
                "extensionstatus": f"{len(self.extensions)}/100",
            }
        }

    def ivr_query(self, asked: Asked) -> Answer:
        if asked.version == V2_0 and not asked.identity:
            raise Refusal("10004")
        every = "all" if asked.version == V2_0 else ""
        numbers = sorted(self.ivrs) if asked.identity == every else asked.identity.split(",")
        if any(number not in self.ivrs for number in numbers):
            raise Refusal("10012")
        return {"ivr": [self.reported(number, asked.version) for number in numbers]}

    def reported(self, number: str, version: str) -> Fields:
        ivr = {key: value for key, value in self.ivrs[number].items() if key not in self.leaves_out}
        if version == V2_0:
            dropped = ("ivrnumber", "selectedrouters")
            ivr = {"number": number} | {key: value for key, value in ivr.items() if key not in dropped}
        return ivr

    def ivr_update(self, asked: Asked) -> Answer:
        if not asked.identity:
            raise Refusal("10004")
        if asked.identity not in self.ivrs:
            raise Refusal("10012")
        writable = RULES.keys() - READ_ONLY[asked.version]
        wanted = {key: str(value) for key, value in asked.fields.items() if key in writable}
        number = wanted.get("ivrnumber", asked.identity)
        is_taken = number != asked.identity and number in self.ivrs.keys() | self.queues.keys() | self.extensions
        if is_taken or not all(RULES[key].fullmatch(value) for key, value in wanted.items()):
            raise Refusal("10018")
        self.edit(asked.identity, **asked.stores({key: canonical(key, value) for key, value in wanted.items()}))
        return {}

    def inroute_query(self, asked: Asked) -> Answer:
        """List inbound routes. A number that a route leads to stays as it is when its IVR gets another one."""
        key = "id" if asked.version == V2_0 else "name"
        wanted = str(asked.fields.get(key) or "")
        if not wanted:
            raise Refusal("10004")
        found = [route for route in self.routes.values() if wanted == "all" or route[key] in wanted.split(",")]
        return {"inroutes": found}

    def queue_query(self, asked: Asked) -> Answer:
        key, every = ("number", "all") if asked.version == V2_0 else ("queueid", "")
        wanted = str(asked.fields.get(key) or "")
        if asked.version == V2_0 and not wanted:
            raise Refusal("10004")
        numbers = sorted(self.queues) if wanted == every else wanted.split(",")
        if any(number not in self.queues for number in numbers):
            raise Refusal("10013")
        return {"queues": [self.queues[number] for number in numbers]}

    def extension_list(self, asked: Asked) -> Answer:
        common = {"status": "Registered", "type": "SIP", "agentid": ""}
        return {
            "extlist": [{"extnumber": each, "username": f"Person {each}"} | common for each in sorted(self.extensions)]
        }

    def dial_extension(self, asked: Asked) -> Answer:
        number, extension = str(asked.fields.get("ivrid") or ""), str(asked.fields.get("extid") or "")
        if not number or not extension:
            raise Refusal("10004")
        if number not in self.ivrs:
            raise Refusal("10012")
        if extension not in self.extensions:
            raise Refusal("10006")
        self.rung.append((extension, number))
        return {"callid": f"{time.time():.3f}"}

    def edit(self, number: str, **fields: str) -> None:
        """Change an IVR as on the pages of the PBX itself, without the rules of the API. `ivrnumber` renumbers it."""
        if fields:
            ivr = self.ivrs.pop(number) | fields
            self.ivrs[ivr["ivrnumber"]] = ivr
            self.on_change()


CALLS: dict[str, Callable[[Device, Asked], Answer]] = {
    "login": Device.login,
    "heartbeat": Device.heartbeat,
    "logout": Device.logout,
    "deviceinfo/query": Device.device_info,
    "ivr/query": Device.ivr_query,
    "ivr/update": Device.ivr_update,
    "ivr/dial_extension": Device.dial_extension,
    "inroute/query": Device.inroute_query,
    "queue/query": Device.queue_query,
    "extensionlist/query": Device.extension_list,
    "extension/list": Device.extension_list,
    "apply": Device.apply,
}


def canonical(key: str, value: str) -> str:
    return value.lower() if RULES[key] is SWITCH else value


def is_port(value: Any) -> bool:
    return re.fullmatch("[0-9]{1,5}", str(value)) is not None and 0 < int(value) < 65536


def parse(body: bytes) -> dict[str, Any]:
    """Return the fields in the body of a call. An empty body has none."""
    try:
        asked = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise Refusal("20000") from None
    return asked if isinstance(asked, dict) else {}
