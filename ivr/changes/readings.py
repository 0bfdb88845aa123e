"""What a PBX holds of the IVR of a change: read before it is sent, and read back afterwards."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import DatabaseError

from ivr.models import Change, as_values
from ivr.snapshots import snapshot_save, snapshots_save
from pbxadmin.fleet.pbx_sessions import PbxSession
from pbxadmin.yeastar.errors import PbxBadAnswer, PbxError, PbxHeldBack, PbxNotFound
from pbxadmin.yeastar.readings import IvrSettings

from .compare import PbxAnswer, Status, Verdict, judge
from .preconditions import another_pbx

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """What the PBX holds: the IVR of a change, under its old number or its new one; for a renumbering also the rest."""

    ivr: IvrSettings | None
    numbers: frozenset[str] = field(default_factory=frozenset)


def read_for_change(change: Change, pbx_session: PbxSession, *, back: bool = False) -> Reading:
    """Read the IVR of a change and store it as a snapshot. A renumbering reads the whole list.

    back: look for the new number first. Raises PbxError, also when the PBX is not clear about this IVR; before a
    renumbering also about any other, which might have the new number.
    """
    if not change.is_renumbering:
        try:
            ivr = pbx_session.client.query_ivr(change.number)
        except PbxNotFound:
            return Reading(None)
        save_reading(pbx_session, [ivr])
        return Reading(ivr)
    ivrs = {ivr.number: ivr for ivr in pbx_session.client.query_ivrs()}
    save_reading(pbx_session, list(ivrs.values()), whole=True)
    old = ivrs.get(change.number)
    new = ivrs.get(change.wanted["number"]) if back else None
    named = old or new
    check_clear([named] if back and named else ivrs.values())
    return Reading(named, frozenset(ivrs))


def check_clear(ivrs: Iterable[IvrSettings]) -> None:
    """Raise PbxBadAnswer when one of these IVRs is flawed."""
    for flaw in (ivr.flaw for ivr in ivrs if ivr.flaw):
        raise PbxBadAnswer(flaw)


def save_reading(pbx_session: PbxSession, ivrs: Sequence[IvrSettings], *, whole: bool = False) -> None:
    """Store a reading. A failure to store it must not hide what was read: the outcome matters more."""
    try:
        if whole:
            snapshots_save(pbx_session, ivrs)
        else:
            snapshot_save(pbx_session, ivrs[0])
    except DatabaseError:
        log.exception("a reading of %s could not be stored", pbx_session.pbx.name)


def read_back(change: Change, pbx_session: PbxSession) -> Reading:
    """Read what a change that was sent came to.

    Raises PbxError, also when another device may answer than the one that it was sent to.
    """
    moved = another_pbx(change, pbx_session.pbx)
    if moved and not is_same_device(change, pbx_session):
        raise PbxHeldBack(moved)
    found = read_for_change(change, pbx_session, back=True)
    if pbx_session.client.is_unexpected_device:
        raise PbxHeldBack(f"Another device answers at the address of {pbx_session.pbx.name}.")
    return found


def is_same_device(change: Change, pbx_session: PbxSession) -> bool:
    """Tell whether the device at the new address proves by its serial number that the change was sent to it."""
    is_same_customer = change.customer_id == pbx_session.pbx.customer_id
    return is_same_customer and change.serial != "" and pbx_session.client.device_info().serial == change.serial


def verdict_of(change: Change, answer: PbxAnswer, found: Reading) -> Verdict:
    """Decide what a change that was sent came to, by what is read: just after sending, or whenever it can be read."""
    if change.is_renumbering and {change.number, change.wanted["number"]} <= found.numbers:
        both = f"{change.pbx_name} answers to both {change.number} and {change.wanted['number']}."
        return Verdict(Status.NOT_AS_ASKED, f"Not as asked. {both}")
    return judge(change.pbx_name, change.live or change.base, change.wanted, as_values(found.ivr), answer)


def unreadable(change: Change, answer: PbxAnswer, error: PbxError) -> Verdict:
    """Return the verdict of a change that was sent and cannot be read back."""
    sent = answer.words if answer.words and not answer.success else "It was sent."
    again = "It is checked again by itself; nothing is ever sent twice."
    why = f"{change.pbx_name} cannot be read back" + ("." if str(error) in sent else f": {error}")
    return Verdict(Status.UNKNOWN, f"{sent} {why} {again}")
