"""What the API says and takes. Schemas of IVRs and of PBX records are derived from their tables of fields.

Values of an IVR are plain JSON: whole numbers for counts, true and false for switches, text for the rest, null for "not
reported". What a PBX holds and should not, such as a count of "abc", comes as text, as it is.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, cast

from ninja import Schema
from pydantic import ConfigDict, Field, create_model

from ivr.changes.compare import IvrValues, compare
from ivr.changes.risks import Risks, change_risks
from ivr.models import Change, Ivr, OutsideChange
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.record_fields import EXPORT_COLUMNS, RECORD_FIELDS, InputKind, RecordField
from pbxadmin.yeastar.fields import BY_NAME, FIELDS, IvrField, Kind

JsonValue = int | bool | str | None
OUT_TYPES: Mapping[Kind, Any] = {Kind.COUNT: int | str | None, Kind.SWITCH: bool | str | None}
IN_TYPES: Mapping[Kind, Any] = {Kind.COUNT: int | None, Kind.SWITCH: bool | None}


class Strict(Schema):
    """A body in which an unknown name is an error: a misspelt field must not be passed over."""

    model_config = ConfigDict(extra="forbid")


def json_value(field: IvrField, text: str | None) -> JsonValue:
    """Return canonical text as JSON says it; text that is not in its form comes as it is."""
    if text is None:
        return None
    if field.kind is Kind.SWITCH:
        return {"on": True, "off": False}.get(text, text)
    if field.kind is Kind.COUNT and text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    return text


def typed_value(value: JsonValue) -> str:
    """Return a value of a body as a form takes it."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def values_out(values: Mapping[str, str | None]) -> dict[str, JsonValue]:
    return {name: json_value(BY_NAME[name], text) for name, text in values.items() if name in BY_NAME}


def described(field: IvrField) -> str:
    return f"{field.label}. {field.hint}" + (f" In {field.unit}." if field.unit else "")


def limits_of(field: IvrField) -> dict[str, Any]:
    """Return the range of a field as JSON Schema says it. The form refuses what is outside, in its words."""
    if field.kind is Kind.COUNT:
        return {"minimum": field.minimum, "maximum": field.maximum}
    if field.kind is Kind.SWITCH:
        return {}
    return {"minLength": field.minimum, "maxLength": field.maximum}


ValuesOut: Any = create_model(
    "IvrValues",
    __base__=Schema,
    __doc__="Every field of an IVR.",
    **cast(
        Any,
        {
            field.name: (OUT_TYPES.get(field.kind, str | None), Field(None, description=described(field)))
            for field in FIELDS
        },
    ),
)
IvrWanted: Any = create_model(
    "IvrWanted",
    __base__=Strict,
    __doc__="The fields to change, with their new values. What is left out stays as it is.",
    **cast(
        Any,
        {
            field.name: (
                IN_TYPES.get(field.kind, str | None),
                Field(None, description=described(field), json_schema_extra=limits_of(field)),
            )
            for field in FIELDS
            if field.writable
        },
    ),
)


def wanted_texts(wanted: Any) -> dict[str, str]:
    """Return the fields that a body gives, as canonical text."""
    return {name: typed_value(value) for name, value in wanted.dict(exclude_none=True).items()}


def record_type(field: RecordField) -> Any:
    return int if isinstance(field.default, int) else str


def record_description(field: RecordField) -> str:
    return " ".join(filter(None, (field.label, field.hint or field.takes)))


def record_limits(field: RecordField) -> dict[str, Any]:
    """Return what the form takes as JSON Schema says it; the form refuses the rest, in its words."""
    if field.options:
        return {"enum": [value for value, _ in field.options] + [None]}
    return {"maxLength": field.max_length} if field.max_length and record_type(field) is str else {}


ENTERED = [field for field in RECORD_FIELDS if field.kind is not InputKind.CUSTOMER]
PbxEntered: Any = create_model(
    "PbxEntered",
    __base__=Strict,
    __doc__="What people enter about a PBX. An edit changes only what it names. The password is never told.",
    **cast(
        Any,
        {
            field.name: (
                record_type(field) | None,
                Field(None, description=record_description(field), json_schema_extra=record_limits(field)),
            )
            for field in ENTERED
        },
    ),
)
PbxRecord: Any = create_model(
    "PbxRecord",
    __base__=Schema,
    **cast(
        Any,
        {
            field.name: (record_type(field), Field(..., description=record_description(field)))
            for field in ENTERED
            if not field.is_secret
        },
    ),
)


