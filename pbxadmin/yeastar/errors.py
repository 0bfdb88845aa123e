"""Errors of talking to a PBX, named by what we know afterwards.

    PbxError
    ├── PbxNotSent            nothing left us
    │   ├── PbxUntrusted        the certificate is not the one we trust
    │   ├── PbxUnreachable      no connection
    │   └── PbxHeldBack         a rule of ours: rejected credentials, a lock, a missing setting
    │       └── PbxForbidden      an address that we do not connect to
    ├── PbxOutcomeUnknown     the request left us; no usable answer came back
    │   └── PbxBadAnswer        an answer came that is not one of this API
    │       └── PbxOtherApi       it is one of another API
    └── PbxRefused(code)      the PBX refused; the driver knows what the code means
        ├── PbxNotFound         it has no such IVR
        ├── PbxBusy             try later
        └── PbxLoginRefused     the user name or password is wrong
            ├── PbxLocked         too many wrong passwords came from our address
            └── PbxTokenRefused   nothing was done; log in once more

str(error) is one sentence that is safe to show: it holds no URL, token, password or digest.
"""

FORBIDDEN = "The address of this PBX is outside the networks that PBX Admin may connect to (setting PBX_NETWORKS)."
FORBIDDEN_PORT = "PBX Admin may not connect to the port of this PBX (setting PBX_PORTS)."


class PbxError(Exception):
    """Base of all errors: a failed exchange with a PBX."""


class PbxNotSent(PbxError):
    """Raised when nothing left us."""


class PbxUntrusted(PbxNotSent):
    """Raised when the certificate is not the one we trust. found: its SHA-256 fingerprint, "" when not known."""

    def __init__(self, message: str, found: str = "") -> None:
        super().__init__(message)
        self.found = found


class PbxUnreachable(PbxNotSent):
    """Raised when no connection could be made."""


class PbxHeldBack(PbxNotSent):
    """Raised when a rule of ours held the request back."""


class PbxForbidden(PbxHeldBack):
    """Raised for an address that the guard refuses. Not an OSError: that would look like a fault of the network.

    The message is the same in all places and does not reveal which address a name resolves to.
    """

    def __init__(self, message: str = FORBIDDEN) -> None:
        super().__init__(message)


class PbxOutcomeUnknown(PbxError):
    """Raised when the request left us and no usable answer came back."""


class PbxBadAnswer(PbxOutcomeUnknown):
    """Raised when the answer is not one of this API."""


class PbxOtherApi(PbxBadAnswer):
    """Raised when the answer shows that another API answers at this address."""


class PbxRefused(PbxError):
    """Raised when the PBX refused. code: the code of the PBX as text, "" for none. meaning: the code in words."""

    def __init__(self, code: str, meaning: str) -> None:
        super().__init__(f"{meaning} ({code or 'no code'})")
        self.code = code
        self.meaning = meaning


class PbxNotFound(PbxRefused):
    """Raised when this PBX has no such IVR."""


class PbxBusy(PbxRefused):
    """Raised when the PBX is busy and asks to be tried later."""


class PbxLoginRefused(PbxRefused):
    """Raised for a wrong user name or password. Five in a row lock our address out."""


class PbxLocked(PbxLoginRefused):
    """Raised while the PBX locks our address out, which takes about ten minutes."""


class PbxTokenRefused(PbxLoginRefused):
    """Raised when the token is no longer valid. The PBX did not carry out the request."""
