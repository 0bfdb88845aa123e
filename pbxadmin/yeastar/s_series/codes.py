"""Error codes of the S-Series API, from the vendor guides v1.0, v1.1 and v2.0, and the exceptions for them."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pbxadmin.yeastar.errors import PbxBusy, PbxLocked, PbxLoginRefused, PbxNotFound, PbxRefused, PbxTokenRefused

NOT_FOUND = "10012"
NO_SUCH_VERSION = "10003"


@dataclass(frozen=True, slots=True)
class Meaning:
    text: str
    category: str


@cache
def code_table() -> dict[str, Meaning]:
    """Return the meaning of each code in the vendor guides, by code."""
    table = json.loads(Path(__file__).with_name("codes.json").read_text(encoding="utf-8"))
    return {code: Meaning(row["meaning"].rstrip("."), row["category"]) for code, row in table.items()}


def meaning(code: str) -> Meaning:
    return code_table().get(code, Meaning("The PBX refused with a code that no guide lists", "unknown"))


def login_refusal(error: PbxRefused) -> PbxRefused:
    """Return the error for a refused login. An unknown code counts as a wrong password, since five lock us out."""
    is_about_who = meaning(error.code).category in ("auth", "unknown")
    if not is_about_who or isinstance(error, PbxLoginRefused):
        return error
    return PbxLoginRefused(error.code, error.meaning)


def refusal(code: str) -> PbxRefused:
    """Return the error for an errno. Its category decides what may be done next."""
    by_code = {"20002": PbxLocked, "20003": PbxLoginRefused}
    by_category = {"token": PbxTokenRefused, "busy": PbxBusy, "not_found": PbxNotFound}
    known = meaning(code)
    kind = by_code.get(code) or by_category.get(known.category, PbxRefused)
    return kind(code, known.text)
