"""Sessions with a PBX: take its lease, respect its state, and afterwards record what was learned.

Nothing is sent to a PBX that rejected its credentials or locked us out, whoever asks: five wrong passwords lock our
address out for ten minutes, for every service behind it.
"""

import logging
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import SYSTEM, AuditContext, acting
from pbxadmin.audit.log import record
from pbxadmin.sealed import SealBroken, seal
from pbxadmin.yeastar.client import PAGE_S, Call, PbxClient
from pbxadmin.yeastar.driver import SIDE_LISTS, CallKind
from pbxadmin.yeastar.errors import (
    PbxError,
    PbxHeldBack,
    PbxLocked,
    PbxLoginRefused,
    PbxNotFound,
    PbxNotSent,
    PbxOtherApi,
    PbxOutcomeUnknown,
    PbxTokenRefused,
    PbxUntrusted,
)
from pbxadmin.yeastar.guard import allowed, check_port
from pbxadmin.yeastar.readings import DeviceInfo
from pbxadmin.yeastar.secret import Secret
from pbxadmin.yeastar.transport import Transport

from .concurrency import TooManyWaiting
from .contacts import contact_sample, contact_samples_save
from .lease import WAIT_S, LeaseHandle, leased
from .models import NEEDS_A_PERSON, ContactSample, Pbx, PbxState

log = logging.getLogger(__name__)

TOKEN_USE = timedelta(minutes=25)
LOCKOUT = timedelta(minutes=10)
REFUSED_LOGIN = (PbxState.CREDENTIALS_REJECTED, PbxState.LOCKED)
REJECTED = (
    "Refused ({}). Not tried again until its username, password, protocol, host or port is edited: "
    "five in a row lock our address out."
)
LOGOUT_S = 3.0
FAILURES_BEFORE_PAUSE = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30, 900


@dataclass(frozen=True)
class PbxSession:
    """Exclusive work with one PBX: its record as stored now, a client for it, and the lease on it."""

    pbx: Pbx
    client: PbxClient
    lease: LeaseHandle


@contextmanager
def open_pbx_session(
    pbx: Pbx,
    held_by: str,
    *,
    wait_s: float = WAIT_S,
    seconds: float = PAGE_S,
    insist: bool = False,
    claim_ends: datetime | None = None,
) -> Iterator[PbxSession]:
    """Hold a PBX and a client for it during the block; its state and token are recorded at the end.

    held_by: words for whoever has to wait, such as "Mara Lindqvist is editing IVR 6500".
    seconds: the budget for all calls together, the wait included.
    insist: a person asks for it now, so a pause after failures does not count.
    claim_ends: of the claim that this is done under. The lease ends with it, and no call lasts longer.
    Raises PbxHeldBack (PbxInUse) or TooManyWaiting when we may not try; inside the block, any PbxError of the calls.
    """
    if claim_ends:
        seconds = min(seconds, (claim_ends - timezone.now()).total_seconds())
    until = time.monotonic() + seconds
    check_allowed(pbx, insist=insist)
    with leased(pbx.pk, held_by, wait_s, claim_ends) as lease:
        pbx.refresh_from_db()  # the caller before us may have learned something
        check_allowed(pbx, insist=insist)
        client = client_or_state(pbx, until)
        try:
            yield PbxSession(pbx, client, lease)
        finally:
            client.transport.close()
            pbx_state_record(pbx, client)


def check_allowed(pbx: Pbx, *, insist: bool = False) -> None:
    """Raises PbxHeldBack with the reason when nothing may be sent to this PBX."""
    if not pbx.is_enabled:
        raise PbxHeldBack(f"{pbx.name} is disabled. Enable it to talk to it again.")
    if pbx.state == PbxState.CREDENTIALS_REJECTED:
        raise PbxHeldBack(f"{pbx.name} rejected its credentials. Nothing is sent until somebody edits them.")
    if pbx.is_locked and pbx.locked_until:
        raise PbxHeldBack(f"{pbx.name} is locked until {time_of_day(pbx.locked_until)}. Nothing is sent before that.")
    if pbx.is_paused and pbx.paused_until and not insist:
        raise PbxHeldBack(
            f"{pbx.name} is paused until {time_of_day(pbx.paused_until)}, after {pbx.failures} failures in a row."
            " Test the connection to try sooner."
        )
    if not pbx.password_digest:
        raise PbxHeldBack(f"{pbx.name} has no password yet. Edit the PBX and enter it.")


def time_of_day(at: datetime) -> str:
    return f"{at:%H:%M} UTC"


def client_for(pbx: Pbx, until: float) -> PbxClient:
    """Return a client for a PBX record; the caller holds the lease.

    Raises PbxUntrusted when trust is not set up, PbxHeldBack when the stored password does not open, and PbxForbidden
    for a port that PBX_PORTS does not name.
    """
    check_port(pbx.port, settings.PBX_PORTS)
    return PbxClient(
        transport=Transport(pbx.endpoint, pbx.trusted(), networks=allowed(settings.PBX_NETWORKS)),
        driver=pbx.driver,
        username=pbx.username,
        digest=stored_digest(pbx),
        token=stored_token(pbx),
        until=until,
        known_serial=pbx.serial,
        is_unexpected_device=bool(pbx.other_serial),
        report_port=settings.PBX_REPORT_PORT,
    )


