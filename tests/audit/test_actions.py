"""The table of actions and the code agree: what may be recorded is recorded somewhere, and told in words.

`unperformed` is for a test that performs every action: what is left when it thinks that it is done.
"""

import re
from pathlib import Path

from django.conf import settings

from pbxadmin.audit.actions import ACTIONS
from pbxadmin.audit.models import Event


def unperformed() -> set[str]:
    """Actions of which the log holds no event."""
    return ACTIONS.keys() - set(Event.objects.order_by().values_list("action", flat=True).distinct())


def product_code():
    for package in ("pbxadmin", "ivr"):
        for path in (Path(settings.BASE_DIR) / package).rglob("*.py"):
            if path.name not in ("actions.py", "kinds.py") and "migrations" not in path.parts:
                yield path.read_text(encoding="utf-8")


def test_every_action_is_recorded_somewhere():
    code = "\n".join(product_code())

    assert [action for action in ACTIONS if f'"{action}"' not in code] == []


def test_actions_are_named_alike_and_told_in_words():
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*", action) for action in ACTIONS)
    assert all(words[0].isupper() and not words.endswith(".") for words in ACTIONS.values())
    assert max(map(len, ACTIONS)) <= Event._meta.get_field("action").max_length


def test_what_was_not_performed_is_told(db):
    assert unperformed() == ACTIONS.keys()
