"""The vendor's API stands by itself: it can be lifted out of this product, and out of Django."""

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pbxadmin.yeastar
from pbxadmin.yeastar import errors
from pbxadmin.yeastar.s_series import codes
from pbxadmin.yeastar.simulator import device

PACKAGE = Path(pbxadmin.yeastar.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# What may be imported beside the standard library: HTTP, and certificates for the simulated fleet.
FROM_OUTSIDE = {"requests", "urllib3", "cryptography"}
CATEGORIES = {"validation", "config", "not_found", "busy", "unknown", "transport", "auth", "token"}


def imported(source: str, package: tuple[str, ...]) -> Iterator[str]:
    """Every module that a file of this package imports, wherever in the file, by its absolute name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join((*above, *filter(None, [node.module])))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
            "__import__",
            "import_module",
        ):
            yield "an import by name, which nobody can check"


def forbidden_imports(source: str, package: tuple[str, ...]) -> list[str]:
    """What a file imports and must not."""
    own = ".".join(("pbxadmin", "yeastar"))
    return [
        name
        for name in imported(source, package)
        if name.partition(".")[0] not in FROM_OUTSIDE | sys.stdlib_module_names
        and name != own
        and not name.startswith(f"{own}.")
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_vendors_api_imports_no_django_and_nothing_else_of_ours(file: Path) -> None:
    package = ("pbxadmin", "yeastar", *file.relative_to(PACKAGE).parts[:-1])

    assert forbidden_imports(file.read_text(encoding="utf-8"), package) == []


@pytest.mark.parametrize(
    "line",
    [
        "import django",
        "from django.conf import settings",
        "def f():\n    from django.utils import timezone",
        "import pbxadmin.sealed",
        "from pbxadmin import settings",
        "from .. import sealed",
        "from ..audit.log import record",
        "import ivr.models",
        "import json, ivr",
        "import importlib\nimportlib.import_module('django')",
        "__import__('django')",
        "from pbxadmin.yeastarry import x",
    ],
)
def test_a_stray_import_is_found(line: str) -> None:
    assert len(forbidden_imports(line, ("pbxadmin", "yeastar"))) == 1


def wire_names() -> set[str]:
    """Return what only the S-Series API says: paths of its calls, keys of its requests, its form of a password."""
    return {"md5", "ivrid", *device.RULES, *(call for call in device.CALLS if "/" in call)}


def test_what_only_the_vendor_says_stands_in_its_driver_and_in_the_simulator() -> None:
    """The table of fields holds the keys of answers too, as one column: a field is added in one place."""
    own, table = (PACKAGE / "s_series", PACKAGE / "simulator"), PACKAGE / "fields.py"
    found = []
    for file in sorted(path for root in (PACKAGE.parent, PACKAGE.parents[1] / "ivr") for path in root.rglob("*.py")):
        if any(folder in file.parents for folder in own):
            continue
        names = wire_names() - device.RULES.keys() if file == table else wire_names()
        text = file.read_text(encoding="utf-8")
        found += [f"{name} in {file.name}" for name in names if re.search(rf"\b{name}\b", text)]

    assert found == []


def test_the_files_of_the_package_are_all_looked_at() -> None:
    names = {file.name for file in FILES}

    assert {"client.py", "errors.py", "fields.py", "guard.py", "transport.py", "wire.py", "device.py"} <= names


def test_every_code_of_the_table_has_a_meaning_and_a_known_category() -> None:
    table = json.loads((PACKAGE / "s_series" / "codes.json").read_text(encoding="utf-8"))

    assert len(table) > 90
    for code, row in table.items():
        assert len(code) == 5
        assert set(code) <= set("0123456789")
        assert row.keys() == {"meaning", "retryable", "category"}
        assert row["category"] in CATEGORIES, code
        assert row["meaning"].strip() == row["meaning"] != "", code
        assert isinstance(row["retryable"], bool)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("10012", errors.PbxNotFound),
        ("10018", errors.PbxRefused),
        ("10025", errors.PbxBusy),
        ("20002", errors.PbxLocked),
        ("20003", errors.PbxLoginRefused),
        ("20004", errors.PbxTokenRefused),
        ("20005", errors.PbxTokenRefused),
        ("20006", errors.PbxTokenRefused),
        ("20010", errors.PbxBusy),
        ("30001", errors.PbxBusy),
        ("99999", errors.PbxRefused),
        ("", errors.PbxRefused),
    ],
)
def test_a_code_leads_to_the_error_that_says_what_may_be_done_next(code: str, error: type[errors.PbxRefused]) -> None:
    refusal = codes.refusal(code)

    assert type(refusal) is error
    assert refusal.code == code
    assert str(refusal).endswith(f"({code or 'no code'})")


def test_only_a_refused_token_may_be_answered_by_one_new_login() -> None:
    """Any other code with this error would send a command a second time."""
    found = {code for code in codes.code_table() if isinstance(codes.refusal(code), errors.PbxTokenRefused)}

    assert found == {"20004", "20005", "20006"}


def test_no_failed_login_counts_as_worth_a_repeat() -> None:
    table = json.loads((PACKAGE / "s_series" / "codes.json").read_text(encoding="utf-8"))

    assert not any(row["retryable"] for row in table.values() if row["category"] == "auth")
