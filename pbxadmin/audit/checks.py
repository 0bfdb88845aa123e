"""System checks of the table of actions."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.checks import CheckMessage, Error

from .actions import EventAction
from .models import Event

VALUE = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*")
HINT = 'Follow the recipe "Add an event" in CONTRIBUTING.md.'


def check_actions(**_: Any) -> list[CheckMessage]:
    """Report every action whose name, stored value or words do not have the form that the log and its pages rely on."""
    return [Error(problem, hint=HINT, id="audit.E001") for problem in problems_of_actions(EventAction)]


def problems_of_actions(actions: Iterable[EventAction]) -> Iterator[str]:
    most = Event._meta.get_field("action").max_length or 0
    for action in actions:
        if not VALUE.fullmatch(action.value) or len(action.value) > most:
            yield f"{action.name}: {action.value!r} is not subject.what-happened, of at most {most} characters."
        if action.name != re.sub("[.-]", "_", action.value).upper():
            yield f"{action.name}: its name does not say its stored value, {action.value!r}."
        if not action.label[:1].isupper() or action.label.endswith("."):
            yield f"{action.name}: {action.label!r} are no words for it: begin with a capital, end without a full stop."
