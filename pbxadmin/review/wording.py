"""Events in words for a person."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from pbxadmin.access.roles import IN_WORDS
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.models import Event
from pbxadmin.web.words import PBX_STATES, number_of
from pbxadmin.yeastar.drivers import recorded_meaning
from pbxadmin.yeastar.fields import BY_NAME

IN_GIST = 2
MOST_NOTE = 80
WRITTEN = {"pbx": "PBX", "pbxs": "PBXs", "ivr": "IVR", "ivrs": "IVRs", "id": "ID"}  # words of the names of details
FIRST = ("user", "email", "role", "name", "event", "from", "to")
PROOFS = {
    "totp": "authenticator app",
    "webauthn": "security key",
    "recovery_codes": "recovery code",
    "sso": "single sign-on",
}
READ_BACK = ("verified", "not-as-asked", "refused")  # outcomes that say what the PBX holds


def changed_fields(event: Event) -> list[dict[str, Any]]:
    """Return before, asked and found of each field, in words for the fields of an IVR.

    differs: the PBX holds another value than was asked for, although it did not refuse.
    """
    outcome = event.data["outcome"]
    return [
        {
            "label": label_of(name),
            "name": name,
            "differs": outcome == "not-as-asked" and said.get("found") != said.get("asked"),
            **{kind: in_words(name, said, kind) for kind in ("before", "asked", "found")},
        }
        for name, said in ((name, as_known(said, outcome)) for name, said in event.data["fields"].items())
    ]


def as_known(said: dict[str, Any], outcome: str) -> dict[str, Any]:
    """Return the values without "found" when nothing was read back: that is not the same as not reported."""
    is_empty = said.get("found") is None and outcome not in READ_BACK
    return {kind: value for kind, value in said.items() if kind != "found"} if is_empty else said


def answered_code(event: Event) -> tuple[str, str] | None:
    """Return the code that the PBX answered and its meaning, or None."""
    answer = event.data["detail"].get("answer")
    code = str(answer.get("code") or "") if isinstance(answer, dict) else ""
    return (code, recorded_meaning(code, str(answer.get("words") or ""))) if code else None


def label_of(name: str) -> str:
    if name in BY_NAME:
        return BY_NAME[name].label
    words = [WRITTEN.get(word, word) for word in name.replace("_", " ").split()]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def in_words(name: str, said: dict[str, Any], kind: str) -> str:
    """Return a value in words; "" when it is not in the event. An IVR field without a value says "not reported"."""
    if kind not in said:
        return ""
    value = said[kind]
    if name in BY_NAME and (value is None or isinstance(value, str)):
        return BY_NAME[name].in_words(value)
    return "" if value is None else str(value)


def detail_lines(event: Event) -> list[tuple[str, str]]:
    """Return label and value of each detail that is not empty."""
    return [(label_of(name), said) for name, said in flat("", event.data["detail"])]


def importance(item: tuple[str, Any]) -> tuple[int, str]:
    """Return the sort key of a detail: people and things first, the rest by name, ids last."""
    key = item[0]
    place = FIRST.index(key) if key in FIRST else len(FIRST) + key.endswith("_id")
    return place, key


def flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield nested values one by one, named by their path: the code of an answer is "answer code"."""
    if isinstance(value, dict):
        for key, item in sorted(value.items(), key=importance):
            yield from flat(f"{name} {key}".strip(), item)
    elif isinstance(value, bool):
        yield name, "yes" if value else "no"
    elif value not in (None, "", []):
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def note_of(event: Event) -> list[tuple[str, str, str]]:
    """Return the note of an auditor as a part of a line, which says more than the ids beside it."""
    note = event.data["reason"]
    return [("", "", note if len(note) <= MOST_NOTE else f"{note[: MOST_NOTE - 1]}…")] if note else []


def denied_in_words(detail: Mapping[str, Any]) -> str:
    """Say what somebody was not allowed to do: "may not edit IVRs"."""
    words = {str(action): said for action, said in IN_WORDS.items()}.get(str(detail.get("action")))
    return f"may not {words}" if words else ""


