"""A driver for a PBX of a made-up vendor, and such a PBX on loopback.

It differs from the S-Series wherever a driver may: GET and PATCH beside POST, the token in a header, a password that is
kept as it is, numbers instead of text, another identity, one field more, and no way to renumber an IVR.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from pbxadmin.yeastar.driver import CallKind, PbxRequest
from pbxadmin.yeastar.errors import PbxBadAnswer, PbxLoginRefused, PbxNotFound, PbxRefused, PbxTokenRefused
from pbxadmin.yeastar.fields import FIELDS, Group, IvrField, Kind
from pbxadmin.yeastar.readings import DeviceInfo, IvrSettings, SideList
from pbxadmin.yeastar.secret import Secret

TOY = "toy-1"
PASSWORD = "open sesame"
KEYS = {"name": "title", "response_timeout": "wait"}
LANGUAGE = IvrField("language", "Language", Kind.TEXT, Group.CALLERS_MEET, "language", "Spoken by the prompts.")


def of_toy(field: IvrField) -> IvrField:
    """Return a field as this vendor has it: only the name and the response timeout can be changed."""
    return replace(field, writable=frozenset({TOY} if field.name in KEYS else ()), required=frozenset())


class ToyDriver:
    api_version = TOY
    fields = (*map(of_toy, FIELDS), replace(LANGUAGE, writable=frozenset()))
    newest_first = (TOY,)

    def digest(self, password: str) -> str:
        return password

    def login(self, username: str, digest: Secret, report_port: int) -> PbxRequest:
        return PbxRequest(CallKind.LOGIN, "session", "/session", {"user": username, "secret": digest})

    def token(self, answer: Mapping[str, Any]) -> Secret | None:
        return Secret(answer["key"]) if "key" in answer else None

    def with_token(self, request: PbxRequest, token: Secret) -> PbxRequest:
        return replace(request, headers={"X-Toy-Key": token})

    def identity(self) -> PbxRequest:
        return PbxRequest(CallKind.IDENTITY, "me", "/me", method="GET")

    def device(self, answer: Mapping[str, Any]) -> DeviceInfo:
        return DeviceInfo(serial=answer["id"], model="Toy")

    def read(self, numbers: Sequence[str] | None) -> PbxRequest:
        query = {"only": ",".join(numbers)} if numbers else {}
        return PbxRequest(CallKind.READ, "menus", "/menus", method="GET", query=query)

    def ivrs(self, answer: Mapping[str, Any]) -> tuple[IvrSettings, ...]:
        return tuple(
            IvrSettings(menu["no"], name=menu["title"], response_timeout=str(menu["wait"]), raw=menu)
            for menu in answer["menus"]
        )

    def further_values(self, raw: Mapping[str, Any]) -> dict[str, str | None]:
        return {"language": raw.get("language")}

    def update(self, live: IvrSettings, wanted: Mapping[str, str]) -> PbxRequest:
        body = {KEYS[name]: text for name, text in wanted.items()}
        return PbxRequest(CallKind.UPDATE, "menu", f"/menus/{live.number}", body, method="PATCH")

    def side_list(self, kind: CallKind) -> PbxRequest | None:
        return None

    def side_entries(self, kind: CallKind, answer: Mapping[str, Any]) -> SideList:
        raise NotImplementedError("this PBX offers no such list")

    def ring(self, number: str, extension: str) -> PbxRequest | None:
        return None

    def apply(self) -> PbxRequest:
        raise NotImplementedError("this PBX applies each update itself")

    def logout(self) -> PbxRequest:
        return PbxRequest(CallKind.LOGOUT, "leave", "/session", method="DELETE")

    def answer(self, body: bytes) -> dict[str, Any]:
        try:
            payload: dict[str, Any] = json.loads(body)
        except ValueError:
            payload = {}
        if "ok" not in payload:
            raise PbxBadAnswer("The PBX answered something that is not this API.")
        if payload["ok"]:
            return payload
        kinds = {"login": PbxLoginRefused, "key": PbxTokenRefused, "none": PbxNotFound}
        raise kinds.get(payload["why"], PbxRefused)(payload["why"], "The toy said no")

    def not_found(self) -> PbxRefused:
        return PbxNotFound("none", "The toy has no such menu")

    def login_refusal(self, error: PbxRefused) -> PbxRefused:
        return error

    def is_other_version(self, error: PbxRefused) -> bool:
        return False


class ToyPbx:
    """A PBX of the made-up vendor.

    received: method, path and X-Toy-Key of each request. ends_key_before: the method at which the key that it gave out
    becomes worthless, once.
    """

    def __init__(self) -> None:
        self.serial = "TOY-0815"
        self.key = "toy-key"
        self.ends_key_before = ""
        self.menus = {"6500": {"no": "6500", "title": "Main_Menu", "wait": 3, "language": "Welsh"}}
        self.received: list[tuple[str, str, str | None]] = []
        self.port = 0

    def carry_out(self, method: str, path: str, key: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        self.received.append((method, path, key))
        if method == self.ends_key_before:
            self.key, self.ends_key_before = "second-key", ""
        if (method, path) == ("POST", "/session"):
            return {"ok": True, "key": self.key} if body["secret"] == PASSWORD else {"ok": False, "why": "login"}
        if key != self.key:
            return {"ok": False, "why": "key"}
        if path == "/me":
            return {"ok": True, "id": self.serial}
        if method == "PATCH":
            menu = self.menus[path.rsplit("/", 1)[1]]
            menu |= {"wait": int(body["wait"])} if "wait" in body else {"title": body["title"]}
        return {"ok": True, "menus": list(self.menus.values())}


@contextmanager
def toy_pbx() -> Iterator[ToyPbx]:
    """Serve one toy PBX on a port of 127.0.0.1 during the block."""
    toy = ToyPbx()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size) or b"{}")
            said = toy.carry_out(self.command, self.path, self.headers.get("X-Toy-Key"), body)
            payload = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    toy.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield toy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
