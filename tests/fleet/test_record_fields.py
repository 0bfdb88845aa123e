"""One table of record fields: the form, files, the search, the model and the documentation follow it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.checks import run_checks

from pbxadmin.access.models import Customer
from pbxadmin.fleet.checks import problems_of_record_fields
from pbxadmin.fleet.forms import PbxForm
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.record_fields import (
    EXPORT_COLUMNS,
    IMPORT_COLUMNS,
    MAINTAINED_COLUMNS,
    RECORD_FIELDS,
    RecordField,
)
from tests.factories import make_user

NO_MINUTES = tuple(each for each in RECORD_FIELDS if each.name != "refresh_minutes")
OTHER_PORT = tuple(replace(each, default=30) if each.name == "port" else each for each in RECORD_FIELDS)
DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_table_agrees_with_the_model() -> None:
    assert [message for message in run_checks() if message.id == "fleet.E001"] == []


@pytest.mark.parametrize(
    ("fields", "maintained", "problem"),
    [
        (NO_MINUTES, MAINTAINED_COLUMNS, "Column refresh_minutes stands 0 times"),
        (RECORD_FIELDS, MAINTAINED_COLUMNS[:-1], "Column next_refresh_at stands 0 times"),
        (RECORD_FIELDS, (*MAINTAINED_COLUMNS, "site"), "Column site stands 2 times"),
        (RECORD_FIELDS, (*MAINTAINED_COLUMNS, "rack"), "rack stands in RECORD_FIELDS or MAINTAINED_COLUMNS"),
        (OTHER_PORT, MAINTAINED_COLUMNS, "port: the default of the form is 30"),
        (
            tuple(replace(each, choices=each.options[1:]) for each in RECORD_FIELDS),
            MAINTAINED_COLUMNS,
            "scheme: the form offers ['http'], the column takes ['http', 'https']",
        ),
    ],
)
def test_a_column_or_field_that_the_table_forgets_is_named(
    fields: tuple[RecordField, ...], maintained: tuple[str, ...], problem: str
) -> None:
    found = list(problems_of_record_fields(fields, maintained, Pbx))

    assert problem in found[0]


def test_the_columns_of_files_stay_in_their_order() -> None:
    """Scripts of users rely on it: a new field is added at the end."""
    assert (
        *("customer", "name", "scheme", "host", "port", "api_version", "username", "trust", "fingerprint"),
        *("ca_certificate", "tls_profile", "site", "main_numbers", "tags", "notes", "refresh_minutes"),
    ) == EXPORT_COLUMNS
    assert (*EXPORT_COLUMNS, "password") == IMPORT_COLUMNS


@pytest.mark.django_db
def test_the_form_shows_its_parts_and_fields_in_their_order(acme: Customer) -> None:
    form = PbxForm(None, user=make_user("manager", acme))

    assert [(heading, [field.name for field in fields]) for heading, fields in form.sections()] == [
        ("Which PBX", ["customer", "name"]),
        ("Where it answers", ["scheme", "host", "port", "api_version", "refresh_minutes"]),
        ("API login", ["username", "password"]),
        ("How it proves who it is", ["trust", "tls_profile"]),
        ("Its certificate", ["fingerprint", "ca_certificate"]),
        ("To find it by", ["site", "main_numbers", "tags", "notes"]),
    ]


def test_the_documentation_of_imports_has_this_table() -> None:
    """What is compared is Markdown: copy it from the failure when a field changed."""
    text = (DOCS / "import.md").read_text(encoding="utf-8")

    assert "\n".join(import_table()) in text


def import_table() -> Iterator[str]:
    yield "| Column | Takes | A new PBX without it |"
    yield "|---|---|---|"
    for each in RECORD_FIELDS:
        takes = ", ".join(f"`{value}`" for value, _ in each.options) or each.takes
        default = f"`{each.default}`" if each.choices else str(each.default or "empty")
        without = "refused" if each.is_required and not each.default else default
        yield f"| `{each.name}` | {takes} | {without} |"


def test_every_field_says_what_it_takes() -> None:
    assert [each.name for each in RECORD_FIELDS if not (each.takes or each.choices)] == []
