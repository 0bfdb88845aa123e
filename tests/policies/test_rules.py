"""What a policy asks of a value, as pure functions."""

import pytest

from pbxadmin.policies.rules import Breach, Demand, PbxScope, breaches_of, breaks, clean_value, demand_in_words
from pbxadmin.yeastar.fields import BY_NAME, FieldError


@pytest.mark.parametrize(
    ("comparison", "wanted", "kept", "broken"),
    [
        ("is", "off", ["off", None], ["on", "", "OFF"]),
        ("at-least", "5", ["5", "10", None], ["4", "", "many", "-6"]),
        ("at-most", "5", ["5", "0", None], ["6", "10", "x"]),
        ("one-of", "3, 5", ["3", "5", None], ["4", "35", "3, 5"]),
    ],
)
def test_what_breaks_it_and_what_does_not(
    comparison: str, wanted: str, kept: list[str | None], broken: list[str]
) -> None:
    assert [held for held in kept if breaks(comparison, wanted, held)] == []
    assert [held for held in broken if not breaks(comparison, wanted, held)] == []


def test_each_pbx_is_asked_what_its_customer_and_tags_say() -> None:
    demands = [
        Demand(1, None, "", "dial_outbound", "is", "off"),
        Demand(2, 10, "", "response_timeout", "at-least", "5"),
        Demand(3, None, "vip", "response_timeout", "at-most", "2"),
    ]
    scopes = {7: PbxScope(10, frozenset()), 8: PbxScope(11, frozenset({"vip"})), 9: PbxScope(11, frozenset())}
    rows = [(pk, number, "on", "3") for pk in (7, 8, 9, 99) for number in ("6500", "6501")]

    found = set(breaches_of(demands, scopes, rows, ["dial_outbound", "response_timeout"]))

    assert found == {
        *(Breach(1, pk, number, "on") for pk in (7, 8, 9) for number in ("6500", "6501")),
        *(Breach(2, 7, number, "3") for number in ("6500", "6501")),
        *(Breach(3, 8, number, "3") for number in ("6500", "6501")),
    }


def test_typed_values_become_canonical_or_are_refused() -> None:
    switch, seconds, prompt = BY_NAME["dial_outbound"], BY_NAME["response_timeout"], BY_NAME["prompt"]

    assert clean_value(switch, "is", " Off ") == "off"
    assert clean_value(seconds, "one-of", "3,05, 3,") == "3, 5"
    assert clean_value(prompt, "is", "[Default]") == "[Default]"
    for field, comparison, typed in (
        (switch, "at-least", "on"),
        (switch, "is", "perhaps"),
        (seconds, "is", "99"),
        (seconds, "one-of", " , "),
    ):
        with pytest.raises(FieldError):
            clean_value(field, comparison, typed)


def test_it_is_said_in_words() -> None:
    assert demand_in_words("response_timeout", "one-of", "3, 5") == "Response timeout is one of 3 s, 5 s"
    assert demand_in_words("dial_outbound", "is", "off") == "Dial outbound is Off"
