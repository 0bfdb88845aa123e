"""The codes of the S-Series API, from the vendor guides v1.0, v1.1 and v2.0, and the errors that they lead to."""

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
    """Return the meaning of each code that the guides list."""
    table = json.loads(Path(__file__).with_name("codes.json").read_text(encoding="utf-8"))
    return {code: Meaning(row["meaning"].rstrip("."), row["category"]) for code, row in table.items()}


def meaning(code: str) -> Meaning:
    return code_table().get(code, Meaning("The PBX said no, with a code that no guide lists", "unknown"))


def login_refusal(error: PbxRefused) -> PbxRefused:
    """Return what a refused login means. One without a known code counts as a wrong password: five lock us out."""
    is_about_who = meaning(error.code).category in ("auth", "unknown")
    if not is_about_who or isinstance(error, PbxLoginRefused):
        return error
    return PbxLoginRefused(error.code, error.meaning)


def refusal(code: str) -> PbxRefused:
    """Return the error for an errno, by the category that decides what may be done next."""
    by_code = {"20002": PbxLocked, "20003": PbxLoginRefused}
    by_category = {"token": PbxTokenRefused, "busy": PbxBusy, "not_found": PbxNotFound}
    known = meaning(code)
    kind = by_code.get(code) or by_category.get(known.category, PbxRefused)
    return kind(code, known.text)
