"""The one table of what people enter about a PBX.

The form, the columns of an export and an import, the search, the use cases and the log take their lists from here; a
system check holds it against the model, and a test holds the table in docs/import.md against it. The order is that of
an export; each part of the form has its fields in this order too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any

from pbxadmin.access.names import refuse_unseen, tidy
from pbxadmin.yeastar.drivers import api_versions
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.transport import TlsProfile, TrustMode

from .inputs import clean_allowed_host, clean_ca, clean_fingerprint, clean_minutes, clean_port, clean_tags

Choices = tuple[tuple[str, str], ...]


class InputKind(Enum):
    """The ways to enter a field."""

    CUSTOMER = "one of the customers"
    TEXT = "one line"
    LONG_TEXT = "several lines"
    CHOICE = "one of the choices"
    SECRET = "typed once, never shown, not exported"  # noqa: S105  (a description)


class FormPart(StrEnum):
    """The headings of the form."""

    WHICH = "Which PBX"
    WHERE = "Where it answers"
    LOGIN = "API login"
    PROOF = "How it proves who it is"
    CERTIFICATE = "Its certificate"
    FOUND_BY = "To find it by"


class Concern(Enum):
    """The consequences that an edit of a field has."""

    DESCRIPTION = "what was learned about the PBX stays true"
    CONNECTION = "we connect elsewhere or in another way, so what was learned is forgotten"
    LOGIN = "as CONNECTION, and after a refused login another attempt is worth its risk"


@dataclass(frozen=True, kw_only=True)
class RecordField:
    """One thing that people enter about a PBX.

    takes: words for docs/import.md; choices say it themselves.
    default: of a new PBX when nothing is entered. max_length: characters that the form takes, before cleaning.
    clean: brings text into the form in which it is stored; raises ValidationError.
    columns: of the model; the column with its own name unless it says otherwise.
    is_searched: whether the search of PBXs and IVRs finds words in it. The customer's name is searched by itself.
    identifies: with the others of its kind it says which PBX a row of an import is about.
    """

    name: str
    part: FormPart
    kind: InputKind = InputKind.TEXT
    concern: Concern = Concern.DESCRIPTION
    label: str = ""
    hint: str = ""
    takes: str = ""
    is_required: bool = False
    default: str | int = ""
    max_length: int | None = None
    choices: Choices | Callable[[], Choices] = ()
    clean: Callable[[str], Any] = str
    validators: tuple[Callable[[str], None], ...] = ()
    attrs: Mapping[str, str | int] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    is_searched: bool = False
    identifies: bool = False

    @property
    def options(self) -> Choices:
        """Return value and label of each choice."""
        return self.choices() if callable(self.choices) else self.choices

    @property
    def is_secret(self) -> bool:
        return self.kind is InputKind.SECRET

    @property
    def stored_in(self) -> tuple[str, ...]:
        return (self.name,) if self.columns is None else self.columns


RECORD_FIELDS = (
    RecordField(
        name="customer",
        part=FormPart.WHICH,
        kind=InputKind.CUSTOMER,
        hint="Cannot be changed once the PBX has answered.",
        takes="the customer's name; upper and lower case are the same",
        is_required=True,
        identifies=True,
    ),
    RecordField(
        name="name",
        part=FormPart.WHICH,
        hint="Such as ACME-HQ.",
        takes="the PBX's name; with the customer it says which PBX the row is about",
        is_required=True,
        max_length=60,
        clean=tidy,
        validators=(refuse_unseen,),
        is_searched=True,
        identifies=True,
    ),
    RecordField(
        name="scheme",
        part=FormPart.WHERE,
        kind=InputKind.CHOICE,
        concern=Concern.LOGIN,
        label="Protocol",
        default="https",
        choices=(("https", "HTTPS"), ("http", "HTTP, not encrypted")),
    ),
    RecordField(
        name="host",
        part=FormPart.WHERE,
        concern=Concern.LOGIN,
        hint="Host name or IP address. A pasted web address is taken apart.",
        takes="host name or IP address; a web address is taken apart into scheme, host and port",
        is_required=True,
        max_length=260,
        clean=clean_allowed_host,
    ),
    RecordField(
        name="port",
        part=FormPart.WHERE,
        concern=Concern.LOGIN,
        hint="1 to 65535.",
        takes="1 to 65535",
        is_required=True,
        default=8088,
        clean=clean_port,
        attrs={"class": "num"},
    ),
    RecordField(
        name="api_version",
        part=FormPart.WHERE,
        kind=InputKind.CHOICE,
        concern=Concern.CONNECTION,
        label="API version",
        default=ApiVersion.V1_0.value,
        choices=api_versions,
    ),
    RecordField(
        name="username",
        part=FormPart.LOGIN,
        concern=Concern.LOGIN,
        label="API user",
        takes="the user name for the API",
        is_required=True,
        max_length=100,
        validators=(refuse_unseen,),
    ),
    RecordField(
        name="password",
        part=FormPart.LOGIN,
        kind=InputKind.SECRET,
        concern=Concern.LOGIN,
        label="API password",
        hint="Only what the API needs of it is kept, encrypted. It is never shown again.",
        takes="the password for the API; an export has no such column",
        is_required=True,
        max_length=200,
        attrs={"autocomplete": "new-password"},
        columns=("password_digest", "password_set_at"),
    ),
    RecordField(
        name="trust",
        part=FormPart.PROOF,
        kind=InputKind.CHOICE,
        concern=Concern.CONNECTION,
        label="Trusted by",
        default=TrustMode.PIN.value,
        choices=(
            (TrustMode.PIN.value, "One pinned certificate"),
            (TrustMode.SYSTEM.value, "The certificate authorities of this server"),
            (TrustMode.CA.value, "A certificate authority of its own"),
            (TrustMode.NONE.value, "Nothing: do not verify"),
        ),
    ),
    RecordField(
        name="fingerprint",
        part=FormPart.CERTIFICATE,
        concern=Concern.CONNECTION,
        label="Pinned fingerprint (SHA-256)",
        hint="May stay empty: the connection test shows it and offers to pin it.",
        takes="SHA-256 of the certificate, with or without colons; the connection test offers to pin it",
        max_length=200,
        clean=clean_fingerprint,
    ),
    RecordField(
        name="ca_certificate",
        part=FormPart.CERTIFICATE,
        kind=InputKind.LONG_TEXT,
        concern=Concern.CONNECTION,
        label="CA certificate (PEM)",
        hint="For a certificate authority of its own.",
        takes="PEM",
        max_length=60_000,
        clean=clean_ca,
        attrs={"rows": 4},
    ),
    RecordField(
        name="tls_profile",
        part=FormPart.PROOF,
        kind=InputKind.CHOICE,
        concern=Concern.CONNECTION,
        label="TLS profile",
        hint="Legacy and ancient are for old firmware that agrees on nothing better.",
        default=TlsProfile.MODERN.value,
        choices=(
            (TlsProfile.MODERN.value, "Modern"),
            (TlsProfile.LEGACY.value, "Legacy: TLS 1.2 with RSA key exchange"),
            (TlsProfile.ANCIENT.value, "Ancient: TLS 1.0 and weak keys"),
        ),
    ),
    RecordField(
        name="site",
        part=FormPart.FOUND_BY,
        hint="Where it stands.",
        takes="text",
        max_length=200,
        is_searched=True,
    ),
    RecordField(
        name="main_numbers",
        part=FormPart.FOUND_BY,
        hint="The numbers that callers dial.",
        takes="text",
        max_length=200,
        is_searched=True,
    ),
    RecordField(
        name="tags",
        part=FormPart.FOUND_BY,
        hint="Words of your own, with commas between them.",
        takes="at most 12, of up to 30 characters each, with commas between them",
        max_length=500,
        clean=clean_tags,
        columns=(),  # rows of PbxTag
        is_searched=True,
    ),
    RecordField(
        name="notes",
        part=FormPart.FOUND_BY,
        kind=InputKind.LONG_TEXT,
        takes="text",
        max_length=2000,
        attrs={"rows": 3},
        is_searched=True,
    ),
    RecordField(
        name="refresh_minutes",
        part=FormPart.WHERE,
        label="Read every",
        hint="Minutes, 5 to 1440. 0 reads it only when somebody asks.",
        takes="how often it is read by itself, in minutes, 5 to 1440; 0 is never",
        default=15,
        clean=clean_minutes,
        attrs={"class": "num", "inputmode": "numeric"},
    ),
)

# Columns of a PBX that nobody enters: use cases, readings and connection tests write them.
MAINTAINED_COLUMNS = (
    *("id", "is_enabled", "created_at", "revision", "state", "state_reason", "state_at", "locked_until"),
    *("last_contact_at", "failures", "paused_until", "serial", "other_serial", "model", "firmware", "clock"),
    *(
        "identity_at",
        "capability",
        "capability_at",
        "token",
        "token_at",
        "ivr_count",
        "read_at",
        "words",
        "next_refresh_at",
    ),
)
RECORD_FIELD_BY_NAME = {each.name: each for each in RECORD_FIELDS}
EXPORT_COLUMNS = tuple(each.name for each in RECORD_FIELDS if not each.is_secret)
IMPORT_COLUMNS = (*EXPORT_COLUMNS, *(each.name for each in RECORD_FIELDS if each.is_secret))
ROW_KEY = tuple(each.name for each in RECORD_FIELDS if each.identifies)
CONNECTION_FIELDS = frozenset(each.name for each in RECORD_FIELDS if each.concern is not Concern.DESCRIPTION)
LOGIN_FIELDS = frozenset(each.name for each in RECORD_FIELDS if each.concern is Concern.LOGIN)
# The check of an entered record passes over these: a sealed value says nothing to it.
UNCHECKED_COLUMNS = (
    *MAINTAINED_COLUMNS,
    *(column for each in RECORD_FIELDS if each.is_secret for column in each.stored_in),
)
SEARCHED_FIELDS = tuple(each.name for each in RECORD_FIELDS if each.is_searched)
