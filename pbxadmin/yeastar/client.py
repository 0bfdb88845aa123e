"""A client for one PBX: the order of calls, the single login, and the rules that hold for every vendor."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from .driver import ACTS, CallKind, Driver, PbxRequest
from .errors import (
    PbxBadAnswer,
    PbxError,
    PbxHeldBack,
    PbxLoginRefused,
    PbxNotFound,
    PbxNotSent,
    PbxRefused,
    PbxTokenRefused,
)
from .readings import DeviceInfo, IvrSettings, SideList
from .secret import Secret
from .transport import Transport

PAGE_S = 20.0
# The API requires a port for event reports, and we want none. Nothing listens on the discard port.
DISCARD_PORT = 9
Payload = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """An exchange that took place. name: the vendor's name of it. error: how it failed, None for success."""

    kind: CallKind
    name: str
    seconds: float
    error: PbxError | None = None


@dataclass
class PbxClient:
    """A client for one PBX and one caller at a time. The code that builds it holds the lease of that PBX.

    driver: speaks the API of this PBX.
    token: a recent token, or None; after use, the token to store.
    until: time.monotonic() at which all work with this client ends; 20 s from now by default.
    known_serial: the serial number to expect, "" for any. It is compared after each login, and nothing is written to
    another device. None skips the comparison.
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
    report_port: int = DISCARD_PORT

    @property
    def seconds_left(self) -> float:
        return self.until - time.monotonic()

    @property
    def was_refused(self) -> bool:
        """Return whether the PBX refused a login of this client. Another attempt would bring the lockout nearer."""
        return any(call.kind is CallKind.LOGIN and isinstance(call.error, PbxLoginRefused) for call in self.calls)

    @contextmanager
    def leaving(self, seconds: float) -> Iterator[None]:
        """Keep so many seconds of the time of this client for what comes after the block."""
        until = self.until
        self.until = until - seconds
        try:
            yield
        finally:
            self.until = until

    def login(self) -> None:
        """Get a token. This is one attempt and never retried: five wrong passwords lock our address out.

        Raises PbxLoginRefused or PbxLocked, PbxHeldBack after one of these, otherwise any PbxError.
        """
        if self.was_refused:
            raise PbxHeldBack("The PBX refused the login just before. PBX Admin does not retry it.")
        self.token = None
        self.token = self.exchange(self.driver.login(self.username, self.digest, self.report_port), self.read_token)
        if self.known_serial is not None:
            self.identify()

    def identify(self) -> None:
        """Read the identity of the device. A device that does not report one is taken for the known device."""
        try:
            self.device = self.exchange(self.with_token(self.driver.identity()), self.driver.device)
        except PbxError:
            return
        self.is_unexpected_device = bool(self.known_serial and self.device.serial not in ("", self.known_serial))

    def read_token(self, answer: Payload) -> Secret:
        token = self.driver.token(answer)
        if token is None:
            raise PbxBadAnswer("The PBX accepted the login and gave no token.")
        return token

    def query_ivrs(self, numbers: Sequence[str] | None = None) -> tuple[IvrSettings, ...]:
        """Read all IVRs, or only the IVRs with these numbers.

        Raises PbxNotFound when no IVR has one of these numbers, otherwise any PbxError. The vendor does not document
        the answer for a list of which only some numbers exist. A PBX that finds no IVR at all has none.
        """
        try:
            return self.call(self.driver.read(numbers), self.driver.ivrs)
        except PbxNotFound:
            if numbers is not None or not self.found_none:
                raise
        return ()

    @property
    def found_none(self) -> bool:
        """Return whether the PBX said that it has no IVRs when it was asked for them last."""
        last = next((call for call in reversed(self.calls) if call.kind is CallKind.READ), None)
        return last is not None and isinstance(last.error, PbxNotFound)

    def query_ivr(self, number: str) -> IvrSettings:
        """Read one IVR as the PBX holds it now.

        Raises PbxNotFound when no IVR has that number, PbxBadAnswer when the PBX is not clear about it.
        """
        found = {ivr.number: ivr for ivr in self.query_ivrs([number])}
        if number not in found and not found:
            raise self.driver.not_found()
        ivr = found.get(number) or next(iter(found.values()))
        if ivr.flaw or ivr.number != number:
            raise PbxBadAnswer(ivr.flaw or f"The PBX was asked for IVR {number} and answered with another.")
        return ivr

    def update_ivr(self, live: IvrSettings, wanted: Mapping[str, str]) -> None:
        """Ask the PBX to change one IVR. A return means that it answered Success, which proves nothing: read it back.

        live: the IVR as just read. wanted: canonical text by field name, for the fields to change only.
        Sends the update once, and again only if the PBX refused the token on this call, which proves that nothing was
        done.
        Raises PbxNotSent also when a login that had to come first failed; otherwise any PbxError of the update itself.
        """
        self.call(self.driver.update(live, wanted), unread)

    def query_list(self, kind: CallKind) -> SideList | None:
        """Read one of SIDE_LISTS, None when this version of the API does not offer it.

        A PBX that finds nothing at all has an empty list. Raises any PbxError.
        """
        request = self.driver.side_list(kind)
        if request is None:
            return None
        try:
            return self.call(request, partial(self.driver.side_entries, kind))
        except PbxNotFound:
            return SideList()

    def ring(self, number: str, extension: str) -> None:
        """Have the PBX ring an extension and play an IVR to it. This is one attempt, also after a refused token.

        Raises PbxNotSent when nothing rings, PbxRefused when the PBX would not, otherwise any PbxError.
        """
        request = self.driver.ring(number, extension)
        if request is None:
            raise PbxHeldBack(f"API {self.driver.api_version} has no call that rings a phone.")
        if self.token is None:
            self.login_for(request.kind)
        self.exchange(self.with_token(request), unread)

    def device_info(self) -> DeviceInfo:
        return self.call(self.driver.identity(), self.driver.device)

    def apply(self) -> None:
        """Make a batch of earlier updates take effect. A single update takes effect by itself."""
        self.call(self.driver.apply(), unread)

    def logout(self) -> None:
        """Give the token back, if there is one."""
        if self.token is not None:
            self.exchange(self.with_token(self.driver.logout()), unread)
            self.token = None

    def call(self, request: PbxRequest, read: Callable[[Payload], T]) -> T:
        """Send a request with a token. After a refused token, log in once and send the same request once more."""
        if self.token is not None:
            try:
                return self.exchange(self.with_token(request), read)
            except PbxTokenRefused:
                self.token = None
        self.login_for(request.kind)
        return self.exchange(self.with_token(request), read)

    def with_token(self, request: PbxRequest) -> PbxRequest:
        return self.driver.with_token(request, self.token) if self.token else request

    def login_for(self, kind: CallKind) -> None:
        """Log in before a request. Raises PbxNotSent for one that acts, whatever made the login fail."""
        failure: PbxError | None = None
        try:
            self.login()
        except PbxError as error:
            failure = error.with_traceback(None)
        if failure is None:
            return
        is_act = kind in ACTS and not isinstance(failure, PbxNotSent)
        raise PbxNotSent(str(failure)) if is_act else failure

    def exchange(self, request: PbxRequest, read: Callable[[Payload], T]) -> T:
        """Send one request and return what `read` makes of its answer. An answer that cannot be read has failed.

        Raises PbxHeldBack, without counting it as a call, when it may not be sent; otherwise any PbxError.
        """
        if request.kind in ACTS and self.is_unexpected_device:
            raise PbxHeldBack("Another device answers at this address. An admin has to accept it first.")
        if self.seconds_left <= 0:
            raise PbxHeldBack("The time for this work with the PBX is used up.")
        started = time.monotonic()
        found: list[T] = []
        failure: PbxError | None = None
        try:
            found.append(read(self.driver.answer(self.transport.exchange(request, self.until))))
        except PbxError as error:
            failure = error.with_traceback(None)  # the frames hold the answer, which may contain a token
        if request.kind is CallKind.LOGIN and isinstance(failure, PbxRefused):
            failure = self.driver.login_refusal(failure)
        self.calls.append(Call(request.kind, request.name, time.monotonic() - started, failure))
        if failure is not None:
            raise failure
        return found[0]


def unread(answer: Payload) -> None:
    """Read nothing of an answer: it proves nothing that a reading does not."""
