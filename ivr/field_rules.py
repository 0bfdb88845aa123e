"""What a change of each writable IVR field means to callers, whom it needs, and what has to be confirmed.

The table of fields is pbxadmin/yeastar/fields.py; `check_ivr_fields` proves that each writable field has its rule here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pbxadmin.access.roles import Action
from pbxadmin.yeastar.fields import IvrField


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What a change of one field means.

    right: who may change it. callers_notice: one line under a planned change. risk_when_on: of a switch, the sentence
    to confirm before it is turned on, "" when there is none; None for other kinds. check_by_hand: what a person has to
    look at on the PBX, because this API does not show it; also to be confirmed.
    """

    right: Action
    callers_notice: str
    risk_when_on: str | None = None
    check_by_hand: tuple[str, ...] = ()


BY_HAND = "Check by hand: "
# In the order in which a page lists their risks.
FIELD_RULES: dict[str, FieldRule] = {
    "name": FieldRule(Action.EDIT_IVR, "Seen by colleagues, never heard by callers."),
    "prompt_repeat": FieldRule(Action.EDIT_IVR, "How often callers hear the prompt before the menu gives up."),
    "response_timeout": FieldRule(Action.EDIT_IVR, "How long callers have for a first key after each prompt."),
    "digit_timeout": FieldRule(Action.EDIT_IVR, "How long callers may pause between two keys."),
    "dial_outbound": FieldRule(
        Action.DIAL_OUTBOUND,
        "Whether callers may make calls at your cost.",
        risk_when_on="Callers will be able to make calls at your cost. Fraudsters look for menus that let them.",
    ),
    "dial_extension": FieldRule(
        Action.EDIT_IVR,
        "Whether callers may type an extension.",
        risk_when_on="Callers will be able to type any extension. A list of allowed extensions kept on the PBX may be"
        " widened, and an extension that forwards outside costs money.",
    ),
    "check_voicemail": FieldRule(
        Action.EDIT_IVR,
        "Whether callers reach the voicemail menu.",
        risk_when_on="Callers will be able to reach the voicemail menu and try PINs.",
    ),
    "number": FieldRule(
        Action.RENUMBER,
        "Inbound routes, queues and keys of other IVRs may still point to the old number.",
        check_by_hand=(
            "Keys of other IVRs and ring groups that lead to the old number: this API does not show them.",
            "Whoever dials the old number directly: phones, websites, printed numbers.",
        ),
    ),
}


def noticed(field: IvrField) -> str:
    """Say what callers notice of a field; of one that nobody can change, what it is."""
    rule = FIELD_RULES.get(field.name)
    return rule.callers_notice if rule else f"{field.hint}."


def explained(field: IvrField) -> str:
    """Say in a line what callers notice of a field, and what it takes."""
    return f"{noticed(field)} {field.hint}." if field.name in FIELD_RULES else noticed(field)


def right_to_change(name: str) -> Action:
    """Return the action that a person must be allowed in order to change this field."""
    return FIELD_RULES[name].right if name in FIELD_RULES else Action.EDIT_IVR


def rights_to_change(names: Iterable[str]) -> set[Action]:
    """Return all actions that a change of these fields needs. Every change needs the right to edit."""
    return {Action.EDIT_IVR, *map(right_to_change, names)}


def risks_of(base: Mapping[str, str | None], wanted: Mapping[str, str]) -> list[str]:
    """Return a sentence for each risk that these values bring; none when nothing needs a confirmation."""
    rules = {name: rule for name, rule in FIELD_RULES.items() if name in wanted}
    is_turned_on = {name for name in rules if wanted[name] == "on" and base.get(name) != "on"}
    opened = [rule.risk_when_on for name, rule in rules.items() if rule.risk_when_on and name in is_turned_on]
    return [*opened, *(f"{BY_HAND}{item}" for rule in rules.values() for item in rule.check_by_hand)]
