"""What changed on a PBX although we did not change it: found by a reading, told by the log, never with a person's name.

Called by whoever keeps snapshots, in the same transaction. A difference between a snapshot and a reading is ours, and
not told, as long as the last change of that field is being sent, is of unknown outcome or is looked at again; what it
came to is told by its own event. A field that is reported now and was not before, or the reverse, is no edit by
anybody: firmware and API versions differ in what they report.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db.models import Q

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import SYSTEM, AuditContext, acting
from pbxadmin.audit.log import record
from pbxadmin.fleet.lease import LONG_AGO
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.fields import BY_NAME

from .changes.compare import IvrValues
from .models import Change, Ivr
from .open_outside_changes import outside_note

IN_MOTION = (Change.Status.SENDING, Change.Status.UNKNOWN)
ONE_NUMBER = (Change.Status.VERIFIED, Change.Status.REFUSED)  # after these, a renumbered IVR has one number


LATE_LOOKS = 10  # changes of an IVR


@dataclass(frozen=True)
class Difference:
    """One IVR that a reading found different. before: the snapshot, None when there was none; found: None when gone."""

    pbx: Pbx
    number: str
    before: IvrValues | None
    found: IvrValues | None
    since: datetime
    until: datetime

    @property
    def action(self) -> EventAction:
        if self.before is None:
            return EventAction.IVR_APPEARED
        return EventAction.IVR_VANISHED if self.found is None else EventAction.IVR_CHANGED_OUTSIDE

    @property
    def name(self) -> str:
        return (self.found or self.before or {}).get("name") or ""


def outside_record(differences: Sequence[Difference]) -> None:
    """Record each difference that no change of ours explains, in the order in which the log's chains are locked."""
    if not differences:
        return
    changes = changes_that_may_explain(differences)
    gone = {(each.pbx.pk, each.number): each for each in differences if each.found is None}
    for each in sorted(differences, key=lambda each: (each.pbx.customer_id, each.pbx.pk)):
        ours = [change for change in changes if change.pbx_id == each.pbx.pk and is_behind(change, each, gone)]
        each = renumbered(each, ours, gone)
        fields = unexplained(each, ours, still_open(each, changes))
        if fields:
            record_outside(each, fields, asked_late(each, fields))


def record_moves_since(change: Change, found_at: datetime) -> None:
    """Record what moved between an outcome that is recorded late and a newer snapshot.

    Until now it was put down to the change.
    """
    row = Ivr.objects.filter(pbx_id=change.pbx_id, number=change.number_now).select_related("pbx__customer").first()
    if row is not None and change.found and row.read_at > found_at:
        now = row.settings.values()
        before = now | {name: change.found.get(name) for name in change.wanted}
        outside_record([Difference(row.pbx, row.number, before, now, found_at, row.read_at)])


def changes_that_may_explain(differences: Sequence[Difference]) -> list[Change]:
    """Return the changes in motion on these PBXs, and those that ended since their snapshots, the oldest first.

    However many changes there were before, they are not read: the snapshots hold what they came to.
    """
    pbx_ids, since = {each.pbx.pk for each in differences}, min(each.since for each in differences)
    of_pbxs = Change.objects.filter(pbx_id__in=pbx_ids).exclude(sent_at=None).order_by()
    ways = Q(status__in=IN_MOTION), Q(check_at__gt=LONG_AGO), Q(finished_at__gt=since)
    first, *others = (of_pbxs.filter(way) for way in ways)  # each by an index of its own
    found = {change.pk: change for change in first.union(*others, all=True)}
    return sorted(found.values(), key=lambda change: (change.finished_at or LONG_AGO, change.pk))


def is_in_motion(change: Change) -> bool:
    """Tell whether the outcome of a change is still to come, or may still become another."""
    return change.status in IN_MOTION or change.check_at is not None


def numbers_of(change: Change) -> set[str]:
    """Return the numbers under which the IVR of a change may be found."""
    return {change.number, change.wanted.get("number", change.number)}


def explains(change: Change, each: Difference) -> bool:
    """Tell whether a change of ours may be behind a difference.

    It may be when it is in motion, or has an outcome that no snapshot holds yet.
    """
    is_later = change.finished_at is not None and change.finished_at > each.since
    return each.number in numbers_of(change) and (is_in_motion(change) or is_later)


def is_behind(change: Change, each: Difference, gone: Mapping[tuple[int, str], Difference]) -> bool:
    """Tell whether a change of ours may be behind a difference, also by what became of the old number.

    An IVR that appeared under the new number of a renumbering is not ours when its old number was read since and was
    still there.
    """
    was = gone.get((change.pbx_id, change.number)) if each.before is None else None
    return explains(change, each) and (was is None or explains(change, was))


def renumbered(each: Difference, ours: Sequence[Change], gone: Mapping[tuple[int, str], Difference]) -> Difference:
    """Return the difference of a renumbered IVR from what it was under its old number. It did not just appear."""
    for change in ours:
        was = gone.get((change.pbx_id, change.number))
        if each.before is None and was and change.wanted.get("number") == each.number:
            return replace(each, before=was.before, since=was.since)
    return each


