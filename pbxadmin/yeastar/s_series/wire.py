"""Conversion between the wire format and IvrSettings: tolerant when reading, strict when writing.

Real devices send numbers as text or as numbers, leave optional fields out, send one object where a list is due, and
use "Failure" where the guide says "Failed". Only the exact word "Success" is success. Text is read as far as it can
be: a byte that is not UTF-8 becomes U+FFFD, and control characters stay. The structure has to be right, and a row that
is not clear about its IVR spoils only itself.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NoReturn

from pbxadmin.yeastar.errors import PbxBadAnswer, PbxOtherApi
from pbxadmin.yeastar.fields import FIELDS, REPLACED, ApiVersion, IvrField, Kind
from pbxadmin.yeastar.readings import ADDRESSABLE, DeviceInfo, IvrSettings

from .codes import refusal

P_SERIES = "This looks like a P-Series, which has another API. PBX Admin speaks the API of the S-Series."
ERRNO = re.compile(r"[0-9]{1,8}")
COUNT = re.compile(r"[0-9]{1,9}")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
BOM = b"\xef\xbb\xbf"
LONGEST_NUMBER = 64
NUMBERLESS = "The PBX lists an IVR without a number that can be used."
# Far more than the answer of a PBX full of IVRs. Small parts cost most memory: 2 MiB of "[]," take 90 MiB.
MOST_PARTS = 100_000
DEEPEST = 32


def read_answer(body: bytes) -> dict[str, Any]:
    """Return the payload of a successful answer.

    Raises PbxBadAnswer when it is not a JSON object of this API, PbxOtherApi when it is one of the P-Series, and
    PbxRefused when the PBX says no.
    """
    payload = parse_json(body)
    if not isinstance(payload, dict):
        raise PbxBadAnswer("The PBX answered with JSON that is not an object.")
    status = payload.get("status")
    if status == "Success":
        return payload
    if status is None and "errcode" in payload:
        raise PbxOtherApi(P_SERIES)
    if not isinstance(status, str) or REPLACED in status:
        raise PbxBadAnswer("The PBX answered without saying whether it worked.")
    raise refusal(read_errno(payload.get("errno")))


def read_errno(errno: Any) -> str:
    """Return an errno as text, or "" unless it is a code: it gets into messages, and a PBX may send anything."""
    code = str(errno).strip() if isinstance(errno, str | int) else ""
    return code if ERRNO.fullmatch(code) else ""


def parse_json(body: bytes) -> Any:
    """Parse JSON: no doubled keys, no NaN or infinity, limited depth. Replace what no database accepts.

    A BOM before it and NUL after it are left off. Strings may hold control characters and bytes that are not UTF-8.
    """
    body = body.strip(b"\x00 \t\r\n").removeprefix(BOM)
    if not body.strip():
        raise PbxBadAnswer("The PBX answered with nothing.")
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_PARTS:
        raise PbxBadAnswer("The PBX answered with more parts than any answer of this API has.")
    payload, is_json = None, True
    try:
        payload = clean_json(
            json.loads(
                body.decode("utf-8", errors="replace"),
                strict=False,
                object_pairs_hook=without_doubles,
                parse_constant=refuse_constant,
                parse_float=finite,
            )
        )
    except (ValueError, RecursionError):
        is_json = False
    if not is_json:  # raised here, because the exception above holds the whole answer
        raise PbxBadAnswer("The PBX answered with something that is not JSON.")
    return payload


def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("doubled key")
    return found


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("not finite")
    return value


def clean_json(value: Any, levels: int = DEEPEST) -> Any:
    """Return a JSON value without NUL and lone surrogates, which no database or page accepts.

    Raises ValueError for a value that is nested deeper than `levels`.
    """
    if isinstance(value, str):
        return value if value.isprintable() else UNSTORABLE.sub(REPLACED, value)  # most are, which is quicker to see
    if isinstance(value, (list, dict)) and not levels:
        raise ValueError("too deep")
    if isinstance(value, list):
        return [clean_json(item, levels - 1) for item in value]
    if isinstance(value, dict):
        return {clean_json(key): clean_json(item, levels - 1) for key, item in value.items()}
    return value


def read_ivrs(payload: Mapping[str, Any], version: ApiVersion) -> tuple[IvrSettings, ...]:
    """Return the IVRs of an ivr/query answer in the order of the PBX, one for each number.

    A missing or null list means no IVRs. Rows without a number that can be used are one flawed IVR with the number "".
    Raises PbxBadAnswer for what is not a list of objects.
    """
    found = payload.get("ivr")
    entries = [found] if isinstance(found, dict) else [] if found is None else found
    if not isinstance(entries, list):
        raise PbxBadAnswer("The PBX answered with a list of IVRs that is not a list.")
    listed: dict[str, list[IvrSettings]] = {}
    for ivr in (read_ivr(entry, version) for entry in entries):
        listed.setdefault(ivr.number, []).append(ivr)
    if "" in listed and isinstance(found, dict):
        raise PbxBadAnswer("The PBX answered with a list of IVRs that is not a list.")
    return tuple(as_one(number, rows) for number, rows in listed.items())


def as_one(number: str, rows: Sequence[IvrSettings]) -> IvrSettings:
    """Return the IVR that all rows of one number describe. It is flawed unless they agree and have a number."""
    first = rows[0]
    if number and all(row == first for row in rows):
        return first
    found: dict[str, Any] = {
        name: value if all(getattr(row, name) == value for row in rows) else None
        for name, value in first.values().items()
    }
    found["name"] = " / ".join(dict.fromkeys(row.name for row in rows if row.name)) or None
    flaw = f"The PBX lists number {number} more than once, with different values." if number else NUMBERLESS
    return IvrSettings(**found, raw={"listed": [row.raw for row in rows]}, flaw=flaw)


def read_ivr(entry: Any, version: ApiVersion) -> IvrSettings:
    if not isinstance(entry, dict):
        raise PbxBadAnswer("The PBX listed an IVR that is not an object.")
    values: dict[str, Any] = {each.name: read_value(each, entry.get(key)) for each, key in wire_keys(version)}
    number = values.pop("number") or ""
    if len(number) > LONGEST_NUMBER:
        number = ""
    return IvrSettings(number=number, **values, raw=entry)


@cache
def wire_keys(version: ApiVersion) -> tuple[tuple[IvrField, str], ...]:
    """Return each field with its wire name in this version."""
    return tuple((each, each.wire_key(version)) for each in FIELDS)


def read_value(each: IvrField, value: Any) -> str | None:
    """Return the canonical text of a value of this field as received, or None for "not reported"."""
    if value is None:
        return None
    if isinstance(value, bool) and each.kind is Kind.SWITCH:
        return "on" if value else "off"
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    text: str = value.strip() if each.kind in (Kind.COUNT, Kind.SWITCH, Kind.NUMBER) else value
    if each.kind is Kind.SWITCH:
        return text.lower() or None
    if each.kind is Kind.COUNT:
        return str(int(text)) if COUNT.fullmatch(text) else text or None
    return text


def write_update(live: IvrSettings, wanted: Mapping[str, str], version: ApiVersion) -> dict[str, str]:
    """Return the body of ivr/update: the identity, the wanted fields, and required fields with their live values.

    Leaves out a live value that the API would not accept, such as a name with a blank that was entered on the PBX.
    Raises ValueError for a field that this version cannot write, which is a bug of the caller.
    """
    body = {identity_key(version): identity([live.number])}
    for each in FIELDS:
        if each.name in wanted:
            if version not in each.writable:
                raise ValueError(f"API {version} does not write {each.name}")
            body[each.wire_key(version)] = each.check(wanted[each.name])
        elif version in each.required:
            value = getattr(live, each.name)
            if value is not None and each.fits(value):
                body[each.wire_key(version)] = value
    return body


def write_query(numbers: Sequence[str] | None, version: ApiVersion) -> dict[str, str]:
    """Return the body of ivr/query; None means all IVRs. Raises ValueError for text that could name other IVRs."""
    if numbers is None:
        return {"number": "all"} if version is ApiVersion.V2_0 else {}
    return {identity_key(version): identity(numbers)}


def identity(numbers: Sequence[str]) -> str:
    """Return numbers as one text. Raises ValueError for "all", a comma and an empty text: they name other IVRs."""
    if not numbers or not all(ADDRESSABLE.fullmatch(number) for number in numbers):
        raise ValueError("not the numbers of IVRs")
    return ",".join(numbers)


def identity_key(version: ApiVersion) -> str:
    return "number" if version is ApiVersion.V2_0 else "ivrid"


def read_device(payload: Mapping[str, Any]) -> DeviceInfo:
    """Return the identity in a deviceinfo/query answer. Some firmware uses another name for the block."""
    block = payload.get("deviceinfo") or payload.get("device_info")
    if not isinstance(block, dict):
        raise PbxBadAnswer("The PBX answered without its device information.")
    keys = {"serial": "sn", "model": "devicename", "firmware": "firmwarever", "hardware": "hardwarever"}
    found = {name: block.get(key) for name, key in (*keys.items(), ("clock", "systemtime"))}
    return DeviceInfo(**{name: "" if value is None else str(value)[:100] for name, value in found.items()})
