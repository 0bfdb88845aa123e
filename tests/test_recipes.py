"""The recipes of CONTRIBUTING.md are true: what a recipe asks for is held by a check that names it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbxadmin.fleet.models import Pbx
from pbxadmin.ops.tick import JOBS
from pbxadmin.yeastar.drivers import DRIVERS, writable_fields
from pbxadmin.yeastar.fields import BY_NAME, ApiVersion
from pbxadmin.yeastar.simulator import device

ROOT = Path(__file__).resolve().parent.parent
RECIPE = re.compile(r"recipe \\?[\"'](Add [^\"'\\]+)\\?[\"']")


def recipe(name: str) -> str:
    return f'Follow the recipe "{name}" in CONTRIBUTING.md.'


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


RECIPES = re.findall(r"^### (.+)$", text_of("CONTRIBUTING.md"), re.MULTILINE)


def named_in_code() -> set[str]:
    """Return the recipes that a system check or a test names."""
    files = [path for folder in ("pbxadmin", "ivr", "tests") for path in (ROOT / folder).rglob("*.py")]
    found = {name for path in files for name in RECIPE.findall(path.read_text(encoding="utf-8"))}
    return found | set(re.findall(r'recipe\("(Add [^"]+)"\)', text_of("tests/test_recipes.py")))


def test_every_recipe_is_named_by_a_check_and_every_check_names_a_recipe() -> None:
    assert sorted(named_in_code()) == sorted(RECIPES)


def table_in(page: str, heading: str) -> set[str]:
    """Return what the first column of the table with this heading names in backquotes."""
    rows = text_of(page).split(f"| {heading} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_the_readme_has_every_command_and_no_other() -> None:
    files = (ROOT / "pbxadmin/ops/management/commands").glob("[a-z]*.py")
    shown = {name.split()[1] for name in table_in("README.md", "Command") if name.startswith("manage.py ")}

    # `migrate` is Django's own, with another owner of the tables; it stands in the text above the table.
    assert shown == {file.stem for file in files} - {"migrate"}, recipe("Add a command")


def settings_read() -> Iterator[str]:
    """Yield the name of each environment variable that settings.py reads."""
    for node in ast.walk(ast.parse(text_of("pbxadmin/settings.py"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            name = node.args[0]
            is_parser = isinstance(node.func.value, ast.Name) and node.func.value.id == "env"
            if is_parser and isinstance(name, ast.Constant) and node.func.attr != "BadSetting":
                yield str(name.value)


def test_the_readme_has_every_setting_and_no_other() -> None:
    shown = {name for name in table_in("README.md", "Variable") if name.isupper()}

    assert shown == {*settings_read(), "INSECURE_HTTP"}, recipe("Add a setting")


def test_the_map_has_every_background_job_and_no_other() -> None:
    jobs = {job.__name__ for job in JOBS}

    assert table_in("docs/architecture.md", "Job") == jobs, recipe("Add a background job")


@pytest.mark.parametrize("version", ApiVersion)
def test_an_api_version_has_a_driver_and_a_simulated_device(version: ApiVersion) -> None:
    simulated = {device.V1_0, device.V1_1, device.V2_0}

    assert version in DRIVERS, recipe("Add an API version")
    assert version in DRIVERS[version].newest_first, recipe("Add an API version")
    assert version.value in simulated, recipe("Add an API version")


@pytest.mark.parametrize("version", DRIVERS)
def test_a_driver_offers_what_the_pages_need(version: str) -> None:
    driver = DRIVERS[version]
    names = [field.name for field in driver.fields]

    assert driver.api_version == version, recipe("Add a vendor")
    assert len(set(names)) == len(names), recipe("Add a vendor")
    assert any(version in field.writable for field in driver.fields), recipe("Add a vendor")
    assert version in driver.newest_first, recipe("Add a vendor")
    assert len(version) <= (Pbx._meta.get_field("api_version").max_length or 0), recipe("Add a vendor")
    assert set(BY_NAME) >= {field.name for field in writable_fields(version)}, recipe("Add a vendor")
    assert "" not in {call.name for call in (driver.identity(), driver.logout(), driver.read(None))}
