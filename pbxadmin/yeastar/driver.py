"""Protocol that each driver implements. `drivers.py` maps a PBX record to its driver.

A driver builds requests and reads answers. It opens no connection and keeps no state, so one object serves all PBXs.
Trust, the address guard, deadlines, the order of calls and the single login belong to transport.py and client.py, and
are the same for all drivers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from .errors import PbxRefused
from .fields import IvrField
from .readings import DeviceInfo, IvrSettings, SideList
from .secret import Secret

Text = str | Secret


class CallKind(StrEnum):
    """Purpose of an exchange, independent of the vendor's name for it."""

    LOGIN = "login"
    IDENTITY = "identity"
    READ = "read"
    UPDATE = "update"
    APPLY = "apply"
    LOGOUT = "logout"
    ROUTES = "routes"
    QUEUES = "queues"
    EXTENSIONS = "extensions"
    RING = "ring"


# Lists beside that of the IVRs: what leads to them, and which numbers are taken. A version may lack any of them.
SIDE_LISTS = (CallKind.ROUTES, CallKind.QUEUES, CallKind.EXTENSIONS)
# What only reads, so that it may be sent again when nothing says that it arrived.
READS = frozenset({CallKind.READ, CallKind.IDENTITY, *SIDE_LISTS})
# What does something at the PBX. None of it is done at a device that is not the known one.
ACTS = frozenset({CallKind.UPDATE, CallKind.RING})


@dataclass(frozen=True)
class PbxRequest:
    """A request to a PBX. A `Secret` in it is revealed only while it is sent.

    name: the vendor's name of the call. Changes store it, so it never changes.
    path: below the address of the PBX. body: a JSON object, or None to send no body.
    """

    kind: CallKind
    name: str
    path: str
    body: Mapping[str, Text] | None = None
    method: str = "POST"
    query: Mapping[str, Text] = field(default_factory=dict)
    headers: Mapping[str, Text] = field(default_factory=dict)


class Driver(Protocol):
    """Interface of a driver for one API version of one vendor.

    api_version: the value that PBX records and changes store.
    fields: the fields of an IVR that this version reports, in the order of the page. Its capabilities are in
    `IvrField.writable`: a number that does not name this version there means that IVRs cannot be renumbered.
    newest_first: the versions of this vendor, in the order in which "Detect API version" tries them.
    """

    @property
    def api_version(self) -> str: ...

    @property
    def fields(self) -> tuple[IvrField, ...]: ...

    @property
    def newest_first(self) -> tuple[str, ...]: ...

    def digest(self, password: str) -> str:
        """Return the form of a password to store, which holds no more than the login needs."""

    def login(self, username: str, digest: Secret, report_port: int) -> PbxRequest:
        """Return the request for a token. report_port: where the PBX may report events to, if its login asks for it."""

    def token(self, answer: Mapping[str, Any]) -> Secret | None:
        """Return the token in the answer to a login, or None when there is no usable token."""

    def with_token(self, request: PbxRequest, token: Secret) -> PbxRequest: ...

    def identity(self) -> PbxRequest: ...

    def device(self, answer: Mapping[str, Any]) -> DeviceInfo:
        """Return the identity of the device that answered. Raises PbxBadAnswer."""

    def read(self, numbers: Sequence[str] | None) -> PbxRequest:
        """Return the request that reads the IVRs with these numbers, or all IVRs for None."""

    def ivrs(self, answer: Mapping[str, Any]) -> tuple[IvrSettings, ...]:
        """Return the IVRs in the order of the PBX. Raises PbxBadAnswer for a list that cannot be relied on."""

    def further_values(self, raw: Mapping[str, Any]) -> dict[str, str | None]:
        """Return canonical text by field name, for the fields that only this driver has. raw: an IVR as received.

        Pages show these fields. To be compared, recorded or written, a field needs a column of its own.
        """

    def update(self, live: IvrSettings, wanted: Mapping[str, str]) -> PbxRequest:
        """Return the request that changes one IVR. Raises ValueError for a field that this version cannot write."""

    def side_list(self, kind: CallKind) -> PbxRequest | None:
        """Return the request that reads one of SIDE_LISTS whole, or None when this version does not offer it."""

    def side_entries(self, kind: CallKind, answer: Mapping[str, Any]) -> SideList:
        """Return what such a list names, without secrets and names of people. Raises PbxBadAnswer for another shape."""

    def ring(self, number: str, extension: str) -> PbxRequest | None:
        """Return the request that rings an extension and plays an IVR to it, or None when this version cannot.

        Raises ValueError for anything but the numbers of an IVR and an extension.
        """

    def apply(self) -> PbxRequest: ...

    def logout(self) -> PbxRequest: ...

    def answer(self, body: bytes) -> dict[str, Any]:
        """Return the payload of a successful answer. Raises PbxBadAnswer, or PbxRefused when the PBX says no."""

    def not_found(self) -> PbxRefused:
        """Return the error for an IVR that a good answer does not name."""

    def login_refusal(self, error: PbxRefused) -> PbxRefused:
        """Return the error to raise for a refused login, such as PbxLoginRefused."""

    def is_other_version(self, error: PbxRefused) -> bool:
        """Return whether this refusal means that the PBX does not have this API version."""
