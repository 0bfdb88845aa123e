"""What has to be confirmed before a planned change is sent: the risks of its fields, and what a renumbering breaks."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from ivr.field_rules import BY_HAND, risks_of
from ivr.models import Change, WayIn, WayKind
from ivr.ways import WaysShown, ways_shown
from pbxadmin.fleet.models import Pbx


@dataclass(frozen=True)
class Risks:
    """Sentences to confirm. breaks: each names a way in that leads to the old number; then that number is typed."""

    breaks: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        return [*self.breaks, *self.others]

    @property
    def digest(self) -> str:
        """Return a mark of what a person was shown, so that nobody confirms what was read since."""
        return hashlib.sha256("\n".join(self.sentences).encode()).hexdigest()[:16]


def change_risks(change: Change) -> Risks:
    """Return what has to be confirmed of a change; nothing for one that brings no risk."""
    risks = risks_of(change.base, change.wanted)
    pbx = Pbx.objects.filter(pk=change.pbx_id).first() if change.is_renumbering else None
    if pbx is None:
        return Risks(others=tuple(risks))
    lists = ways_shown(pbx, change.number)
    breaks = [way_breaks(change, way) for shown in lists for way in shown.ways if way.ivr_number]
    unseen = [f"{BY_HAND}{item}" for shown in lists for item in not_seen(shown, pbx.version)]
    return Risks(tuple(breaks), (*risks, *unseen))


def way_breaks(change: Change, way: WayIn) -> str:
    """Say what a renumbering does to a way in. The same way gives the same sentence."""
    when = f" {way.when}" if way.when else ""
    new = change.wanted["number"]
    return f"{way.title} leads to {change.number}{when} and would break. Lead it to {new} on the PBX."


def not_seen(shown: WaysShown, version: str) -> Iterator[str]:
    """Yield what a list does not say about the ways to the old number, so that a person has to look."""
    leading = f"{shown.title} that lead to the old number"
    if not shown.is_offered:
        yield f"{leading}: API {version} does not list them."
    elif shown.problem:
        yield f"{leading}: they could not be read. {shown.problem}"
    elif shown.read_at is None:
        yield f"{leading}: they were not read yet."
    elif shown.kind == WayKind.ROUTES:
        yield f"{leading} at some times, such as at night: this API does not show them."
    if shown.is_offered and shown.unclear:
        yield f"{shown.title} that PBX Admin did not understand: {shown.unclear}."
    for way in shown.ways:
        if not way.ivr_number:
            yield f"{way.title}: it leads to an IVR, and the PBX does not say to which."
