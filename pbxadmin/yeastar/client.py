"""Work with one PBX: the order of calls, the one login, and the rules that hold for every vendor."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .driver import CallKind, Driver, PbxRequest
from .errors import PbxBadAnswer, PbxError, PbxHeldBack, PbxLoginRefused, PbxNotSent, PbxRefused, PbxTokenRefused
from .readings import DeviceInfo, IvrSettings
from .secret import Secret
from .transport import Transport

PAGE_S = 20.0


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

    driver: what speaks the API of this PBX.
    token: one that is known to be recent, or None; after use, the one to keep.
    until: time.monotonic() at which all work with this client ends; 20 s from now unless told otherwise.
    known_serial: whom we expect, "" for anybody; asked after each login, and nothing is written to another device.
    None asks nothing.
    """

    transport: Transport
    driver: Driver
    username: str
    digest: Secret = field(repr=False)
    token: Secret | None = None
    until: float = field(default_factory=lambda: time.monotonic() + PAGE_S)
    calls: list[Call] = field(default_factory=list)
    known_serial: str | None = None
    is_unexpected_device: bool = False
    device: DeviceInfo | None = None

    @property
    def seconds_left(self) -> float:
        return self.until - time.monotonic()

    @property
    def was_refused(self) -> bool:
        """Return whether the PBX refused a login of this client. Another one would bring the lockout nearer."""
        return any(call.kind is CallKind.LOGIN and isinstance(call.error, PbxLoginRefused) for call in self.calls)

    def login(self) -> None:
        """Get a token: one attempt, never repeated, since five wrong ones lock our address out.

        Raises PbxLoginRefused or PbxLocked, PbxHeldBack after one of these, otherwise any PbxError.
        """
        if self.was_refused:
            raise PbxHeldBack("The PBX refused the login just before. It is not tried again.")
        self.token = None
        self.token = self.driver.token(self.exchange(self.driver.login(self.username, self.digest)))
        if self.token is None:
            raise PbxBadAnswer("The PBX accepted the login and gave no token.")
        if self.known_serial is not None:
            self.meet()

    def meet(self) -> None:
        """Ask the device who it is. A device that does not say is taken for the known one."""
        try:
            self.device = self.driver.device(self.exchange(self.with_token(self.driver.identity())))
        except PbxError:
            return
        self.is_unexpected_device = bool(self.known_serial and self.device.serial not in ("", self.known_serial))

    def query_ivrs(self, numbers: Sequence[str] | None = None) -> tuple[IvrSettings, ...]:
        """Read all IVRs, or those with these numbers.

        Raises PbxNotFound, otherwise any PbxError. What a PBX answers when only some of the numbers exist is not
        documented.
        """
        return self.driver.ivrs(self.call(self.driver.read(numbers)))

    def query_ivr(self, number: str) -> IvrSettings:
        """Read one IVR as the PBX holds it now. Raises PbxNotFound when it has none of that number."""
        found = {ivr.number: ivr for ivr in self.query_ivrs([number])}
        if number in found:
            return found[number]
        if found:
            raise PbxBadAnswer(f"The PBX was asked for IVR {number} and answered with another.")
        raise self.driver.not_found()

    def update_ivr(self, live: IvrSettings, wanted: Mapping[str, str]) -> None:
        """Ask the PBX to change one IVR. Returning means that it said Success, not that it is so: read it back.

        live: the IVR as just read. wanted: canonical text by own field name, only what is to change.
        Sent once; sent again only if the token was refused on this very call, which proves that nothing was done.
        Raises PbxNotSent also when a login that had to come first failed; otherwise any PbxError of the update itself.
        """
        self.call(self.driver.update(live, wanted))

    def device_info(self) -> DeviceInfo:
        return self.driver.device(self.call(self.driver.identity()))

    def apply(self) -> None:
        """Make earlier updates take effect, after a batch of them. A single update applies itself."""
        self.call(self.driver.apply())

    def logout(self) -> None:
        """Give the token back, if there is one."""
        if self.token is not None:
            self.exchange(self.with_token(self.driver.logout()))
            self.token = None

    def call(self, request: PbxRequest) -> dict[str, Any]:
        """Make a request with a token. A refused token gets one new login and the same request once more."""
        if self.token is not None:
            try:
                return self.exchange(self.with_token(request))
            except PbxTokenRefused:
                self.token = None
        self.login_for(request.kind)
        return self.exchange(self.with_token(request))

    def with_token(self, request: PbxRequest) -> PbxRequest:
        return self.driver.with_token(request, self.token) if self.token else request

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

    def exchange(self, request: PbxRequest) -> dict[str, Any]:
        """Send one request and return its answer.

        Raises PbxHeldBack, without counting it as a call, when it may not be sent; otherwise any PbxError.
        """
        if request.kind is CallKind.UPDATE and self.is_unexpected_device:
            raise PbxHeldBack("Another device answers at this address. An admin has to accept it first.")
        if self.seconds_left <= 0:
            raise PbxHeldBack("The time for this work with the PBX is used up.")
        started = time.monotonic()
        payload: dict[str, Any] = {}
        failure: PbxError | None = None
        try:
            payload = self.driver.answer(self.transport.exchange(request, self.until))
        except PbxError as error:
            failure = error.with_traceback(None)  # its frames hold the answer, and a token may be in that
        if request.kind is CallKind.LOGIN and isinstance(failure, PbxRefused):
            failure = self.driver.login_refusal(failure)
        self.calls.append(Call(request.kind, request.name, time.monotonic() - started, failure))
        if failure is not None:
            raise failure
        return payload
