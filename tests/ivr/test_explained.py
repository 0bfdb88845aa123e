"""Each field of an IVR is explained in a line, with what callers notice: on screens, and in the help."""

from collections.abc import Iterator

import pytest
from django.conf import settings

from ivr.field_rules import explained
from pbxadmin.yeastar.fields import ALL, FIELDS


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_field_is_explained_in_a_line(field):
    assert explained(field).endswith(".")
    assert len(explained(field)) <= 130
    assert ".." not in explained(field)


def test_the_page_of_the_fields_has_this_table():
    """What is compared is Markdown: copy it from the failure when a field changed."""
    text = (settings.BASE_DIR / "docs" / "fields.md").read_text(encoding="utf-8")

    assert "\n".join(fields_table()) in text


def fields_table() -> Iterator[str]:
    yield "| Field | What callers notice, what it takes | Can be changed by |"
    yield "|---|---|---|"
    for field in FIELDS:
        versions = "every version of the API" if field.writable == ALL else ", ".join(sorted(field.writable))
        yield f"| **{field.label}** | {explained(field)} | {versions or 'nobody: on the PBX itself'} |"