def client_or_state(pbx: Pbx, until: float) -> PbxClient:
    """Return a client, as `client_for` does. A record that does not allow one gets the state that says why."""
    try:
        return client_for(pbx, until)
    except PbxError as error:
        learn(pbx, learned(pbx, error, timezone.now()))
        raise


def stored_digest(pbx: Pbx) -> Secret:
    try:
        return Secret(pbx.password_digest.open())
    except SealBroken as error:
        why = str(error)
    raise PbxHeldBack(f"The password of {pbx.name} does not open. {why}")


def stored_token(pbx: Pbx) -> Secret | None:
    if pbx.token and pbx.token_at and pbx.token_at > timezone.now() - TOKEN_USE:
        with suppress(SealBroken):  # then a new login gets another
            return Secret(pbx.token.open())
    return None


def token_give_back(pbx: Pbx) -> None:
    """Log out with the token of this record, which has no use any more.

    Best effort, within 3 s: not inside a transaction, nor while somebody else talks to the PBX or it does not answer.
    The PBX drops a token by itself after half an hour.
    """
    token = stored_token(pbx)
    if token is None or pbx.state != PbxState.REACHABLE or transaction.get_connection().in_atomic_block:
        return
    with suppress(PbxError, TooManyWaiting), leased(pbx.pk, "PBX Admin is signing out", wait_s=0):
        client = client_for(pbx, time.monotonic() + LOGOUT_S)
        try:
            client.logout()
        finally:
            client.transport.close()


def pbx_state_record(pbx: Pbx, client: PbxClient) -> None:
    """Save the state that the client's calls showed, who answered, and the token to use next."""
    pbx_states_record([(pbx, client)])


def pbx_states_record(contacts: Iterable[tuple[Pbx, PbxClient]]) -> None:
    """Record the result of several contacts with as few statements as possible: most PBXs of a refresh are alike.

    Call it outside a transaction: PBXs with news are recorded one by one, each with its event, so that no two callers
    wait for each other's chains.
    """
    now = timezone.now()
    alike: dict[tuple[Any, ...], tuple[dict[str, Any], list[Pbx]]] = {}
    samples: list[ContactSample] = []
    for pbx, client in contacts:
        last = telling_call(client)
        if last is None:
            continue
        columns = columns_of(pbx, client, now)
        samples.append(contact_sample(pbx, last, columns["state"], now))
        if has_begun_or_ended(pbx.state, columns["state"]):
            learn(pbx, columns)
            continue
        has_own = any(call.kind is CallKind.LOGIN for call in client.calls)  # a token, a serial number
        key = (pbx.revision, pbx.pk) if has_own else (pbx.revision, *columns.items())
        alike.setdefault(key, (columns, []))[1].append(pbx)
    with transaction.atomic():
        for columns, pbxs in alike.values():
            learn_alike(pbxs, columns)
        contact_samples_save(samples)


def refused_logins_save(contacts: Iterable[tuple[Pbx, PbxClient]]) -> None:
    """Save at least the refused logins, without events, after a failure of ours: they must not be repeated."""
    for pbx, client in contacts:
        if client.was_refused:
            learn_alike([pbx], learned(pbx, client.calls[-1].error, timezone.now(), CallKind.LOGIN))


def telling_call(client: PbxClient) -> Call | None:
    """Return the call that says how the PBX is, None for none: the last one that did not read a list beside the IVRs.

    Firmware that lacks such a list, or answers something else, serves everybody all the same.
    """
    return next((call for call in reversed(client.calls) if call.kind not in SIDE_LISTS), None)


def columns_of(pbx: Pbx, client: PbxClient, now: datetime) -> dict[str, Any]:
    last = telling_call(client)
    columns = learned(pbx, last.error if last else None, now, last.kind if last else None) | token_columns(pbx, client)
    return columns | identity_columns(pbx, client.device) if client.device else columns


def identity_columns(pbx: Pbx, device: DeviceInfo) -> dict[str, Any]:
    """Return the identity of the device as columns. An unexpected device is recorded once, and blocks writes."""
    found: dict[str, Any] = {"identity_at": timezone.now()}
    if not pbx.serial or device.serial in ("", pbx.serial):
        serial = device.serial or pbx.serial
        known = {"serial": serial, "model": device.model, "firmware": device.firmware, "clock": device.clock}
        return found | known | {"other_serial": ""}
    if pbx.other_serial != device.serial:
        names: dict[str, Any] = {"customer": (pbx.customer_id, pbx.customer.name), "pbx": (pbx.pk, pbx.name)}
        detail = {"known": pbx.serial, "found": device.serial, "model": device.model}
        record(EventAction.PBX_STRANGER, **names, detail=detail)
    return found | {"other_serial": device.serial}