def still_open(each: Difference, changes: Sequence[Change]) -> set[str]:
    """Return the fields of which nobody knows what the last change that was sent came to. An earlier change is past."""
    ours = [change for change in changes if change.pbx_id == each.pbx.pk and each.number in numbers_of(change)]
    in_motion = [change for change in ours if is_in_motion(change)]
    if not in_motion:
        return set()
    last: dict[str, Change] = {}
    for change in sent_since(in_motion, each):
        if is_in_motion(change) or change.found:
            last |= dict.fromkeys(change.wanted, change)
    return {name for name, change in last.items() if is_in_motion(change)}


def sent_since(in_motion: Sequence[Change], each: Difference) -> list[Change]:
    """Return these and the settled changes of their IVR that were sent since the first of them, as they were sent."""
    first = min(change.sent_at for change in in_motion if change.sent_at)
    ended = Change.objects.filter(pbx_id=each.pbx.pk, finished_at__gte=first, sent_at__gte=first).order_by()
    settled = [change for change in ended if each.number in numbers_of(change) and not is_in_motion(change)]
    return sorted([*in_motion, *settled], key=attrgetter("sent_at"))


def unexplained(each: Difference, ours: Sequence[Change], is_open: Collection[str]) -> dict[str, dict[str, str | None]]:
    """Return the fields, before and found, that differ and not by our doing; all fields of an IVR that came or went."""
    if each.before is None or each.found is None:
        kind, values = ("found", each.found) if each.before is None else ("before", each.before)
        is_ours = any(brought(change, each) for change in ours)
        return {} if is_ours else {name: {kind: value} for name, value in (values or {}).items()}
    before = {**each.before}
    for change in ours:
        if change.found and not is_in_motion(change):
            before |= {name: change.found.get(name) for name in change.wanted}
    return {
        name: {"before": before[name], "found": value}
        for name, value in each.found.items()
        if name not in is_open and None not in (value, before[name]) and value != before[name]
    }


def brought(change: Change, each: Difference) -> bool:
    """Tell whether an IVR came or went by a renumbering of ours. One that is settled counts only as it ended."""
    if not change.is_renumbering:
        return False
    may_be_either = is_in_motion(change) or change.status not in ONE_NUMBER
    return may_be_either or (change.number_now == each.number) == (each.before is None)


def asked_late(each: Difference, fields: Mapping[str, Any]) -> Change | None:
    """Return the last change that asked for just these values and did not get them: a slow PBX, or somebody by hand.

    A plan expires, so the last one to be sent is among the last ones to be planned.
    """
    found = {name: said.get("found") for name, said in fields.items()}
    sent = Change.objects.filter(pbx_id=each.pbx.pk, number=each.number).exclude(sent_at=None)
    sent = sent.only("status", "check_at", "wanted", "finished_at")
    settled = [change for change in sent.order_by("-pk")[:LATE_LOOKS] if not is_in_motion(change)]
    change = max(settled, key=lambda change: (change.finished_at or LONG_AGO, change.pk), default=None)
    if change is None or change.status == Change.Status.VERIFIED:
        return None
    asked = {name: change.wanted[name] for name in found if name in change.wanted}
    return change if asked == found else None


def record_outside(each: Difference, fields: Mapping[str, Mapping[str, Any]], late: Change | None) -> None:
    """Record the event of a difference.

    late: a change that asked for just these values, to be named in a note.
    """
    detail: dict[str, Any] = {
        "sentence": outside_sentence(each, fields),
        "since": each.since.isoformat(timespec="seconds"),
        "until": each.until.isoformat(timespec="seconds"),
    }
    if late is not None:
        detail["note"] = f"These are the values that change {late.pk} asked for. It may have taken effect late."
    with acting(AuditContext()):  # neither the person whose page led to the reading, nor their address
        event = record(
            each.action,
            customer=(each.pbx.customer_id, each.pbx.customer.name),
            pbx=(each.pbx.pk, each.pbx.name),
            ivr=(each.number, each.name),
            fields=fields,
            detail=detail,
            actor=SYSTEM,
        )
    outside_note(event)


def outside_sentence(each: Difference, fields: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what changed outside and between which times."""
    words = {
        EventAction.IVR_APPEARED: "Appeared",
        EventAction.IVR_VANISHED: "Vanished",
        EventAction.IVR_CHANGED_OUTSIDE: "Changed",
    }[each.action]
    when = f"{words} outside PBX Admin, {between_times(each.since, each.until)}"
    if each.action != EventAction.IVR_CHANGED_OUTSIDE:
        return f"{when}."
    return f"{when}: {', '.join(field_moves(fields))}."


def field_moves(fields: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield each field with its value before and now, in words."""
    for name, said in fields.items():
        field = BY_NAME[name]
        yield f"{field.label} {field.in_words(said['before'])} → {field.in_words(said['found'])}"


def between_times(since: datetime, until: datetime) -> str:
    """Say "between 09:10 and 09:25 UTC", with days where they differ; "at 09:10 UTC" within one minute.

    The words are in the zone of `until`: UTC for what is recorded, that of the person for what is shown.
    """
    since = since.astimezone(until.tzinfo)
    form = "%H:%M" if since.date() == until.date() else "%Y-%m-%d %H:%M"
    if f"{since:{form}}" == f"{until:{form}}":
        return f"at {since:{form}} {until:%Z}"
    return f"between {since:{form}} and {until:{form}} {until:%Z}"
