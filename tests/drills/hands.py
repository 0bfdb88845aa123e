"""Two hands for one edit of IVR 6500: a person's, over the pages, and a script's, over the API.

Both plan and apply, and tell what they were told. A drill that is done by both shows that they are told the same.
"""

from typing import Any, NamedTuple, Protocol

from django.test import Client

from ivr.models import Change
from pbxadmin.access.models import User
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.fields import BY_NAME, Kind
from tests.api.conftest import Script
from tests.drills.edits import confirmed, planned, text_of


class Answer(NamedTuple):
    """What came back: the status, the outcome if it came to one, and everything that was said."""

    status: int
    outcome: str
    text: str


class Hand(Protocol):
    """Somebody who edits."""

    def plan(self, pbx: Pbx, **changed: str) -> Change:
        """Plan to change these fields."""

    def apply(self, change: Change, *, confirms: bool = True) -> Answer:
        """Apply a planned change; confirm its risks unless told otherwise."""

    def receipt(self, change: Change) -> str:
        """Read the receipt."""

    def shows(self, path: str) -> bool:
        """Return whether this is shown. Pages and operations of the same have the same path."""


class PageHand:
    def __init__(self, client: Client) -> None:
        self.client = client

    def plan(self, pbx: Pbx, **changed: str) -> Change:
        return planned(self.client, pbx, **changed)

    def apply(self, change: Change, *, confirms: bool = True) -> Answer:
        form = confirmed(self.client, change) if confirms else {}
        answer = self.client.post(f"{change.get_absolute_url()}apply/", form, follow=True)
        page = answer.content.decode()
        outcome = page.partition('data-outcome="')[2].partition('"')[0]
        return Answer(answer.status_code, outcome, text_of(page))

    def receipt(self, change: Change) -> str:
        return self.client.get(f"{change.get_absolute_url()}receipt.txt").content.decode()

    def shows(self, path: str) -> bool:
        return self.client.get(f"{path}/").status_code == 200


class ApiHand:
    def __init__(self, script: Script) -> None:
        self.script = script

    def plan(self, pbx: Pbx, **changed: str) -> Change:
        values = {name: typed(name, text) for name, text in changed.items()}
        answer = self.script.post(f"/pbxs/{pbx.pk}/ivrs/6500/changes", {"values": values})
        assert answer.status_code == 201, answer.content.decode()
        return Change.objects.get(pk=answer.json()["id"])

    def apply(self, change: Change, *, confirms: bool = True) -> Answer:
        plan = self.script.get(f"/changes/{change.pk}").json()
        form = {"confirm": plan["confirm_with"]} if confirms else {}
        if confirms and plan["type_number"]:
            form["typed"] = change.number
        answer = self.script.post(f"/changes/{change.pk}/apply", form)
        said = answer.json()
        outcome = "conflict" if said.get("type", "").endswith("/conflict") else said.get("outcome", "")
        words = [said.get("sentence", ""), said.get("detail", ""), *said.get("risks", [])]
        return Answer(answer.status_code, outcome, " ".join(filter(None, words)))

    def receipt(self, change: Change) -> str:
        answer: str = self.script.get(f"/changes/{change.pk}/receipt").content.decode()
        return answer

    def shows(self, path: str) -> bool:
        return bool(self.script.get(path).status_code == 200)


def hand_of(kind: str, client: Client, person: User) -> Hand:
    """The person over the pages, for "page", or over the API with a key of theirs. client: signed in as they."""
    return PageHand(client) if kind == "page" else ApiHand(Script(person))


def typed(name: str, text: str) -> Any:
    """A value as JSON has it: a count is a number, a switch true or false."""
    kind = BY_NAME[name].kind
    return int(text) if kind is Kind.COUNT else text == "on" if kind is Kind.SWITCH else text
