"""S-Series driver: POST only, the token in the query, an MD5 in place of the password."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pbxadmin.yeastar.driver import CallKind, PbxRequest, Text
from pbxadmin.yeastar.errors import PbxRefused
from pbxadmin.yeastar.fields import FIELDS, ApiVersion, IvrField
from pbxadmin.yeastar.readings import DeviceInfo, IvrSettings, SideList
from pbxadmin.yeastar.secret import Secret

from .codes import NO_SUCH_VERSION, NOT_FOUND, login_refusal, refusal
from .side_lists import list_call, read_list, write_ring
from .wire import read_answer, read_device, read_ivrs, write_query, write_update

# The guides show 32 hex digits without promising them, so accept what URLs, base64 and JWT consist of.
TOKEN = re.compile(r"[0-9A-Za-z._~+/=-]{1,512}")
NEWEST_FIRST = (ApiVersion.V2_0, ApiVersion.V1_1, ApiVersion.V1_0)


def password_digest(password: str) -> str:
    """Return the MD5 of the UTF-8 password as lower-case hex. Anybody who has it can log in with it."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class SSeriesDriver:
    """A driver for one version of the S-Series API. Source: the vendor's API guides v1.0.0, v1.1.0 and v2.0.0."""

    version: ApiVersion
    fields: tuple[IvrField, ...] = FIELDS
    newest_first: tuple[str, ...] = NEWEST_FIRST

    @property
    def api_version(self) -> str:
        return self.version.value

    def digest(self, password: str) -> str:
        return password_digest(password)

    def request(self, kind: CallKind, name: str, body: Mapping[str, Text] | None = None) -> PbxRequest:
        return PbxRequest(kind, name, f"/api/{self.version}/{name}", body)

    def login(self, username: str, digest: Secret, report_port: int) -> PbxRequest:
        body: dict[str, Text] = {"username": username, "password": digest, "port": str(report_port)}
        if self.version is ApiVersion.V2_0:
            body["version"] = "2.0.0"
        return self.request(CallKind.LOGIN, "login", body)

    def token(self, answer: Mapping[str, Any]) -> Secret | None:
        token = answer.get("token")
        return Secret(token) if isinstance(token, str) and TOKEN.fullmatch(token) else None

    def with_token(self, request: PbxRequest, token: Secret) -> PbxRequest:
        return replace(request, query={**request.query, "token": token})

    def identity(self) -> PbxRequest:
        return self.request(CallKind.IDENTITY, "deviceinfo/query")

    def device(self, answer: Mapping[str, Any]) -> DeviceInfo:
        return read_device(answer)

    def read(self, numbers: Sequence[str] | None) -> PbxRequest:
        return self.request(CallKind.READ, "ivr/query", write_query(numbers, self.version) or None)

    def ivrs(self, answer: Mapping[str, Any]) -> tuple[IvrSettings, ...]:
        return read_ivrs(answer, self.version)

    def further_values(self, raw: Mapping[str, Any]) -> dict[str, str | None]:
        return {}

    def update(self, live: IvrSettings, wanted: Mapping[str, str]) -> PbxRequest:
        return self.request(CallKind.UPDATE, "ivr/update", write_update(live, wanted, self.version))

    def side_list(self, kind: CallKind) -> PbxRequest | None:
        call = list_call(kind, self.version)
        return self.request(kind, call.name, call.body) if call else None

    def side_entries(self, kind: CallKind, answer: Mapping[str, Any]) -> SideList:
        return read_list(kind, answer)

    def ring(self, number: str, extension: str) -> PbxRequest | None:
        return self.request(CallKind.RING, "ivr/dial_extension", write_ring(number, extension))

    def apply(self) -> PbxRequest:
        return self.request(CallKind.APPLY, "apply")

    def logout(self) -> PbxRequest:
        return self.request(CallKind.LOGOUT, "logout")

    def answer(self, body: bytes) -> dict[str, Any]:
        return read_answer(body)

    def not_found(self) -> PbxRefused:
        return refusal(NOT_FOUND)

    def login_refusal(self, error: PbxRefused) -> PbxRefused:
        return login_refusal(error)

    def is_other_version(self, error: PbxRefused) -> bool:
        return error.code == NO_SUCH_VERSION
