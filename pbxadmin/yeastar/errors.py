"""What can go wrong in talking to a PBX, named by what we know afterwards.

    PbxError
    ├── PbxNotSent            nothing left us
    │   ├── PbxUntrusted        the certificate is not the one we trust
    │   ├── PbxUnreachable      no connection
    │   └── PbxHeldBack         our own rule: rejected credentials, a lock, a missing setting
    │       └── PbxForbidden      an address that we do not connect to
    ├── PbxOutcomeUnknown     the request left us; no usable answer came back
    │   └── PbxBadAnswer        an answer came, and it is not one of this API
    └── PbxRefused(code)      the PBX said no; which code means what is the driver's own
        ├── PbxNotFound         it has no such IVR
        ├── PbxBusy             try later
        └── PbxLoginRefused     the user name or password is wrong
            ├── PbxLocked         too many wrong passwords came from our address
            └── PbxTokenRefused   nothing was done; log in once more

str(error) is one sentence that is safe to show: it holds no URL, token, password or digest.
"""

FORBIDDEN = "The address of this PBX is outside the networks that PBX Admin may connect to (setting PBX_NETWORKS)."
FORBIDDEN_PORT = "The port of this PBX is none that PBX Admin may connect to (setting PBX_PORTS)."


class PbxError(Exception):
    """Base of all errors: a failed exchange with a PBX."""


class PbxNotSent(PbxError):
    """Raised when nothing left us."""


class PbxUntrusted(PbxNotSent):
    """Raised when the certificate is not the one we trust. `found` is the SHA-256 fingerprint shown, when known."""

    def __init__(self, message: str, found: str = "") -> None:
        super().__init__(message)
        self.found = found


class PbxUnreachable(PbxNotSent):
    """Raised when no connection could be made."""


class PbxHeldBack(PbxNotSent):
    """Raised when a rule of ours kept us from trying."""


class PbxForbidden(PbxHeldBack):
    """Raised for an address that the guard refuses. Not an OSError: that would look like a fault of the network.

    The sentence is the same wherever it is refused, and does not say which address a name led to.
    """

    def __init__(self, message: str = FORBIDDEN) -> None:
        super().__init__(message)


class PbxOutcomeUnknown(PbxError):
    """Raised when the request left us and no usable answer came back."""


class PbxBadAnswer(PbxOutcomeUnknown):
    """Raised when something answered that is not this API."""


class PbxRefused(PbxError):
    """Raised when the PBX said no. code: its own code as text, "" when it gave none. meaning: the code in words."""

    def __init__(self, code: str, meaning: str) -> None:
        super().__init__(f"{meaning} ({code or 'no code'})")
        self.code = code
        self.meaning = meaning


class PbxNotFound(PbxRefused):
    """Raised when the IVR addressed is not on this PBX."""


class PbxBusy(PbxRefused):
    """Raised when the PBX cannot do it now."""


class PbxLoginRefused(PbxRefused):
    """Raised for a wrong user name or password. Five in a row lock our address out."""


class PbxLocked(PbxLoginRefused):
    """Raised while our address is locked out, for about ten minutes."""


class PbxTokenRefused(PbxLoginRefused):
    """Raised when the token is not valid any more. The call was not carried out."""
