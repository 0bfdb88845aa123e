"""An event as one line for a SIEM, as JSON or in the Common Event Format, and the place of the log that a line states.

Names, reasons and values come from people and PBXs and may hold anything: no line has a line feed inside, and no value
can end its field. The event is the stored text to the letter; an event that the log cannot have written is sent as what
its columns say.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from pbxadmin import __version__
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.log import canonical_json
from pbxadmin.audit.models import Event

PRODUCT = "PBX Admin"
OPENINGS = (b'{"chain":"', f"CEF:0|{PRODUCT}|".encode())  # what each line of ours begins with
CEF_PLACE = re.compile(r"CEF:0(?:\|(?:[^|\\]|\\.)*){6}\|externalId=(\S+)/(\d+) cs1Label=hash cs1=(\S+)")
# What one field may hold at most; a longer text is cut there. JSON cuts nothing.
CEF_TEXT, CEF_CUSTOM = 1023, 4000
# From 0 to 10: 4 to 6 is worth a look, from 7 on somebody has to look.
SEVERITY_OF_GROUP: Mapping[EventGroup, int] = {
    EventGroup.SIGN_IN: 3,
    EventGroup.DENIED: 6,
    EventGroup.CUSTOMER: 3,
    EventGroup.ROLE: 5,
    EventGroup.PERSON: 4,
    EventGroup.PBX_RECORD: 3,
    EventGroup.PBX_IDENTITY: 6,
    EventGroup.CONTACT: 2,
    EventGroup.SECRETS: 5,
    EventGroup.FILTER: 1,
    EventGroup.EXPORT: 5,
    EventGroup.EXPORT_END: 2,
    EventGroup.OUTSIDE: 6,
    EventGroup.RING: 4,
    EventGroup.OUTSIDE_DECISION: 3,
    EventGroup.CHANGE_STEP: 2,
    EventGroup.CHANGE_OUTCOME: 3,
    EventGroup.REVIEW: 2,
    EventGroup.BATCH: 3,
    EventGroup.POLICY: 4,
    EventGroup.POLICY_EXCEPTION: 4,
    EventGroup.NOTICE: 2,
    EventGroup.BACKUP: 3,
    EventGroup.LOG_INTEGRITY: 10,
}
SEVERITY_OF_ACTION: Mapping[str, int] = {
    EventAction.SESSION_FAILED: 5,
    EventAction.SECOND_FACTOR_FAILED: 5,
    EventAction.PBX_STRANGER: 7,
    EventAction.BACKUP_RESTORED: 8,
    EventAction.EVENT_SINK_FAILED: 6,
}
SEVERITY_OF_OUTCOME: Mapping[str, int] = {"not-as-asked": 7, "unknown": 7, "refused": 5, "not-sent": 4}
GROUP_OF_ACTION = {action.value: action.group for action in EventAction}
UNKNOWN_SEVERITY = 8  # of an action that the log does not know: somebody wrote it past us


class SentPlace(NamedTuple):
    """An event by its place in the log, and its hash, which proves that it is the one."""

    chain: str
    sequence: int
    hash: str


def json_line(event: Event) -> bytes:
    """Return the place of an event and its stored text, as a JSON object."""
    place = {"chain": event.chain, "hash": event.hash, "id": event.pk, "sequence": event.sequence}
    return f'{canonical_json(place)[:-1]},"event":{event_json(event)}}}'.encode()


def event_json(event: Event) -> str:
    """Return the text of an event, which is canonical JSON; of an altered one what its columns say."""
    try:
        text = canonical_json(event.data)
        text.encode()
    except (ValueError, RecursionError):
        return canonical_json(event.altered())
    return text


def cef_line(event: Event) -> bytes:
    """Return an event in the Common Event Format, version 0."""
    header = (PRODUCT, PRODUCT, __version__, event.action, event.label, str(severity_of(event)))
    fields = (f"{name}={cef_value(value, most)}" for name, value, most in cef_fields(event) if value not in ("", None))
    return f"CEF:0|{'|'.join(map(cef_header, header))}|{' '.join(fields)}".encode(errors="replace")


def severity_of(event: Event) -> int:
    """Return how much an event asks for attention, from 0 to 10."""
    group = GROUP_OF_ACTION.get(event.action)
    if group is None:
        return UNKNOWN_SEVERITY
    by_others = (SEVERITY_OF_ACTION.get(event.action, 0), SEVERITY_OF_OUTCOME.get(event.outcome, 0))
    return max(SEVERITY_OF_GROUP[group], *by_others)


def cef_fields(event: Event) -> Iterator[tuple[str, Any, int]]:
    """Yield name, value and length of each extension. The place comes first, where `place_in` reads it."""
    said = event.data
    yield "externalId", f"{event.chain}/{event.sequence}", CEF_TEXT
    yield from labelled_field("cs1", "hash", event.hash)
    yield "rt", int(event.at.timestamp() * 1000), CEF_TEXT
    group = GROUP_OF_ACTION.get(event.action)
    yield "cat", group.name.lower().replace("_", "-") if group else "", CEF_TEXT
    yield "suser", said["actor_name"], CEF_TEXT
    yield "suid", said["actor_id"], CEF_TEXT
    yield "src", ip_text(said["address"]), CEF_TEXT
    yield "outcome", said["outcome"], CEF_TEXT
    yield "reason", said["reason"], CEF_TEXT
    yield "msg", detail_text(said["detail"]), CEF_TEXT
    yield from labelled_field("cs2", "customer", said["customer_name"])
    yield from labelled_field("cs3", "pbx", said["pbx_name"])
    yield from labelled_field("cs4", "ivr", f"{said['ivr_number']} {said['ivr_name']}".strip())
    yield from labelled_field("cs5", "ticket", said["ticket"])
    yield from labelled_field("cs6", "fields", json_text(said["fields"]))
    yield from labelled_field("cn1", "change", event.change_id)
    yield from labelled_field("cn2", "batch", event.batch_id)
    yield from labelled_field("flexString1", "request", said["request_id"])


def labelled_field(name: str, label: str, value: Any) -> Iterator[tuple[str, Any, int]]:
    """Yield a custom field with the label that says what it holds; nothing when it holds nothing."""
    if value not in ("", None):
        yield f"{name}Label", label, CEF_TEXT
        yield name, value, CEF_CUSTOM


def ip_text(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def detail_text(detail: Mapping[str, Any]) -> str:
    """Return what an event says beside its fields: its sentence when it says nothing else, or all of it as JSON."""
    return str(detail["sentence"]) if detail.keys() == {"sentence"} else json_text(detail)


def json_text(value: Mapping[str, Any]) -> str:
    """Return canonical JSON; "" for nothing, and for what is no JSON, as an altered text may hold."""
    try:
        return canonical_json(value) if value else ""
    except (ValueError, RecursionError):
        return ""


def cef_header(value: str) -> str:
    return in_line(value.replace("\n", " ").replace("\r", " ")).replace("\\", "\\\\").replace("|", "\\|")


def cef_value(value: Any, most: int) -> str:
    """Escape a value of an extension, so that it ends where it ends: a line feed becomes \\n, = becomes \\=."""
    text = str(value)[:most].replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")
    return in_line(text)


def in_line(text: str) -> str:
    """Return a text with a blank for each character that moves the cursor, ends lines or turns the direction."""
    return "".join(one if one.isprintable() else " " for one in text)


SINK_LINES: Mapping[str, Callable[[Event], bytes]] = {"json": json_line, "cef": cef_line}


def place_in(line: bytes) -> SentPlace | None:
    """Return the place that a line of ours states, in whatever format it is; None for a line that is not ours."""
    try:
        found = json.loads(line) if line.startswith(OPENINGS[0]) else None
        if isinstance(found, dict):
            return SentPlace(str(found["chain"]), int(found["sequence"]), str(found["hash"]))
        cef = CEF_PLACE.match(line.decode())
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return SentPlace(cef[1], int(cef[2]), cef[3]) if cef else None


def is_torn_of_ours(torn: bytes) -> bool:
    """Return whether this may be the beginning of a line of ours."""
    return any(torn.startswith(opening[: len(torn)]) for opening in OPENINGS)
