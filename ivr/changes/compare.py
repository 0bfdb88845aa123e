"""The two decisions of the change path, as pure functions: what to send, and what the outcome is.

IvrValues are canonical text by own field name; None is "not reported".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ivr.models import Change
from pbxadmin.yeastar.fields import BY_NAME

IvrValues = Mapping[str, str | None]
Status = Change.Status


@dataclass(frozen=True)
class Comparison:
    """Base, live and wanted, three ways. Names of fields.

    send: still as opened, so ours may go. conflicts: somebody changed the same field. already: live is as wanted.
    kept: somebody changed it and we did not ask for it.
    """

    send: tuple[str, ...]
    conflicts: tuple[str, ...]
    already: tuple[str, ...]
    kept: tuple[str, ...]


def compare(base: IvrValues, live: IvrValues, wanted: Mapping[str, str]) -> Comparison:
    """Compare what the form was opened with, what the PBX holds now, and what is wanted, field by field."""
    already = tuple(name for name in wanted if live.get(name) == wanted[name])
    moved = [name for name in base if live.get(name) != base[name]]
    return Comparison(
        send=tuple(name for name in wanted if name not in already and name not in moved),
        conflicts=tuple(name for name in wanted if name not in already and name in moved),
        already=already,
        kept=tuple(name for name in moved if name not in wanted),
    )


@dataclass(frozen=True)
class PbxAnswer:
    """What the PBX said to an update. `code` and `words` are empty when no usable answer came."""

    success: bool = False
    refused: bool = False
    code: str = ""
    words: str = ""


SUCCESS = PbxAnswer(success=True, words="Success")


@dataclass(frozen=True)
class Verdict:
    """The outcome of a change, by reading back. look_again: it may still be applied, so read once more in 30 s."""

    status: Change.Status
    sentence: str
    look_again: bool = False


def judge(pbx: str, before: IvrValues, asked: Mapping[str, str], found: IvrValues | None, answer: PbxAnswer) -> Verdict:
    """Decide the outcome, by what was read and not by what was answered: the table in docs/changes.md.

    asked: the fields that were sent. found: the IVR as read back, None when the PBX has no such IVR any more.
    """
    if found is None:
        gone = f"Not as asked. {pbx} has no IVR of that number any more."
        return Verdict(Status.NOT_AS_ASKED, gone, look_again=True)
    if all(found.get(name) == asked[name] for name in asked):
        return Verdict(Status.VERIFIED, verified_words(pbx, asked, answer) + others(pbx, before, asked, found))
    if any(found.get(name) != before.get(name) for name in asked):
        return Verdict(
            Status.NOT_AS_ASKED, f"Not as asked. {asked_and_found(asked, found)}" + others(pbx, before, asked, found)
        )
    silent, meanwhile = unreported(asked, found), others(pbx, before, asked, found)
    if answer.refused:
        return Verdict(Status.REFUSED, f"Refused by {pbx}: {answer.words} {silent or 'Nothing changed.'}{meanwhile}")
    said = f"{pbx} said Success" if answer.success else f"{pbx} gave no usable answer"
    what = f"{said}. {silent}" if silent else f"{said} but nothing changed."
    return Verdict(Status.NOT_AS_ASKED, f"Not as asked. {what}{meanwhile}", look_again=True)


def verified_words(pbx: str, asked: Mapping[str, str], answer: PbxAnswer) -> str:
    """Say what the PBX holds now, and that it answered otherwise if it did."""
    now = ", ".join(f"{BY_NAME[name].label.lower()} {BY_NAME[name].in_words(asked[name])}" for name in asked)
    if answer.refused:
        return f"Verified, although {pbx} refused it ({answer.code or 'no code'}). It was read back: {now}."
    if not answer.success:
        return f"Verified, although {pbx} gave no usable answer. It was read back: {now}."
    return f"{pbx} now has {now}."


def asked_and_found(asked: Mapping[str, str], found: IvrValues) -> str:
    """Say of each field that is not as asked what was asked and what was found."""
    return " ".join(
        f"{field.label}: asked {field.in_words(asked[name])}, found {field.in_words(found.get(name))}."
        for name, field in ((name, BY_NAME[name]) for name in asked)
        if found.get(name) != asked[name]
    )


def unreported(asked: Mapping[str, str], found: IvrValues) -> str:
    """Name the fields that the PBX does not report, "" when it reports all that were asked for."""
    labels = [BY_NAME[name].label for name in asked if found.get(name) is None]
    return f"It does not report {', '.join(labels)}, so that it cannot be proven." if labels else ""


def others(pbx: str, before: IvrValues, asked: Mapping[str, str], found: IvrValues) -> str:
    """Name the fields that somebody else changed between our re-read and our read-back, "" when nobody did.

    A field that was reported at one time only is no edit: what firmware reports differs.
    """
    untouched = [name for name in before if name not in asked and None not in (before[name], found.get(name))]
    moved: Sequence[str] = [name for name in untouched if found.get(name) != before[name]]
    if not moved:
        return ""
    said = ", ".join(f"{BY_NAME[name].label} {BY_NAME[name].in_words(found.get(name))}" for name in moved)
    return f" Meanwhile somebody else changed on {pbx}: {said}."
