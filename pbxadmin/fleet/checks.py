"""System check of the table of record fields: it agrees with the model."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error
from django.db.models import Field, Model

from .models import Pbx
from .record_fields import MAINTAINED_COLUMNS, RECORD_FIELDS, RecordField

RECIPE = 'Follow the recipe "Add a PBX record field" in CONTRIBUTING.md.'


def check_record_fields(**_: Any) -> list[CheckMessage]:
    """Report every column that the table of record fields lacks, and every field that does not suit its column."""
    problems = problems_of_record_fields(RECORD_FIELDS, MAINTAINED_COLUMNS, Pbx)
    return [Error(problem, hint=RECIPE, id="fleet.E001") for problem in problems]


def problems_of_record_fields(
    fields: Sequence[RecordField], maintained: Sequence[str], model: type[Model]
) -> Iterator[str]:
    columns = {column.name: column for column in model._meta.concrete_fields}
    entered = [column for each in fields for column in each.stored_in]
    for name in columns:
        times = [*entered, *maintained].count(name)
        if times != 1:
            yield f"Column {name} stands {times} times in RECORD_FIELDS and MAINTAINED_COLUMNS, not once."
    for name in (*entered, *maintained):
        if name not in columns:
            yield f"{name} stands in RECORD_FIELDS or MAINTAINED_COLUMNS and is no column of {model.__name__}."
    for each in fields:
        if each.stored_in == (each.name,) and each.name in columns:
            yield from problems_of_column(each, columns[each.name])


def problems_of_column(field: RecordField, column: "Field[Any, Any]") -> Iterator[str]:
    chosen, stored = (sorted(value for value, _ in choices or ()) for choices in (field.options, column.choices))
    if chosen != stored:
        yield f"{field.name}: the form offers {chosen}, the column takes {stored}."
    default = column.get_default() if column.has_default() else ""
    if default != field.default:
        yield f"{field.name}: the default of the form is {field.default!r}, that of the column is {default!r}."
