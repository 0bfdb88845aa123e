"""What can go wrong in talking to a PBX, named by what we know afterwards.

    PbxError
    ├── PbxNotSent            nothing left us
    │   ├── PbxUntrusted        the certificate is not the one we trust
    │   ├── PbxUnreachable      no connection
    │   └── PbxHeldBack         our own rule: rejected credentials, a lock, a missing setting
    │       └── PbxForbidden      an address that we do not connect to
    ├── PbxOutcomeUnknown     the request left us; no usable answer came back
    │   └── PbxBadAnswer        an answer came, and it is not one of this API
    └── PbxRefused(code)      the PBX said no
        ├── PbxNotFound         10012 and its like
        ├── PbxBusy             try later
        └── PbxLoginRefused     20003
            ├── PbxLocked         20002: too many wrong passwords came from our address
            └── PbxTokenRefused   20004, 20005, 20006: nothing was done; log in once more

str(error) is one sentence that is safe to show: it holds no URL, token, password or digest.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FORBIDDEN = "The address of this PBX is outside the networks that PBX Admin may connect to (setting PBX_NETWORKS)."
FORBIDDEN_PORT = "The port of this PBX is none that PBX Admin may connect to (setting PBX_PORTS)."


class PbxError(Exception):
    """Any failed exchange with a PBX."""


class PbxNotSent(PbxError):
    """Nothing left us."""


class PbxUntrusted(PbxNotSent):
    """The certificate is not the one we trust. `found` is the SHA-256 fingerprint that was shown, when known."""

    def __init__(self, message: str, found: str = "") -> None:
        super().__init__(message)
        self.found = found


class PbxUnreachable(PbxNotSent):
    """No connection could be made."""


class PbxHeldBack(PbxNotSent):
    """We did not try, by a rule of our own."""


class PbxForbidden(PbxHeldBack):
    """An address that the guard refuses. Not an OSError: that would look like a fault of the network.

    The sentence is the same wherever it is refused, and does not say which address a name led to.
    """

    def __init__(self, message: str = FORBIDDEN) -> None:
        super().__init__(message)


class PbxOutcomeUnknown(PbxError):
    """The request left us and no usable answer came back."""


class PbxBadAnswer(PbxOutcomeUnknown):
    """Something answered, and it is not this API."""


class PbxRefused(PbxError):
    """The PBX said no. `code` is its errno as text, "" when it gave none."""

    def __init__(self, code: str) -> None:
        super().__init__(f"{meaning(code).text} ({code or 'no code'})")
        self.code = code


class PbxNotFound(PbxRefused):
    """The thing addressed is not on this PBX."""


class PbxBusy(PbxRefused):
    """The PBX cannot do it now."""


class PbxLoginRefused(PbxRefused):
    """The user name or password is wrong. Five in a row lock our address out."""


class PbxLocked(PbxLoginRefused):
    """Our address is locked out for about ten minutes."""


class PbxTokenRefused(PbxLoginRefused):
    """The token is not valid any more; the call was not carried out."""


@dataclass(frozen=True, slots=True)
class Meaning:
    text: str
    category: str


@cache
def code_table() -> dict[str, Meaning]:
    """S-Series error codes, from the vendor guides v1.0, v1.1 and v2.0."""
    table = json.loads(Path(__file__).with_name("codes.json").read_text(encoding="utf-8"))
    return {code: Meaning(row["meaning"].rstrip("."), row["category"]) for code, row in table.items()}


def meaning(code: str) -> Meaning:
    return code_table().get(code, Meaning("The PBX said no, with a code that no guide lists", "unknown"))


def login_refusal(error: PbxRefused) -> PbxRefused:
    """What a refused login means. One without a code that we know counts as a wrong password: five lock us out."""
    is_about_who = meaning(error.code).category in ("auth", "unknown")
    return PbxLoginRefused(error.code) if is_about_who and not isinstance(error, PbxLoginRefused) else error


def refusal(code: str) -> PbxRefused:
    """The error for an errno, by the category that decides what may be done next."""
    if code == "20002":
        return PbxLocked(code)
    if code == "20003":
        return PbxLoginRefused(code)
    by_category = {"token": PbxTokenRefused, "busy": PbxBusy, "not_found": PbxNotFound}
    return by_category.get(meaning(code).category, PbxRefused)(code)
