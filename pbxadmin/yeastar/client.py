"""The calls of the S-Series API that PBX Admin uses, v1.0.0, v1.1.0 and v2.0.0."""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .errors import (
    PbxBadAnswer,
    PbxError,
    PbxHeldBack,
    PbxLoginRefused,
    PbxNotFound,
    PbxNotSent,
    PbxRefused,
    PbxTokenRefused,
    login_refusal,
)
from .fields import ApiVersion
from .transport import Body, Secret, Transport
from .wire import DeviceInfo, IvrSettings, read_answer, read_device, read_ivrs, write_query, write_update

PAGE_S = 20.0
# Nobody listens there: we want no event reports, but the API wants a port.
REPORT_PORT = "8260"
# The guides show 32 hex digits and promise nothing: what a URL, base64 and JWT are made of will do.
TOKEN = re.compile(r"[0-9A-Za-z._~+/=-]{1,512}")


def password_digest(password: str) -> str:
    """What the API takes for a password: the MD5 of its UTF-8 bytes, lower-case hex. As good as the password."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


class CallKind(StrEnum):
    """What an exchange is for, whatever the vendor calls it."""

    LOGIN = "login"
    IDENTITY = "identity"
    READ = "read"
    UPDATE = "update"
    APPLY = "apply"
    LOGOUT = "logout"


# The vendor's names. They are stored with each change, so they never change either.
WIRE_NAMES = {
    CallKind.LOGIN: "login",
    CallKind.IDENTITY: "deviceinfo/query",
    CallKind.READ: "ivr/query",
    CallKind.UPDATE: "ivr/update",
    CallKind.APPLY: "apply",
    CallKind.LOGOUT: "logout",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One exchange that took place. name: the vendor's own. error: what it ended in, None for success."""

    kind: CallKind
    name: str
    seconds: float
    error: PbxError | None = None


