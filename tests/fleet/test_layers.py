"""What decides and sends knows nothing of requests and answers: view code calls it, never the reverse."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pbxadmin.fleet

PACKAGE = Path(pbxadmin.fleet.__file__).parent
NO_VIEW_CODE = (
    *("concurrency", "connection_test", "imports", "lease", "models", "pbx_sessions", "saved_filters", "services"),
    "row_updates",
    "sheet",
)
VIEW_CODE = ("django.http", "django.shortcuts", "django.views", "pbxadmin.web.views", "pbxadmin.web.htmx")
OWN_VIEW_CODE = ("decorators", "views", "urls")


def imported(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (f"pbxadmin.fleet.{name}" if node.level else name for name in names if name)


@pytest.mark.parametrize("module", NO_VIEW_CODE)
def test_a_service_file_imports_no_view_code(module: str) -> None:
    forbidden = (*VIEW_CODE, *(f"pbxadmin.fleet.{name}" for name in OWN_VIEW_CODE))

    assert [name for name in imported(module) if name.startswith(forbidden)] == []
