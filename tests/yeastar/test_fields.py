"""The table of fields: what may be typed into an IVR, and what it says about what may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbxadmin.yeastar.drivers import writable_fields
from pbxadmin.yeastar.fields import (
    BY_NAME,
    FIELDS,
    FORBIDDEN_IN_NAMES,
    ApiVersion,
    FieldError,
    IvrField,
    Kind,
)

SECONDS = ("response_timeout", "digit_timeout")
COUNTS = ("prompt_repeat", *SECONDS)
SWITCHES = ("dial_extension", "check_voicemail", "dial_outbound")
NO_COUNT = ["0", "00", "-1", "+3", "3.5", "3,5", "3.0", "1e1", "1e0", "0x3", "", "   ", "three", "3 4", "1_0", "3\x00"]
OTHER_DIGITS = ["٣", "３", "३", "²", "Ⅲ", "①"]


def refusal(name: str, typed: str) -> str:
    with pytest.raises(FieldError) as caught:
        BY_NAME[name].check(typed)
    return str(caught.value)


@pytest.mark.parametrize("typed", ["1", "2", "3", "4", "5"])
def test_a_prompt_is_played_one_to_five_times(typed: str) -> None:
    assert BY_NAME["prompt_repeat"].check(typed) == typed


@pytest.mark.parametrize("typed", ["6", "10", "11", "99", "55555", *NO_COUNT, *OTHER_DIGITS])
def test_any_other_prompt_repeat_is_refused_with_what_is_allowed(typed: str) -> None:
    assert refusal("prompt_repeat", typed) == "Enter a whole number from 1 to 5."


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("seconds", range(1, 11))
def test_a_timeout_is_one_to_ten_seconds(name: str, seconds: int) -> None:
    assert BY_NAME[name].check(str(seconds)) == str(seconds)


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("typed", ["11", "100", "1000000000000", *NO_COUNT, *OTHER_DIGITS])
def test_any_other_timeout_is_refused_with_what_is_allowed(name: str, typed: str) -> None:
    assert refusal(name, typed) == "Enter a whole number from 1 to 10."


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\u00a0", "\u2003", " \r\n"])
def test_outer_blanks_are_trimmed(blank: str) -> None:
    assert BY_NAME["response_timeout"].check(f"{blank}7{blank}") == "7"
    assert BY_NAME["number"].check(f"{blank}6500{blank}") == "6500"
    assert BY_NAME["name"].check(f"{blank}Main_Menu{blank}") == "Main_Menu"


@pytest.mark.parametrize("name", COUNTS)
def test_leading_zeros_are_no_part_of_a_count(name: str) -> None:
    assert BY_NAME[name].check("003") == "3"


@pytest.mark.parametrize("typed", ["0", "1", "0100", "6500", "1234567"])
def test_a_number_is_one_to_seven_digits_as_they_stand(typed: str) -> None:
    assert BY_NAME["number"].check(typed) == typed


@pytest.mark.parametrize(
    "typed", ["", " ", "12345678", "65 00", "6500a", "-1", "+49", "*98", "#", "65.0", *OTHER_DIGITS]
)
def test_any_other_number_is_refused_with_what_is_allowed(typed: str) -> None:
    assert refusal("number", typed) == "Enter 1 to 7 digits, nothing else."


def test_the_forbidden_characters_are_the_vendors_and_the_backslash() -> None:
    assert sorted(FORBIDDEN_IN_NAMES) == sorted("!$()/#;,[]\"=<>&'`^%@{}|" + "\\")


@pytest.mark.parametrize("character", FORBIDDEN_IN_NAMES)
@pytest.mark.parametrize("position", [1, 4, 31])
def test_a_forbidden_character_is_named_with_its_position(character: str, position: int) -> None:
    typed = "x" * (position - 1) + character + "x" * (31 - position)

    assert refusal("name", typed) == f"Character {position} is {character}, which the PBX does not allow in a name."


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", "\u3000", "\n"])
def test_a_blank_inside_of_a_name_is_named_with_its_position_and_a_way_out(blank: str) -> None:
    assert refusal("name", f" Welcome{blank}Guest ") == "Character 8 is a blank. Try Welcome_Guest."


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\u200b", "\u202e", "\ufeff", "\ud800", "\ue000"])
def test_a_character_that_cannot_be_seen_is_named_by_its_position(character: str) -> None:
    assert refusal("name", f"Ma{character}in") == "Character 3 cannot be seen. Names take visible characters only."


def test_a_name_has_at_most_31_characters() -> None:
    assert BY_NAME["name"].check("x" * 31) == "x" * 31
    assert BY_NAME["name"].check("ü" * 31) == "ü" * 31
    assert refusal("name", "x" * 32) == "32 characters are too long. A name has at most 31."


@pytest.mark.parametrize("typed", ["", "  ", "\t\n"])
def test_a_name_is_not_empty(typed: str) -> None:
    assert refusal("name", typed) == "Enter a name of 1 to 31 characters."


@pytest.mark.parametrize("typed", ["Main_Menu", "6500", "Zürich-Büro", "主菜单", "a.b:c*d+e~f?g", "-", "_", "é"])
def test_any_other_visible_name_is_taken_as_it_stands(typed: str) -> None:
    assert BY_NAME["name"].check(typed) == typed


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_on_or_off(name: str) -> None:
    assert (BY_NAME[name].check("on"), BY_NAME[name].check("off")) == ("on", "off")
    for typed in ("", "On", "yes", "1", "true", "oOff"):
        assert refusal(name, typed) == f"{BY_NAME[name].label} is either on or off."


@pytest.mark.parametrize("name", ["prompt", "outbound_routes"])
def test_what_no_version_writes_is_not_taken(name: str) -> None:
    assert refusal(name, "[Default]") == f"{BY_NAME[name].label} cannot be changed through this API."


@given(st.sampled_from(FIELDS), st.text())
def test_whatever_is_typed_is_taken_in_canonical_form_or_refused_in_one_sentence(field: IvrField, typed: str) -> None:
    problem = ""
    try:
        value = field.check(typed)
    except FieldError as error:
        problem = str(error)

    if problem:
        assert problem.endswith(".")
    else:
        assert field.check(value) == value
        assert field.fits(value)


# What a PBX reports


@pytest.mark.parametrize(
    ("name", "reported", "fits"),
    [
        ("prompt_repeat", "5", True),
        ("prompt_repeat", "6", False),
        ("prompt_repeat", "03", False),
        ("response_timeout", "0", False),
        ("response_timeout", " 3", False),
        ("name", "Welcome Guest", False),
        ("name", "x" * 32, False),
        ("name", "Main_Menu", True),
        ("number", "*98", False),
        ("dial_extension", "ON", False),
        ("dial_extension", "on", True),
        ("prompt", "../../etc/passwd", True),
        ("outbound_routes", "", True),
    ],
)
def test_a_reported_value_outside_the_rules_is_told_apart(name: str, reported: str, fits: bool) -> None:
    assert BY_NAME[name].fits(reported) is fits


@pytest.mark.parametrize(
    ("reported", "why"),
    [
        ("Main_Menu", ""),
        ("Main Menu", "Character 5 is a blank. Try Main_Menu."),
        (" Main", "Character 1 is a blank. Try Main."),
        ("M" * 32, "32 characters are too long. A name has at most 31."),
    ],
)
def test_why_a_reported_name_would_not_be_written_is_a_sentence(reported: str, why: str) -> None:
    assert BY_NAME["name"].misfit(reported) == why


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_what_was_not_reported_breaks_no_rule_and_says_so(field: IvrField) -> None:
    assert field.fits(None)
    assert field.in_words(None) == "not reported"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("response_timeout", "3", "3 s"),
        ("response_timeout", "1", "1 s"),
        ("response_timeout", "300", "300 s"),
        ("response_timeout", "soon", "soon"),
        ("prompt_repeat", "1", "1 time"),
        ("prompt_repeat", "3", "3 times"),
        ("prompt_repeat", "", "none"),
        ("dial_extension", "on", "On"),
        ("dial_extension", "off", "Off"),
        ("dial_extension", "allowed", "allowed"),
        ("name", "Main_Menu", "Main_Menu"),
        ("outbound_routes", "", "none"),
    ],
)
def test_a_value_is_said_as_operators_say_it(name: str, value: str, words: str) -> None:
    assert BY_NAME[name].in_words(value) == words


# What each version of the API writes


@pytest.mark.parametrize(
    ("version", "locked"),
    [
        (ApiVersion.V1_0, {"prompt", "dial_outbound", "outbound_routes"}),
        (ApiVersion.V1_1, {"prompt", "dial_outbound", "outbound_routes"}),
        (ApiVersion.V2_0, {"number", "prompt", "outbound_routes"}),
    ],
)
def test_each_version_locks_what_its_guide_does_not_write(version: ApiVersion, locked: set[str]) -> None:
    assert {field.name for field in FIELDS if version not in field.writable} == locked
    assert {field.name for field in writable_fields(version)} == set(BY_NAME) - locked


def test_only_the_first_version_insists_on_number_and_name() -> None:
    required = {(field.name, version) for field in FIELDS for version in field.required}

    assert required == {("number", ApiVersion.V1_0), ("name", ApiVersion.V1_0)}


def test_names_on_the_wire_are_those_of_the_guides() -> None:
    assert {field.name: field.wire for field in FIELDS} == {
        "number": "ivrnumber",
        "name": "ivrname",
        "prompt": "prompt",
        "prompt_repeat": "promptrepeat",
        "response_timeout": "responsetimeout",
        "digit_timeout": "digittimeout",
        "dial_extension": "dialext",
        "check_voicemail": "dialtocheckvoicemail",
        "dial_outbound": "dialoutboundroutes",
        "outbound_routes": "selectedrouters",
    }
    assert BY_NAME["number"].wire_key(ApiVersion.V2_0) == "number"
    assert [field.wire_key(ApiVersion.V2_0) for field in FIELDS[1:]] == [field.wire for field in FIELDS[1:]]


def test_every_count_has_a_range_and_a_unit_and_its_hint_says_the_range() -> None:
    for field in FIELDS:
        if field.kind is Kind.COUNT:
            assert field.hint.startswith(f"{field.minimum} to {field.maximum}")
            assert field.unit