@dataclass
class PbxClient:
    """One PBX, for one caller at a time: whoever builds it holds that PBX's lease.

    token: one that is known to be recent, or None; after use, the one to keep.
    until: time.monotonic() at which all work with this client ends; 20 s from now unless told otherwise.
    known_serial: whom we expect, "" for anybody; asked after each login, and nothing is written to another device.
    None asks nothing.
    """

    transport: Transport
    version: ApiVersion
    username: str
    digest: Secret = field(repr=False)
    token: Secret | None = None
    until: float = field(default_factory=lambda: time.monotonic() + PAGE_S)
    calls: list[Call] = field(default_factory=list)
    known_serial: str | None = None
    is_stranger: bool = False
    device: DeviceInfo | None = None

    @property
    def seconds_left(self) -> float:
        return self.until - time.monotonic()

    @property
    def was_refused(self) -> bool:
        """Whether the PBX refused a login of this client: another one would only bring the lockout nearer."""
        return any(call.kind is CallKind.LOGIN and isinstance(call.error, PbxLoginRefused) for call in self.calls)

    def login(self) -> None:
        """Get a token: one attempt, never repeated, since five wrong ones lock our address out.

        Raises PbxLoginRefused (20003), PbxLocked (20002), PbxHeldBack after one of these, otherwise any PbxError.
        """
        if self.was_refused:
            raise PbxHeldBack("The PBX refused the login just before. It is not tried again.")
        self.token = None
        body: dict[str, str | Secret] = {"username": self.username, "password": self.digest, "port": REPORT_PORT}
        if self.version is ApiVersion.V2_0:
            body["version"] = "2.0.0"
        self.token = read_token(self.exchange(CallKind.LOGIN, body, None))
        if self.token is None:
            raise PbxBadAnswer("The PBX accepted the login and gave no token.")
        if self.known_serial is not None:
            self.meet()

    def meet(self) -> None:
        """Ask the device who it is. One that does not say is taken for who it was."""
        try:
            self.device = read_device(self.exchange(CallKind.IDENTITY, None, self.token))
        except PbxError:
            return
        self.is_stranger = bool(self.known_serial and self.device.serial not in ("", self.known_serial))

    def query_ivrs(self, numbers: Sequence[str] | None = None) -> tuple[IvrSettings, ...]:
        """Read all IVRs, or those with these numbers.

        Raises PbxNotFound (10012), otherwise any PbxError. Which answer a list gets of which only some exist is not
        documented.
        """
        answer = self.call(CallKind.READ, write_query(numbers, self.version) or None)
        return read_ivrs(answer, self.version)

    def query_ivr(self, number: str) -> IvrSettings:
        """Read one IVR as the PBX holds it now. Raises PbxNotFound when it has none of that number."""
        found = {ivr.number: ivr for ivr in self.query_ivrs([number])}
        if number in found:
            return found[number]
        if found:
            raise PbxBadAnswer(f"The PBX was asked for IVR {number} and answered with another.")
        raise PbxNotFound("10012")

    def update_ivr(self, live: IvrSettings, wanted: Mapping[str, str]) -> None:
        """Ask the PBX to change one IVR. Returning means that it said Success, not that it is so: read it back.

        live: the IVR as just read. wanted: canonical text by own field name, only what is to change.
        Sent once; sent again only if the token was refused on this very call, which proves that nothing was done.
        Raises PbxNotSent also when a login that had to come first failed; otherwise any PbxError of the update itself.
        """
        self.call(CallKind.UPDATE, write_update(live, wanted, self.version))

    def device_info(self) -> DeviceInfo:
        return read_device(self.call(CallKind.IDENTITY, None))

    def apply(self) -> None:
        """Make earlier updates take effect. Each update applies itself; this exists for after a batch."""
        self.call(CallKind.APPLY, None)

    def logout(self) -> None:
        """Give the token back, if there is one."""
        if self.token is not None:
            self.exchange(CallKind.LOGOUT, None, self.token)
            self.token = None

    def call(self, kind: CallKind, body: Body | None) -> dict[str, Any]:
        """An exchange with a token; a refused token gets one new login and the same request once more."""
        if self.token is not None:
            try:
                return self.exchange(kind, body, self.token)
            except PbxTokenRefused:
                self.token = None
        self.login_for(kind)
        return self.exchange(kind, body, self.token)

    def login_for(self, kind: CallKind) -> None:
        """Log in before a call. An update that waits for a login which fails was not sent: raise PbxNotSent then."""
        failure: PbxError | None = None
        try:
            self.login()
        except PbxError as error:
            failure = error.with_traceback(None)
        if failure is None:
            return
        is_update = kind is CallKind.UPDATE and not isinstance(failure, PbxNotSent)
        raise PbxNotSent(str(failure)) if is_update else failure

    def exchange(self, kind: CallKind, body: Body | None, token: Secret | None) -> dict[str, Any]:
        """One request and its answer. Raises PbxHeldBack, without counting as a call, when it may not be made."""
        if kind is CallKind.UPDATE and self.is_stranger:
            raise PbxHeldBack("Another device answers at this address. An admin has to accept it first.")
        if self.seconds_left <= 0:
            raise PbxHeldBack("The time for this work with the PBX is used up.")
        name = WIRE_NAMES[kind]
        started = time.monotonic()
        payload: dict[str, Any] = {}
        failure: PbxError | None = None
        try:
            payload = read_answer(self.transport.post(f"/api/{self.version}/{name}", body, token, self.until))
        except PbxError as error:
            failure = error.with_traceback(None)  # its frames hold the answer, and a token may be in that
        if kind is CallKind.LOGIN and isinstance(failure, PbxRefused):
            failure = login_refusal(failure)
        self.calls.append(Call(kind, name, time.monotonic() - started, failure))
        if failure is not None:
            raise failure
        return payload


def read_token(payload: Mapping[str, Any]) -> Secret | None:
    token = payload.get("token")
    return Secret(token) if isinstance(token, str) and TOKEN.fullmatch(token) else None
