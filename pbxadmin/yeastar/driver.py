"""What the API of a vendor must offer. `drivers.py` says which driver a PBX record gets.

A driver makes requests and reads answers; it opens no connection and keeps no state, so one object serves all PBXs.
Trust, address guard, deadlines, the order of calls and the one login belong to transport.py and client.py, for all
drivers alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from .errors import PbxRefused
from .fields import IvrField
from .readings import DeviceInfo, IvrSettings
from .secret import Secret

Text = str | Secret


class CallKind(StrEnum):
    """What an exchange is for, whatever the vendor calls it."""

    LOGIN = "login"
    IDENTITY = "identity"
    READ = "read"
    UPDATE = "update"
    APPLY = "apply"
    LOGOUT = "logout"


@dataclass(frozen=True)
class PbxRequest:
    """One request. path: below the address of the PBX. A `Secret` is revealed only while the request is sent.

    name: the vendor's name of the call. It is stored with changes, so it never changes.
    body: a JSON object; None sends none.
    """

    kind: CallKind
    name: str
    path: str
    body: Mapping[str, Text] | None = None
    method: str = "POST"
    query: Mapping[str, Text] = field(default_factory=dict)
    headers: Mapping[str, Text] = field(default_factory=dict)


class Driver(Protocol):
    """One API version of one vendor.

    api_version: as it is stored with PBX records and changes.
    fields: what it reports of an IVR, in the order of the page. A field that it cannot write, such as a number where
    IVRs cannot be renumbered, does not name this version in `writable`.
    newest_first: the versions of the same vendor that "Detect API version" tries.
    """

    @property
    def api_version(self) -> str: ...

    @property
    def fields(self) -> tuple[IvrField, ...]: ...

    @property
    def newest_first(self) -> tuple[str, ...]: ...

    def digest(self, password: str) -> str:
        """Return what is kept of a password: no more than the login needs."""

    def login(self, username: str, digest: Secret) -> PbxRequest: ...

    def token(self, answer: Mapping[str, Any]) -> Secret | None:
        """Return the token in the answer to a login, or None when it holds none that can be used."""

    def with_token(self, request: PbxRequest, token: Secret) -> PbxRequest: ...

    def identity(self) -> PbxRequest: ...

    def device(self, answer: Mapping[str, Any]) -> DeviceInfo:
        """Return who answered. Raises PbxBadAnswer."""

    def read(self, numbers: Sequence[str] | None) -> PbxRequest:
        """Return the request for the IVRs with these numbers, or for all."""

    def ivrs(self, answer: Mapping[str, Any]) -> tuple[IvrSettings, ...]:
        """Return the IVRs in the PBX's order. Raises PbxBadAnswer when the list proves nothing."""

    def further_values(self, raw: Mapping[str, Any]) -> dict[str, str | None]:
        """Return canonical text by name of the fields that only this driver has, from an IVR as it was received.

        They are shown. They are not compared, recorded or written: for that a field needs a column of its own.
        """

    def update(self, live: IvrSettings, wanted: Mapping[str, str]) -> PbxRequest:
        """Return the request that changes one IVR. Raises ValueError for a field that this version cannot write."""

    def apply(self) -> PbxRequest: ...

    def logout(self) -> PbxRequest: ...

    def answer(self, body: bytes) -> dict[str, Any]:
        """Return the payload of a successful answer. Raises PbxBadAnswer, or PbxRefused when the PBX says no."""

    def not_found(self) -> PbxRefused:
        """Return the error for an IVR that a good answer does not name."""

    def login_refusal(self, error: PbxRefused) -> PbxRefused:
        """Return what the refusal of a login means."""

    def is_other_version(self, error: PbxRefused) -> bool:
        """Return whether a PBX refuses like this when it has another version of the API."""