def state_in_words(detail: Mapping[str, Any]) -> str:
    """Say from which state a PBX came to which: "Unreachable → Reachable"."""
    was, now = (PBX_STATES.get(str(detail.get(name))) for name in ("was", "state"))
    return f"{was.label} → {now.label}" if was and now else ""


def targets_in_words(detail: Mapping[str, Any]) -> str:
    """Say what became of the IVRs of a batch: "1 not as asked, 2 would change"."""
    targets = detail.get("targets")
    counts = targets.items() if isinstance(targets, dict) else ()
    return ", ".join(f"{count} {str(name).replace('-', ' ')}" for name, count in sorted(counts))


def export_in_words(detail: Mapping[str, Any]) -> str:
    """Say how much was exported, or in which form, and of which filter: "8 PBXs, customer 1"."""
    kinds = (("pbxs", "PBX"), ("ivrs", "IVR"), ("changes", "change"), ("count", "event"))
    said = [number_of(detail[name], thing) for name, thing in kinds if isinstance(detail.get(name), int)]
    if detail.get("format"):
        said.append(str(detail["format"]).upper())
    return ", ".join([*said, filter_in_words(str(detail.get("filter") or "")) or "no filter"]) if said else ""


def filter_in_words(query: str) -> str:
    """Say a filter as it stood in an address: "customer 1, from 2026-07-01"."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in parse_qsl(query))


def proofs_in_words(detail: Mapping[str, Any]) -> str:
    """Say how somebody proved who they are: "by password and authenticator app"."""
    by = detail.get("by") or []
    proofs = by if isinstance(by, list) else [by]
    return f"by {' and '.join(PROOFS.get(str(proof), str(proof)) for proof in proofs)}" if proofs else ""


def factor_in_words(detail: Mapping[str, Any]) -> str:
    """Say which second factor it was: "security key Blue"."""
    kind = str(detail.get("kind") or "")
    return f"{PROOFS.get(kind, kind)} {detail.get('name') or ''}".strip()


# Details that make a sentence, by the groups of actions that have them.
SENTENCES: Sequence[tuple[Collection[EventAction], Callable[[Mapping[str, Any]], str]]] = (
    ({EventAction.ACCESS_DENIED}, denied_in_words),
    ({EventAction.PBX_STATE_CHANGED}, state_in_words),
    (EventGroup.BATCH.actions, targets_in_words),
    (EventGroup.EXPORT.actions, export_in_words),
    ({EventAction.SESSION_SIGNED_IN, EventAction.SESSION_CONFIRMED}, proofs_in_words),
    ({EventAction.SECOND_FACTOR_ADDED, EventAction.SECOND_FACTOR_REMOVED}, factor_in_words),
)


def sentence_of(event: Event) -> str:
    """Return the details of an event as one sentence, "" when they are shown one by one."""
    detail = event.data["detail"]
    return next((said for actions, words in SENTENCES if event.action in actions and (said := words(detail))), "")


def gist(event: Event) -> tuple[list[tuple[str, str, str]], int]:
    """Return an event as one line: label, before and asked of the first fields, and how many more fields there are.

    An event that did not go well gives its reason instead, without the label that stands before it. One that changed no
    field gives its details. Fields of a person, or of their role, begin with the user name.
    """
    detail = event.data["detail"]
    why = detail.get("why") or detail.get("sentence")
    if why and event.data["outcome"] != "verified":
        return [("", "", str(why).removeprefix(event.label).lstrip(", :"))], 0
    said = [(field["label"], field["before"], field["asked"]) for field in changed_fields(event)]
    if said and detail.get("user"):
        said = [(label_of("user"), "", str(detail["user"])), *said]
    if not said and (sentence := sentence_of(event)):
        return [("", "", sentence), *note_of(event)], 0
    said = said or [*note_of(event), *((label, "", value) for label, value in detail_lines(event))]
    return said[:IN_GIST], max(len(said) - IN_GIST, 0)
