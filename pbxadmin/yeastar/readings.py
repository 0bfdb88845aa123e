"""Readings of a PBX of any vendor: an IVR, what leads to IVRs, and the identity of the device."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .fields import FIELDS

ADDRESSABLE = re.compile(r"[0-9*#]{1,32}")


@dataclass(frozen=True, slots=True)
class IvrSettings:
    """An IVR as a PBX reported it. Values are canonical text (fields.py); None means "not reported".

    raw: the object as received, including unknown keys.
    flaw: why this reading cannot be relied on, as a sentence; "" for a clear one. A flawed IVR is shown and never
    changed. Its values are those on which all objects of its number agree, and raw holds these objects as "listed".
    """

    number: str
    name: str | None = None
    prompt: str | None = None
    prompt_repeat: str | None = None
    response_timeout: str | None = None
    digit_timeout: str | None = None
    dial_extension: str | None = None
    dial_outbound: str | None = None
    outbound_routes: str | None = None
    check_voicemail: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    flaw: str = ""

    def values(self) -> dict[str, str | None]:
        return {each.name: getattr(self, each.name) for each in FIELDS}

    @property
    def is_addressable(self) -> bool:
        """Return whether a URL may contain the number. Pages flag any other number and offer no link or edit."""
        return ADDRESSABLE.fullmatch(self.number) is not None


@dataclass(frozen=True, slots=True)
class LeadIn:
    """A way from an inbound route or a queue to an IVR.

    ivr: its number, "" when the PBX does not say which. when: "when nobody answers"; "" for always.
    """

    ivr: str
    when: str = ""


@dataclass(frozen=True, slots=True)
class SideEntry:
    """An inbound route, a queue or an extension, as far as it concerns IVRs.

    number: "" for a route, which has none. did: the outside number that a route is for, as the PBX keeps it.
    """

    number: str = ""
    name: str = ""
    did: str = ""
    leads: tuple[LeadIn, ...] = ()


@dataclass(frozen=True, slots=True)
class SideList:
    """A list beside that of the IVRs. unclear: how many of its entries could not be understood."""

    entries: tuple[SideEntry, ...] = ()
    unclear: int = 0

    @property
    def numbers(self) -> frozenset[str]:
        return frozenset(entry.number for entry in self.entries if entry.number)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """Identity that a PBX reports. Every value is the text of the PBX, "" for "not reported"."""

    serial: str = ""
    model: str = ""
    firmware: str = ""
    hardware: str = ""
    clock: str = ""
