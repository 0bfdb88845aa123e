"""System checks: each IVR field of the table has all that pages, plans and snapshots need of it."""

from collections.abc import Iterator
from dataclasses import fields as columns_of_dataclass
from typing import Any

from django.core.checks import CheckMessage, Error

from pbxadmin.yeastar.fields import FIELDS, IvrField, Kind
from pbxadmin.yeastar.readings import IvrSettings

from .field_rules import FIELD_RULES
from .forms import FORM_FIELDS
from .models import Ivr

FIELD_RECIPE = 'Follow the recipe "Add an IVR field" in CONTRIBUTING.md.'


def check_ivr_fields(app_configs: Any = None, **options: Any) -> list[CheckMessage]:
    """Return an error for each thing that a field of the table lacks, and for each rule without a field."""
    problems = [(field.name, problem) for field in FIELDS for problem in problems_of_field(field)]
    stray = FIELD_RULES.keys() - {field.name for field in FIELDS}
    problems += [(name, "has a rule in ivr/field_rules.py and is no field of the table") for name in sorted(stray)]
    return [Error(f"IVR field {name!r} {problem}.", hint=FIELD_RECIPE, id="ivr.E001") for name, problem in problems]


def problems_of_field(field: IvrField) -> Iterator[str]:
    """Yield what this field lacks, as the rest of a sentence about it."""
    if field.name not in {column.name for column in Ivr._meta.get_fields()}:
        yield "has no column in the snapshot model Ivr (ivr/models.py, with a migration)"
    if field.name not in {column.name for column in columns_of_dataclass(IvrSettings)}:
        yield "has no attribute in IvrSettings (pbxadmin/yeastar/wire.py)"
    if not (field.label and field.hint):
        yield "has no label or no hint (pbxadmin/yeastar/fields.py)"
    if field.writable:
        yield from problems_of_writable_field(field)


def problems_of_writable_field(field: IvrField) -> Iterator[str]:
    """Yield what this field lacks for being changed: words, risk and right, and a form field."""
    rule = FIELD_RULES.get(field.name)
    if rule is None:
        yield "can be changed, and has no rule in ivr/field_rules.py: what callers notice, the risk, the right"
    elif field.kind is Kind.SWITCH and rule.risk_when_on is None:
        yield "is a switch, and ivr/field_rules.py says neither the risk when it is on nor that it has none"
    elif not rule.callers_notice:
        yield "does not say in ivr/field_rules.py what callers notice"
    if field.kind not in FORM_FIELDS:
        yield f"can be changed, and ivr/forms.py has no form field for the kind {field.kind.value}"
