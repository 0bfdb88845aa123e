"""The settings of an IVR and of its changes as pages show them, in the words of operators."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

from pbxadmin.yeastar.drivers import driver_of
from pbxadmin.yeastar.fields import BY_NAME, REPLACED, IvrField, Kind
from pbxadmin.yeastar.readings import IvrSettings

from .changes.compare import compare
from .field_rules import explained, noticed
from .models import Change

ODD_VALUE = "The PBX holds a value that it would not take from us. It can stay as it is."
NOT_TEXT = "The PBX holds bytes that are not UTF-8, shown as {}. They stay as they are unless you change this field."


@dataclass(frozen=True)
class FieldRow:
    """One field of an IVR as pages show it: the stored value (for scripts), the value in words, and a remark.

    edit: the address of the form that opens at this field, "" for who may not change it. turn: what it would do to a
    switch, in words; the form opens with it done.
    """

    field: IvrField
    value: str
    words: str
    remark: str
    is_locked: bool
    is_odd: bool
    edit: str = ""
    turn: str = ""


def field_rows(settings: IvrSettings, version: str) -> dict[str, list[FieldRow]]:
    """Return a row for each field that the driver of this version reports, under the headings of the page."""
    found: dict[str, list[FieldRow]] = {}
    driver = driver_of(version)
    values = settings.values() | driver.further_values(settings.raw)
    for field in driver.fields:
        value = values[field.name]
        is_locked, is_odd = version not in field.writable, not field.fits(value)
        odd = NOT_TEXT.format(REPLACED) if value and REPLACED in value else ODD_VALUE
        said = f"{noticed(field)} API {version} cannot change it." if is_locked else explained(field)
        remark = odd if is_odd else said
        row = FieldRow(field, value or "", field.in_words(value), remark, is_locked, is_odd)
        found.setdefault(field.group, []).append(row)
    return found


def with_edits(groups: Mapping[str, list[FieldRow]], names: Container[str], form: str) -> dict[str, list[FieldRow]]:
    """Return the rows with the address of the form on those of these fields. form: the address of the form."""
    return {
        heading: [edit_offered(row, form) if row.field.name in names else row for row in rows]
        for heading, rows in groups.items()
    }


def edit_offered(row: FieldRow, form: str) -> FieldRow:
    name, place = row.field.name, f"#id_{row.field.name}"
    if row.field.kind is not Kind.SWITCH:
        return replace(row, edit=f"{form}{place}")
    turned = "off" if row.value == "on" else "on"
    return replace(row, edit=f"{form}?{name}={turned}{place}", turn=f"Turn {turned}")


def caller_hears(settings: IvrSettings) -> str:
    """Say what a caller hears: "Plays the prompt 3 times, waits 3 s for a key after each, 3 s between digits."."""
    repeat, response, digit = (
        BY_NAME[name].in_words(settings.values()[name])
        for name in ("prompt_repeat", "response_timeout", "digit_timeout")
    )
    if settings.prompt_repeat == "1":
        return f"Plays the prompt once, waits {response} for a key, {digit} between digits."
    return f"Plays the prompt {repeat}, waits {response} for a key after each, {digit} between digits."


def callers_may(dial_extension: str | None, check_voicemail: str | None, dial_outbound: str | None) -> str:
    """Say what is open to callers, beyond the keys of the menu."""
    is_open = {"an extension": dial_extension, "voicemail": check_voicemail, "outside numbers": dial_outbound}
    words = [what for what, switch in is_open.items() if switch == "on"]
    return ", ".join(words).capitalize() if words else "Keys only"


def open_to_callers(settings: IvrSettings) -> str:
    """Say what these settings leave open to callers, beyond the keys of the menu."""
    return callers_may(settings.dial_extension, settings.check_voicemail, settings.dial_outbound)


def tick_count(value: str | None, limit: int = 10) -> int | None:
    """Return a value as a number of ticks to draw, or None when it is no number or would not fit."""
    return int(value) if value and value.isdecimal() and len(value) < 9 and int(value) <= limit else None


def conflict_rows(change: Change, chosen: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the fields that somebody else changed too: when opened, yours, on the PBX now, and what was chosen."""
    live = change.live or change.base
    return [
        {
            "name": name,
            "label": BY_NAME[name].label,
            "opened": BY_NAME[name].in_words(change.base.get(name)),
            "yours": BY_NAME[name].in_words(change.wanted[name]),
            "now": BY_NAME[name].in_words(live.get(name)),
            "chosen": chosen.get(name, ""),
        }
        for name in compare(change.base, live, change.wanted).conflicts
    ]


def untouched_rows(change: Change) -> list[dict[str, str]]:
    """Return the fields that somebody else changed and this change does not ask for: both can stay."""
    live = change.live or change.base
    return [
        {
            "label": BY_NAME[name].label,
            "opened": BY_NAME[name].in_words(change.base.get(name)),
            "now": BY_NAME[name].in_words(live.get(name)),
        }
        for name in compare(change.base, live, change.wanted).kept
    ]
