"""Conversion between the wire format and IvrSettings: tolerant when reading, strict when writing.

Real devices send numbers as text or as numbers, leave optional fields out, send one object where a list is due, and
use "Failure" where the guide says "Failed". Only the exact word "Success" is success.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from pbxadmin.yeastar.errors import PbxBadAnswer, PbxOtherApi
from pbxadmin.yeastar.fields import FIELDS, ApiVersion, IvrField, Kind
from pbxadmin.yeastar.readings import ADDRESSABLE, DeviceInfo, IvrSettings

from .codes import refusal

P_SERIES = "This looks like a P-Series, which has another API. PBX Admin speaks the API of the S-Series."
ERRNO = re.compile(r"[0-9]{1,8}")
LONGEST_NUMBER = 64
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
    if not isinstance(status, str):
        raise PbxBadAnswer("The PBX answered without saying whether it worked.")
    raise refusal(read_errno(payload.get("errno")))


def read_errno(errno: Any) -> str:
    """Return an errno as text, or "" unless it is a code: it gets into messages, and a PBX may send anything."""
    code = str(errno).strip() if isinstance(errno, str | int) else ""
    return code if ERRNO.fullmatch(code) else ""


def parse_json(body: bytes) -> Any:
    """Parse strict JSON: no doubled keys, no NaN or infinity, limited depth. Replace what no database accepts."""
    if not body.strip():
        raise PbxBadAnswer("The PBX answered with nothing.")
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_PARTS:
        raise PbxBadAnswer("The PBX answered with more parts than any answer of this API has.")
    payload, is_json = None, True
    try:
        payload = clean_json(
            json.loads(
                body.decode("utf-8"),
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
        return re.sub("[\x00\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list | dict) and not levels:
        raise ValueError("too deep")
    if isinstance(value, list):
        return [clean_json(item, levels - 1) for item in value]
    if isinstance(value, dict):
        return {clean_json(key): clean_json(item, levels - 1) for key, item in value.items()}
    return value


def read_ivrs(payload: Mapping[str, Any], version: ApiVersion) -> tuple[IvrSettings, ...]:
    """Return the IVRs of an ivr/query answer in the order of the PBX. A missing or null list means no IVRs.

    Raises PbxBadAnswer when an entry has no number or two have the same: such a list cannot be relied on.
    """
    found = payload.get("ivr")
    entries = [found] if isinstance(found, dict) else [] if found is None else found
    if not isinstance(entries, list):
        raise PbxBadAnswer("The PBX answered with a list of IVRs that is not a list.")
    ivrs = tuple(read_ivr(entry, version) for entry in entries)
    if len({ivr.number for ivr in ivrs}) != len(ivrs):
        raise PbxBadAnswer("The PBX listed the same IVR number twice.")
    return ivrs


def read_ivr(entry: Any, version: ApiVersion) -> IvrSettings:
    if not isinstance(entry, dict):
        raise PbxBadAnswer("The PBX listed an IVR that is not an object.")
    values = {each.name: read_value(each, entry.get(each.wire_key(version))) for each in FIELDS}
    number = values.pop("number")
    if not number:
        raise PbxBadAnswer("The PBX listed an IVR without a number.")
    if len(number) > LONGEST_NUMBER:
        raise PbxBadAnswer("The PBX listed an IVR with a number that is too long.")
    return IvrSettings(number=number, **values, raw=entry)


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
        return str(int(text)) if re.fullmatch(r"[0-9]{1,9}", text) else text or None
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