class PageOut(Schema):
    """A page of a list. next, previous: what `cursor` takes for the pages beside it, null when there is none."""

    next: str | None = None
    previous: str | None = None


class CustomerOut(Schema):
    id: int
    name: str
    archived: bool


class CustomersOut(PageOut):
    items: list[CustomerOut]


class PbxOut(PbxRecord):  # type: ignore[misc]
    """A PBX: its record, without the password, and what was learned of it. Times are UTC."""

    id: int
    customer_id: int
    customer: str
    state: str
    state_reason: str
    enabled: bool
    serial: str
    model: str
    firmware: str
    ivr_count: int | None
    read_at: datetime | None
    last_contact_at: datetime | None


class PbxsOut(PageOut):
    items: list[PbxOut]


class PbxAdd(PbxEntered):  # type: ignore[misc]
    model_config = ConfigDict(json_schema_extra={"required": [each.name for each in RECORD_FIELDS if each.is_required]})

    customer: int = Field(..., description="Id of the customer that it belongs to.")


class StepOut(Schema):
    """A step of a connection test. result: passed, failed or not reached."""

    step: str
    result: str
    sentence: str


class TestOut(Schema):
    """What each step of a connection test found. fingerprint: of the certificate that was shown, "" for none."""

    passed: bool
    fingerprint: str
    steps: list[StepOut]


class RefreshOut(Schema):
    ivrs: int


class IvrOut(Schema):
    """The last reading of an IVR. stale: why it is old, "" when it is not."""

    pbx_id: int
    pbx: str
    customer_id: int
    customer: str
    number: str
    name: str | None
    read_at: datetime
    stale: str
    values: ValuesOut


class IvrsOut(PageOut):
    items: list[IvrOut]


class PlanIn(Strict):
    """A change to plan. base: what you believe that the IVR holds; if that is wrong, nothing is planned (409)."""

    values: IvrWanted
    base: ValuesOut | None = None
    reason: str = Field("", max_length=500)
    ticket: str = Field("", max_length=100)


class LineOut(Schema):
    """One field of a change. found: what was read back, null before that."""

    field: str
    before: JsonValue
    asked: JsonValue
    found: JsonValue


class ConflictOut(Schema):
    """A field that somebody else changed too."""

    field: str
    base: JsonValue
    yours: JsonValue
    live: JsonValue


class ChangeOut(Schema):
    """A change, at one address through its life.

    risks: sentences to confirm before it is sent; apply then takes `confirm_with`. type_number: it also takes the
    number of the IVR. conflicts: only of a change that ended as one. page: its address for a person.
    """

    id: int
    outcome: str
    sentence: str
    customer_id: int
    customer: str
    pbx_id: int
    pbx: str
    number: str
    name: str
    lines: list[LineOut]
    conflicts: list[ConflictOut]
    risks: list[str]
    confirm_with: str
    type_number: bool
    reason: str
    ticket: str
    batch_id: int | None
    event_id: int | None
    planned_by: str
    planned_at: datetime
    applied_by: str
    sent_at: datetime | None
    finished_at: datetime | None
    page: str


class ChangesOut(PageOut):
    items: list[ChangeOut]


class NothingOut(Schema):
    """Nothing was planned, because nothing differs."""

    detail: str


class ApplyIn(Strict):
    """confirm: `confirm_with` of the plan, where it names risks. typed: the number of the IVR, where the plan asks."""

    confirm: str = Field("", max_length=16)
    typed: str = Field("", max_length=32)


class RecordIn(Strict):
    reason: str = Field("", max_length=500)
    ticket: str = Field("", max_length=100)


class ResolveIn(Strict):
    """yours: names of the fields in conflict for which your value is kept; the others stay as they are on the PBX."""

    yours: list[str] = []


class OutsideOut(Schema):
    """An outside change. id: of its event."""

    id: int
    customer_id: int
    pbx_id: int
    number: str
    kind: str
    at: datetime
    state: str
    sentence: str
    lines: list[LineOut]


class OutsidesOut(PageOut):
    items: list[OutsideOut]


class AcceptIn(Strict):
    note: str = Field("", max_length=500)


class AcceptOut(Schema):
    accepted: bool


class ViolationOut(Schema):
    """An IVR that breaks a policy now. accepted_until: the last day of its exception, null without one."""

    id: int
    policy_id: int
    policy: str
    severity: str
    customer_id: int
    pbx_id: int
    pbx: str
    number: str
    field: str
    value: JsonValue
    since: datetime | None
    until: datetime
    accepted_until: date | None


