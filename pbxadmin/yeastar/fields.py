"""Table of the IVR fields. Forms, hints, previews, the wire format and audit labels are derived from it.

A value is text in one canonical form wherever it travels: digits for numbers ("3"), "on"/"off" for switches,
the PBX's own text for the rest, and None for "not reported". A PBX may report anything, and what it reports must
be shown, compared and recorded as it is, so nothing narrower than text would hold it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

REPLACED = "\N{REPLACEMENT CHARACTER}"  # stands for bytes of the PBX that are no text
NOT_REPORTED = "not reported"
# From the vendor's final guide, plus the backslash, which only its drafts list.
FORBIDDEN_IN_NAMES = "!$()/#;,[]\"=<>&'`^%@{}|\\"


class ApiVersion(StrEnum):
    V1_0 = "v1.0.0"
    V1_1 = "v1.1.0"
    V2_0 = "v2.0.0"


ALL: frozenset[str] = frozenset(ApiVersion)
V1: frozenset[str] = frozenset({ApiVersion.V1_0, ApiVersion.V1_1})
V2: frozenset[str] = frozenset({ApiVersion.V2_0})


class Group(StrEnum):
    IDENTITY = "Number and name"
    CALLERS_MEET = "Callers hear"
    CALLERS_MAY = "What callers may do"


class Kind(StrEnum):
    NUMBER = "number"  # dialled digits
    NAME = "name"
    COUNT = "count"  # a whole number with a range
    SWITCH = "switch"
    TEXT = "text"  # opaque, read only


class FieldError(ValueError):
    """Raised for entered text that is not allowed. str() is a sentence that says what is allowed."""


@dataclass(frozen=True, slots=True)
class IvrField:
    """A setting of an IVR.

    wire: its key in answers of v1.x (v2.0.0 differs for the number only, see `wire_key`).
    writable, required: the API versions that can change this field, and those that insist on it in every change.
    """

    name: str
    label: str
    kind: Kind
    group: Group
    wire: str
    hint: str
    minimum: int = 0
    maximum: int = 0
    unit: str = ""
    writable: frozenset[str] = ALL
    required: frozenset[ApiVersion] = frozenset()

    def wire_key(self, version: ApiVersion) -> str:
        return "number" if self.kind is Kind.NUMBER and version is ApiVersion.V2_0 else self.wire

    def check(self, typed: str) -> str:
        """Return the canonical form of entered text. Raises FieldError."""
        if REPLACED in typed:
            raise FieldError(f"Type the characters that belong in place of {REPLACED}.")
        return CHECKS[self.kind](self, typed.strip())

    def fits(self, value: str | None) -> bool:
        """Return whether we would write a value that a PBX reported. "Not reported" (None) counts as yes."""
        return not self.misfit(value)

    def misfit(self, value: str | None) -> str:
        """Return why we would not write a value that a PBX reported, as a sentence; "" when it fits."""
        if value is not None and REPLACED in value:
            return "It holds bytes that are no text."
        if value is None or self.kind is Kind.TEXT:
            return ""
        try:
            return "" if CHECKS[self.kind](self, value) == value else f"Written as {CHECKS[self.kind](self, value)}."
        except FieldError as error:
            return str(error)

    def in_words(self, value: str | None) -> str:
        """Return the value as operators say it: "3 s", "1 time", "On"."""
        if value is None:
            return NOT_REPORTED
        if self.kind is Kind.SWITCH:
            return {"on": "On", "off": "Off"}.get(value, value)
        if self.kind is Kind.COUNT and value.isdecimal():
            unit = self.unit.removesuffix("s") if value == "1" and len(self.unit) > 1 else self.unit
            return f"{value} {unit}"
        return value or "none"


def check_count(field: IvrField, value: str) -> str:
    if re.fullmatch(r"[0-9]{1,4}", value) and field.minimum <= int(value) <= field.maximum:
        return str(int(value))
    raise FieldError(f"Enter a whole number from {field.minimum} to {field.maximum}.")


def check_number(field: IvrField, value: str) -> str:
    if re.fullmatch(r"[0-9]{1,7}", value):
        return value
    raise FieldError(f"Enter {field.minimum} to {field.maximum} digits, nothing else.")


def check_name(field: IvrField, value: str) -> str:
    if not value:
        raise FieldError(f"Enter a name of {field.minimum} to {field.maximum} characters.")
    for position, character in enumerate(value, 1):
        if character.isspace():
            raise FieldError(f"Character {position} is a blank. Try {'_'.join(value.split())}.")
        if character in FORBIDDEN_IN_NAMES:
            raise FieldError(f"Character {position} is {character}, which the PBX does not allow in a name.")
        if not character.isprintable():
            raise FieldError(f"Character {position} cannot be seen. Names take visible characters only.")
    if len(value) > field.maximum:
        raise FieldError(f"{len(value)} characters are too long. A name has at most {field.maximum}.")
    return value


def check_switch(field: IvrField, value: str) -> str:
    if value in ("on", "off"):
        return value
    raise FieldError(f"{field.label} is either on or off.")


def check_text(field: IvrField, value: str) -> str:
    raise FieldError(f"{field.label} cannot be changed through this API.")


CHECKS: dict[Kind, Callable[[IvrField, str], str]] = {
    Kind.COUNT: check_count,
    Kind.NUMBER: check_number,
    Kind.NAME: check_name,
    Kind.SWITCH: check_switch,
    Kind.TEXT: check_text,
}

FIELDS: tuple[IvrField, ...] = (
    IvrField(
        "number",
        "Number",
        Kind.NUMBER,
        Group.IDENTITY,
        "ivrnumber",
        "1 to 7 digits, free on this PBX",
        minimum=1,
        maximum=7,
        writable=V1,
        required=frozenset({ApiVersion.V1_0}),
    ),
    IvrField(
        "name",
        "Name",
        Kind.NAME,
        Group.IDENTITY,
        "ivrname",
        "1 to 31 characters, no blanks",
        minimum=1,
        maximum=31,
        required=frozenset({ApiVersion.V1_0}),
    ),
    IvrField(
        "prompt",
        "Prompt",
        Kind.TEXT,
        Group.CALLERS_MEET,
        "prompt",
        "The recording that callers hear",
        writable=frozenset(),
    ),
    IvrField(
        "prompt_repeat",
        "Prompt played",
        Kind.COUNT,
        Group.CALLERS_MEET,
        "promptrepeat",
        "1 to 5",
        minimum=1,
        maximum=5,
        unit="times",
    ),
    IvrField(
        "response_timeout",
        "Response timeout",
        Kind.COUNT,
        Group.CALLERS_MEET,
        "responsetimeout",
        "1 to 10",
        minimum=1,
        maximum=10,
        unit="s",
    ),
    IvrField(
        "digit_timeout",
        "Digit timeout",
        Kind.COUNT,
        Group.CALLERS_MEET,
        "digittimeout",
        "1 to 10",
        minimum=1,
        maximum=10,
        unit="s",
    ),
    IvrField(
        "dial_extension",
        "Dial an extension",
        Kind.SWITCH,
        Group.CALLERS_MAY,
        "dialext",
        "On opens all of them; a list of allowed ones kept on the PBX may be lost",
    ),
    IvrField(
        "check_voicemail",
        "Check voicemail",
        Kind.SWITCH,
        Group.CALLERS_MAY,
        "dialtocheckvoicemail",
        "On lets them try PINs",
    ),
    IvrField(
        "dial_outbound",
        "Dial outbound",
        Kind.SWITCH,
        Group.CALLERS_MAY,
        "dialoutboundroutes",
        "On invites fraud",
        writable=V2,
    ),
    IvrField(
        "outbound_routes",
        "Outbound routes",
        Kind.TEXT,
        Group.CALLERS_MAY,
        "selectedrouters",
        "The routes that these calls may use",
        writable=frozenset(),
    ),
)
BY_NAME: dict[str, IvrField] = {field.name: field for field in FIELDS}
