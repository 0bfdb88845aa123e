"""Hear an IVR: the PBX rings an extension of its own and plays the IVR to whoever picks up.

It is no reading, for a phone rings. So it is asked for once and never again, of the known device only, under the lease,
and each attempt leaves an event.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.utils import timezone

from pbxadmin.access.models import User
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import PbxSession, open_pbx_session
from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.driver import CallKind
from pbxadmin.yeastar.errors import PbxError, PbxHeldBack, PbxNotSent, PbxRefused

from .models import Ivr, RingCall

MOST_IN_A_MINUTE = 5
MINUTE = timedelta(minutes=1)
RINGING = timedelta(seconds=10)  # for which a phone may ring, so that no second one does at the same PBX


class RungTooOften(Exception):
    """Raised when a person had phones ring too often within a minute. Nothing was sent; str() is for the person."""


class RingOutcome(StrEnum):
    RANG = "rang"
    REFUSED = "refused"
    NOT_SENT = "not-sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Rung:
    """What an attempt came to, with a sentence for the person."""

    outcome: RingOutcome
    sentence: str


def extension_of(person_id: int, pbx: Pbx) -> str:
    """Return the extension that this person had rung last at this PBX, "" for none."""
    calls = RingCall.objects.filter(person_id=person_id, pbx=pbx, rang_at__isnull=False).order_by("-pk")
    return calls.values_list("extension", flat=True).first() or ""


def can_ring(pbx: Pbx, number: str) -> bool:
    """Return whether the API of this PBX has a call that plays this IVR to an extension."""
    try:
        return pbx.driver.ring(number, "1") is not None
    except ValueError:
        return False


def ivr_ring(*, ivr: Ivr, extension: str, actor: Actor) -> Rung:
    """Have the PBX ring an extension and play an IVR. Return what it came to, after an event says so.

    extension: 1 to 7 digits. Raises RungTooOften and TooManyWaiting; then nothing was sent and there is no event.
    """
    call = ring_note(pbx=ivr.pbx, extension=extension, actor=actor)
    with_words = f"{actor.name} is having extension {extension} rung"
    try:
        with open_pbx_session(ivr.pbx, with_words) as pbx_session:
            rung = ring_once(pbx_session, call, ivr.number)
    except PbxError as error:
        rung = nothing_rings(str(error))
    record(
        EventAction.IVR_RUNG,
        customer=(ivr.pbx.customer_id, ivr.pbx.customer.name),
        pbx=(ivr.pbx.pk, ivr.pbx.name),
        ivr=(ivr.number, ivr.name or ""),
        outcome=rung.outcome.value,
        detail={"extension": extension, "sentence": rung.sentence},
    )
    return rung


def ring_note(*, pbx: Pbx, extension: str, actor: Actor) -> RingCall:
    """Count an attempt, before anything is sent, and remember the extension. Raises RungTooOften."""
    now = timezone.now()
    with transaction.atomic():
        list(User.objects.select_for_update().filter(pk=actor.id or 0).values_list("pk"))  # two at once count as two
        mine = RingCall.objects.filter(person_id=actor.id or 0)
        if mine.filter(asked_at__gt=now - MINUTE).count() >= MOST_IN_A_MINUTE:
            raise RungTooOften(f"A person can have {MOST_IN_A_MINUTE} calls a minute. Try again in a moment.")
        mine.filter(pbx=pbx, asked_at__lte=now - MINUTE, rang_at=None).delete()
        return RingCall.objects.create(person_id=actor.id or 0, pbx=pbx, extension=extension, asked_at=now)


def ring_once(pbx_session: PbxSession, call: RingCall, number: str) -> Rung:
    """Ring a phone in a session, unless one may be ringing already or the PBX has no such extension."""
    name, extension = pbx_session.pbx.name, call.extension
    if RingCall.objects.filter(pbx=call.pbx, rang_at__gt=timezone.now() - RINGING).exists():
        return nothing_rings(f"{name} is ringing a phone already. Try again in a few seconds.")
    known = extensions_of(pbx_session.client)
    if known is not None and extension not in known:
        return nothing_rings(f"{name} has no extension {extension}. Outside numbers are never called.")
    ring_is_on(call, timezone.now())
    rung = send_ring(pbx_session, number, extension)
    if rung.outcome in (RingOutcome.REFUSED, RingOutcome.NOT_SENT):
        ring_is_on(call, None)
    else:
        earlier = RingCall.objects.filter(person_id=call.person_id, pbx=call.pbx, asked_at__lte=call.asked_at - MINUTE)
        earlier.delete()
    return rung


def ring_is_on(call: RingCall, at: datetime | None) -> None:
    """Note since when a phone may ring; before the PBX is asked, for this process may die."""
    RingCall.objects.filter(pk=call.pk).update(rang_at=at)


def send_ring(pbx_session: PbxSession, number: str, extension: str) -> Rung:
    """Ask the PBX to ring, once, and return what that came to."""
    name = pbx_session.pbx.name
    try:
        pbx_session.client.ring(number, extension)
    except PbxNotSent as error:
        return nothing_rings(str(error))
    except PbxRefused as error:
        return Rung(RingOutcome.REFUSED, f"Nothing rings. {name} refused: {error}.")
    except PbxError as error:
        return Rung(RingOutcome.UNKNOWN, f"The phone may ring or not, and this is not tried again. {error}")
    return Rung(RingOutcome.RANG, f"{name} rings extension {extension}. Pick up to hear IVR {number}.")


def extensions_of(client: PbxClient) -> frozenset[str] | None:
    """Return the extensions of a PBX, None when neither its version nor its firmware lists them. Raises PbxError."""
    try:
        listed = client.query_list(CallKind.EXTENSIONS)
    except PbxRefused as error:
        if client.driver.is_other_version(error):
            return None
        raise PbxHeldBack(f"The extensions of the PBX could not be checked: {error}.") from None
    return listed.numbers if listed else None


def nothing_rings(why: str) -> Rung:
    return Rung(RingOutcome.NOT_SENT, f"Nothing rings. {why}")
