"""Inbound routes, queues and extensions of the S-Series: which version lists them, and what is read of them.

Nothing else of an entry is kept: a queue has a password, and an extension the name of a person.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pbxadmin.yeastar.driver import CallKind
from pbxadmin.yeastar.errors import PbxBadAnswer
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.readings import ADDRESSABLE, LeadIn, SideEntry, SideList

# The longest number of the plan. What is longer could be a telephone number outside.
EXTENSION = re.compile("[0-9]{1,7}")
MOST_ENTRIES = 5000  # many times what the largest PBX holds
LONGEST_ENTRY_TEXT = 200
NO_KEY = frozenset({"", "none"})

Entry = Mapping[str, Any]


class Unclear(ValueError):
    """Raised for an entry that does not say what is asked of it."""


@dataclass(frozen=True)
class ListCall:
    """A call that reads one list whole."""

    name: str
    body: Mapping[str, str] | None = None


# By list and version; the guide of v1.0.0 knows no inbound routes.
LIST_CALLS: dict[CallKind, dict[ApiVersion, ListCall]] = {
    CallKind.ROUTES: {
        ApiVersion.V1_1: ListCall("inroute/query", {"name": "all"}),
        ApiVersion.V2_0: ListCall("inroute/query", {"id": "all"}),
    },
    CallKind.QUEUES: {
        ApiVersion.V1_0: ListCall("queue/query"),
        ApiVersion.V1_1: ListCall("queue/query"),
        ApiVersion.V2_0: ListCall("queue/query", {"number": "all"}),
    },
    CallKind.EXTENSIONS: {
        ApiVersion.V1_0: ListCall("extensionlist/query"),
        ApiVersion.V1_1: ListCall("extensionlist/query"),
        ApiVersion.V2_0: ListCall("extension/list"),
    },
}
LIST_KEYS = {CallKind.ROUTES: "inroutes", CallKind.QUEUES: "queues", CallKind.EXTENSIONS: "extlist"}


def list_call(kind: CallKind, version: ApiVersion) -> ListCall | None:
    """Return the call that reads this list, None when this version has none."""
    return LIST_CALLS[kind].get(version)


def write_ring(number: str, extension: str) -> dict[str, str]:
    """Return the body of ivr/dial_extension. Raises ValueError for anything but two numbers of the PBX."""
    if not ADDRESSABLE.fullmatch(number) or not EXTENSION.fullmatch(extension):
        raise ValueError("not the numbers of an IVR and an extension")
    return {"ivrid": number, "extid": extension}


def read_list(kind: CallKind, payload: Mapping[str, Any]) -> SideList:
    """Return the entries of a list, each as far as it can be understood. Raises PbxBadAnswer for what is no list."""
    found = payload.get(LIST_KEYS[kind], "nothing")
    entries = [found] if isinstance(found, dict) else [] if found is None else found
    if not isinstance(entries, list):
        raise PbxBadAnswer(f"The PBX answered without a list of {kind.value}.")
    if len(entries) > MOST_ENTRIES:
        raise PbxBadAnswer(f"The PBX answered with more {kind.value} than any PBX has.")
    clear, unclear = [], 0
    for entry in entries:
        try:
            clear.append(READERS[kind](entry if isinstance(entry, dict) else {}))
        except Unclear:
            unclear += 1
    return SideList(tuple(clear), unclear)


def read_route(entry: Entry) -> SideEntry:
    kind = required(entry, "desttype")
    leads = (LeadIn(number_at(entry, "dest")),) if is_ivr(kind) else ()
    return SideEntry(name=text_at(entry, "name") or text_at(entry, "id"), did=text_at(entry, "did"), leads=leads)


def read_queue(entry: Entry) -> SideEntry:
    number = number_at(entry, "queuenumber") or number_at(entry, "number")
    if not number:
        raise Unclear
    return SideEntry(number, text_at(entry, "queuename"), leads=tuple(queue_leads(entry)))


def queue_leads(entry: Entry) -> Iterator[LeadIn]:
    """Yield how a queue leads to IVRs. A queue without a key to leave it does not report where that would lead."""
    if is_ivr(required(entry, "failoveraction")):
        yield LeadIn(number_at(entry, "failoverdest"), "when nobody answers")
    key = text_at(entry, "breakoutkey")
    if key.lower() not in NO_KEY and is_ivr(required(entry, "breakoutaction")):
        yield LeadIn(number_at(entry, "breakoutdest"), f"on key {key[:8]}")


def read_extension(entry: Entry) -> SideEntry:
    number = number_at(entry, "extnumber") or number_at(entry, "number")
    if not number:
        raise Unclear
    return SideEntry(number)


READERS: dict[CallKind, Callable[[Entry], SideEntry]] = {
    CallKind.ROUTES: read_route,
    CallKind.QUEUES: read_queue,
    CallKind.EXTENSIONS: read_extension,
}


def text_at(entry: Entry, key: str) -> str:
    """Return a value as text, "" for one that is no text."""
    value = entry.get(key)
    is_text = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value).strip()[:LONGEST_ENTRY_TEXT] if is_text else ""


def required(entry: Entry, key: str) -> str:
    """Return a text that an entry is not clear without. Raises Unclear."""
    text = text_at(entry, key)
    if not text:
        raise Unclear
    return text


def number_at(entry: Entry, key: str) -> str:
    """Return a value as a number of the PBX, "" for one that is none."""
    text = text_at(entry, key)
    return text if ADDRESSABLE.fullmatch(text) else ""


def is_ivr(destination: str) -> bool:
    return destination.lower() == "ivr"