def learn(pbx: Pbx, columns: dict[str, Any]) -> None:
    """Save what was learned, with the event of a state that began or ended.

    Nothing is saved when the connection was edited meanwhile: it is not true of the new connection. When the log does
    not take the event, the next contact finds it again; only refused logins are saved all the same.
    """
    was = pbx.state
    try:
        with transaction.atomic():
            if learn_alike([pbx], columns) and has_begun_or_ended(was, pbx.state):
                record_state(pbx, was)
    except DatabaseError:
        log.exception("the state of %s was not recorded", pbx.name)
        pbx.state = was
        if columns["state"] in REFUSED_LOGIN:  # who forgets it brings the lockout nearer
            learn_alike([pbx], columns)


def learn_alike(pbxs: Sequence[Pbx], columns: dict[str, Any]) -> bool:
    """Save the same columns for several PBXs, which have one revision. Return whether all of them were saved."""
    same = Pbx.objects.filter(pk__in=[pbx.pk for pbx in pbxs], revision=pbxs[0].revision)
    if same.update(**columns) != len(pbxs):
        return False
    for pbx in pbxs:
        for column, value in columns.items():
            setattr(pbx, column, value)
    return True


def has_begun_or_ended(was: str, state: str) -> bool:
    """Return whether a state that needs a person began or ended."""
    return was != state and not {was, state}.isdisjoint(NEEDS_A_PERSON)


def record_state(pbx: Pbx, was: str) -> None:
    """Record that the state of a PBX became another. Nobody did this, whoever's page led to the call."""
    with acting(AuditContext()):
        record(
            EventAction.PBX_STATE_CHANGED,
            customer=(pbx.customer_id, pbx.customer.name),
            pbx=(pbx.pk, pbx.name),
            detail={"was": was, "state": str(pbx.state), "why": pbx.state_reason},
            actor=SYSTEM,
        )


def token_columns(pbx: Pbx, client: PbxClient) -> dict[str, Any]:
    """Return the columns that store the token of this client, none when it is the stored one."""
    if client.token is None:
        return {"token": "", "token_at": None}
    if any(call.kind is CallKind.LOGIN for call in client.calls):
        seal(pbx, "token", client.token.reveal())
        return {"token": pbx.token, "token_at": timezone.now()}
    return {}


def learned(pbx: Pbx, error: PbxError | None, now: datetime, kind: CallKind | None = None) -> dict[str, Any]:
    """Return what an exchange that ended in this error says about the PBX, as columns. None is success.

    kind: of the exchange, None for an error before the first one.
    """
    state, reason = state_after(error, kind)
    found: dict[str, Any] = {"state": state, "state_reason": reason, "state_at": now}
    if state is PbxState.LOCKED:
        found["locked_until"] = now + LOCKOUT
    if state is not PbxState.UNREACHABLE and not isinstance(error, PbxNotSent):
        return found | {"last_contact_at": now, "failures": 0, "paused_until": None}
    if state is PbxState.UNREACHABLE:
        failures = pbx.failures + 1
        return found | {"failures": failures, "paused_until": pause_end(failures, now)}
    return found


def pause_end(failures: int, now: datetime) -> datetime | None:
    """Return the end of the circuit breaker's pause after so many failures, None for the first ones.

    The pause doubles from 30 s to 15 min, with some jitter.
    """
    if failures < FAILURES_BEFORE_PAUSE:
        return None
    seconds = min(FIRST_PAUSE_S * 2 ** min(failures - FAILURES_BEFORE_PAUSE, 10), LONGEST_PAUSE_S)
    return now + timedelta(seconds=seconds * random.uniform(0.8, 1.0))  # noqa: S311  (no secret)


def state_after(error: PbxError | None, kind: CallKind | None = None) -> tuple[PbxState, str]:
    """Return state and reason after a call of this kind that ended in this error.

    A PBX that refuses a login or a reading serves nobody. Refusing an update, or an IVR that it does not have, is an
    answer to that request alone.
    """
    if isinstance(error, PbxLocked):
        return PbxState.LOCKED, f"Too many wrong passwords came from our address ({error.code})."
    if isinstance(error, PbxTokenRefused):
        return PbxState.REFUSING, "The PBX refused its own new token."
    if isinstance(error, PbxLoginRefused):
        return PbxState.CREDENTIALS_REJECTED, REJECTED.format(error.code or "no code")
    if isinstance(error, PbxUntrusted):
        return PbxState.UNTRUSTED, str(error)
    if isinstance(error, PbxOtherApi):
        return PbxState.REFUSING, str(error)
    if isinstance(error, PbxNotSent | PbxOutcomeUnknown):
        return PbxState.UNREACHABLE, str(error)
    is_for_all = kind is CallKind.LOGIN or (kind is CallKind.READ and not isinstance(error, PbxNotFound))
    if error and is_for_all:
        return PbxState.REFUSING, f"{error}."
    return PbxState.REACHABLE, ""
