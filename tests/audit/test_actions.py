"""The table of actions and the code agree: what may be recorded is recorded somewhere, and told in words.

`unperformed` is for a test that performs every action: what is left when it thinks that it is done.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks

from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.checks import problems_of_actions
from pbxadmin.audit.models import Event
from pbxadmin.review import checks as review_checks
from pbxadmin.review.kinds import DESK_ACTIONS, DESK_GROUPS, OFF_DESK_GROUPS

RECIPE = 'the recipe "Add an event" in CONTRIBUTING.md'


def unperformed() -> set[EventAction]:
    """Actions of which the log holds no event."""
    return set(EventAction) - set(Event.objects.order_by().values_list("action", flat=True).distinct())


def product_files() -> Iterator[Path]:
    for package in ("pbxadmin", "ivr"):
        for path in (Path(settings.BASE_DIR) / package).rglob("*.py"):
            if path.name != "actions.py" and "migrations" not in path.parts:
                yield path


def bare_actions(code: str) -> list[str]:
    """Every string of this code that is the stored value of an action."""
    strings = (node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant))
    return [text for text in strings if isinstance(text, str) and text in set(EventAction)]


def test_every_action_is_recorded_somewhere():
    code = "\n".join(path.read_text(encoding="utf-8") for path in product_files() if path.name != "kinds.py")

    assert [action for action in EventAction if not re.search(rf"\bEventAction\.{action.name}\b", code)] == []


def test_actions_are_named_alike_and_told_in_words():
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*", action) for action in EventAction)
    assert all(action.label[0].isupper() and not action.label.endswith(".") for action in EventAction)
    assert max(map(len, EventAction)) <= Event._meta.get_field("action").max_length


def test_what_was_not_performed_is_told(db):
    assert unperformed() == set(EventAction)


def test_no_call_site_writes_an_action_as_a_bare_string():
    found = {str(path): bare_actions(path.read_text(encoding="utf-8")) for path in product_files()}

    assert {path: texts for path, texts in found.items() if texts} == {}
    assert bare_actions('record("pbx.edited", detail={})') == ["pbx.edited"]


def test_every_action_is_in_the_one_group_that_it_names():
    assert all(action in action.group.actions for action in EventAction)
    assert sum(len(group.actions) for group in EventGroup) == len(EventAction)
    assert [group for group in EventGroup if not group.actions] == []


def test_an_action_without_words_or_group_cannot_be_written():
    for row in (("pbx.painted",), ("pbx.painted", "PBX painted")):
        with pytest.raises(TypeError):
            EventAction.__new_member__(EventAction, *row)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value", "label", "problem"),
    [
        ("PBX_PAINTED", "pbx.painted", "", "'' are no words"),
        ("PBX_PAINTED", "pbx.painted", "PBX painted.", "are no words"),
        ("PBX_PAINTED", "painted", "PBX painted", "is not subject.what-happened"),
        ("PBX_PAINTED", f"pbx.{'painted' * 6}", "PBX painted", "at most 40 characters"),
        ("PAINTED", "pbx.painted", "PBX painted", "its name does not say its stored value"),
    ],
)
def test_the_check_names_an_action_that_is_not_complete(name, value, label, problem):
    made: Any = SimpleNamespace(name=name, value=value, label=label)

    assert any(problem in found for found in problems_of_actions([made]))


def test_the_table_passes_its_checks():
    assert [found for found in run_checks() if found.id in ("audit.E001", "review.E001")] == []


def test_a_group_that_the_desk_has_not_decided_about_is_named_with_the_recipe(monkeypatch):
    monkeypatch.setattr(review_checks, "OFF_DESK_GROUPS", OFF_DESK_GROUPS - {EventGroup.FILTER})

    (found,) = run_checks()

    assert (found.id, "EventGroup.FILTER" in found.msg, RECIPE in found.hint) == ("review.E001", True, True)


def test_a_single_action_of_the_desk_is_of_a_group_that_is_not():
    assert [action for action in DESK_ACTIONS if action.group in DESK_GROUPS] == []