class ViolationsOut(PageOut):
    items: list[ViolationOut]


class EventOut(Schema):
    """An event of the log. text: the canonical JSON that was hashed, as it is."""

    id: int
    chain: str
    sequence: int
    at: datetime
    action: str
    outcome: str
    text: str
    hash: str


class EventsOut(PageOut):
    items: list[EventOut]


class NothingIn(Strict):
    """Nothing is taken: no body, or an empty object. What a script sends all the same it would believe to count."""


class CheckpointOut(Schema):
    """A signed checkpoint: the line as it stands in the file, to be kept elsewhere."""

    number: int
    at: str
    line: str


class CheckpointsOut(Schema):
    public_key: str
    items: list[CheckpointOut]


def line_out(name: str, before: str | None, asked: str | None, found: str | None) -> dict[str, Any]:
    field = BY_NAME[name]
    values = {"before": before, "asked": asked, "found": found}
    return {"field": name, **{kind: json_value(field, text) for kind, text in values.items()}}


def pbx_out(pbx: Pbx) -> dict[str, Any]:
    entered = {name: getattr(pbx, name) for name in EXPORT_COLUMNS if name != "customer"}
    learned = {name: getattr(pbx, name) for name in ("serial", "model", "firmware", "ivr_count", "read_at")}
    return {
        **entered,
        **learned,
        "id": pbx.pk,
        "customer_id": pbx.customer_id,
        "customer": pbx.customer.name,
        "state": pbx.state,
        "state_reason": pbx.state_reason,
        "enabled": pbx.is_enabled,
        "last_contact_at": pbx.last_contact_at,
    }


def ivr_out(ivr: Ivr, pbx: Pbx) -> dict[str, Any]:
    return {
        "pbx_id": pbx.pk,
        "pbx": pbx.name,
        "customer_id": pbx.customer_id,
        "customer": pbx.customer.name,
        "number": ivr.number,
        "name": ivr.name,
        "read_at": ivr.read_at,
        "stale": pbx.why_stale(ivr.read_at),
        "values": values_out({field.name: getattr(ivr, field.name) for field in FIELDS}),
    }


def outside_out(row: OutsideChange, said: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: each for name, each in said["fields"].items() if name in BY_NAME}
    return {
        "id": row.event_id,
        "customer_id": row.customer_id,
        "pbx_id": row.pbx_id,
        "number": row.number,
        "kind": row.action,
        "at": row.at,
        "state": row.state,
        "sentence": said["detail"].get("sentence", ""),
        "lines": [line_out(name, each.get("before"), None, each.get("found")) for name, each in fields.items()],
    }


def change_out(change: Change) -> dict[str, Any]:
    """Return a change as it is in a list: risks are looked up for one alone."""
    before, found = change.live or change.base, change.found or {}
    copied = ("id", "customer_id", "pbx_id", "number", "name", "reason", "ticket", "batch_id", "event_id")
    return {
        **{name: getattr(change, name) for name in (*copied, "planned_at", "sent_at", "finished_at")},
        "outcome": change.outcome,
        "sentence": change.account,
        "customer": change.customer_name,
        "pbx": change.pbx_name,
        "lines": [line_out(name, before.get(name), text, found.get(name)) for name, text in change.wanted_in_order],
        "conflicts": conflicts_out(change) if change.status == Change.Status.CONFLICT else [],
        "risks": [],
        "confirm_with": "",
        "type_number": False,
        "planned_by": change.planned_by_name,
        "applied_by": change.applied_by_name,
        "page": change.get_absolute_url(),
    }


def change_out_whole(change: Change) -> dict[str, Any]:
    """Return a change with what has to be confirmed before it is sent."""
    risks = change_risks(change) if change.status == Change.Status.PLANNED else Risks()
    confirm_with = risks.digest if risks.sentences else ""
    more = {"risks": risks.sentences, "confirm_with": confirm_with, "type_number": bool(risks.breaks)}
    return change_out(change) | more


def conflicts_out(change: Change) -> list[dict[str, Any]]:
    return conflict_lines(change.base, change.live or change.base, change.wanted)


def conflict_lines(base: IvrValues, live: IvrValues, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the fields that somebody else changed too: when it was opened, what is asked for, and on the PBX now."""
    found = []
    for name in compare(base, live, wanted).conflicts:
        texts = {"base": base.get(name), "yours": wanted[name], "live": live.get(name)}
        found.append({"field": name, **{kind: json_value(BY_NAME[name], text) for kind, text in texts.items()}})
    return found
