"""A field of the table that lacks something is found by a system check, before anybody meets it on a page."""

from dataclasses import replace

import pytest
from django.core.checks import run_checks

from ivr.checks import check_ivr_fields
from ivr.field_rules import FIELD_RULES, FieldRule, right_to_change, rights_to_change, risks_of
from pbxadmin.access.roles import Action
from pbxadmin.yeastar.fields import BY_NAME, FIELDS, Group, IvrField, Kind

MADE_UP = IvrField(
    "invalid_tries", "Invalid tries", Kind.COUNT, Group.CALLERS_MEET, "invalidtries", "1 to 9", minimum=1, maximum=9
)


def problems() -> list[str]:
    return [error.msg for error in run_checks() if error.id == "ivr.E001"]


def with_field(monkeypatch: pytest.MonkeyPatch, field: IvrField) -> None:
    known = tuple(each for each in FIELDS if each.name != field.name)
    monkeypatch.setattr("ivr.checks.FIELDS", (*known, field))


def test_the_fields_of_today_lack_nothing() -> None:
    assert check_ivr_fields() == []
    assert problems() == []


def test_a_new_writable_field_is_an_error_that_names_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    with_field(monkeypatch, MADE_UP)

    found = problems()

    assert any("no column in the snapshot model" in problem for problem in found)
    assert any("no attribute in IvrSettings" in problem for problem in found)
    assert any("no rule in ivr/field_rules.py" in problem for problem in found)
    assert all("'invalid_tries'" in problem for problem in found)


def test_the_error_names_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    with_field(monkeypatch, MADE_UP)

    assert {error.hint for error in check_ivr_fields()} == {'Follow the recipe "Add an IVR field" in CONTRIBUTING.md.'}


def test_a_field_that_is_only_read_needs_no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    with_field(monkeypatch, replace(MADE_UP, writable=frozenset()))

    assert not any("field_rules" in problem for problem in problems())


@pytest.mark.parametrize("name", [field.name for field in FIELDS if field.writable])
def test_each_writable_field_needs_its_rule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FIELD_RULES, name)

    assert [name in problem and "has no rule" in problem for problem in problems()] == [True]


def test_a_switch_has_to_say_whether_turning_it_on_is_a_risk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        FIELD_RULES, "dial_extension", FieldRule(Action.EDIT_IVR, "Whether callers may type an extension.")
    )

    assert ["is a switch" in problem for problem in problems()] == [True]

    monkeypatch.setitem(FIELD_RULES, "dial_extension", FieldRule(Action.EDIT_IVR, "Whether they may.", risk_when_on=""))

    assert problems() == []


def test_a_rule_has_to_say_what_callers_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIELD_RULES, "name", FieldRule(Action.EDIT_IVR, ""))

    assert ["what callers notice" in problem for problem in problems()] == [True]


def test_a_writable_field_of_a_kind_that_no_form_knows_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with_field(monkeypatch, replace(BY_NAME["name"], kind=Kind.TEXT))

    assert ["no form field for the kind text" in problem for problem in problems()] == [True]


def test_a_rule_of_a_field_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIELD_RULES, "old_field", FIELD_RULES["name"])

    assert ["is no field of the table" in problem for problem in problems()] == [True]


def test_a_change_needs_the_right_of_each_of_its_fields() -> None:
    assert rights_to_change(["name"]) == {Action.EDIT_IVR}
    assert rights_to_change(["name", "number"]) == {Action.EDIT_IVR, Action.RENUMBER}
    assert right_to_change("dial_outbound") == Action.DIAL_OUTBOUND
    assert right_to_change("prompt") == Action.EDIT_IVR


def test_only_a_switch_that_is_turned_on_is_a_risk() -> None:
    risk = FIELD_RULES["dial_extension"].risk_when_on

    assert risks_of({"dial_extension": "off"}, {"dial_extension": "on"}) == [risk]
    assert risks_of({"dial_extension": None}, {"dial_extension": "on"}) == [risk]
    assert risks_of({"dial_extension": "on"}, {"dial_extension": "on"}) == []
    assert risks_of({"dial_extension": "on"}, {"dial_extension": "off"}) == []


def test_what_has_to_be_checked_by_hand_comes_after_the_risks() -> None:
    wanted = {"number": "6600", "check_voicemail": "on"}

    assert risks_of({}, wanted) == [
        FIELD_RULES["check_voicemail"].risk_when_on,
        *(f"Check by hand: {item}" for item in FIELD_RULES["number"].check_by_hand),
    ]
