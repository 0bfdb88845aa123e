"""Use cases of PBX records. Each writes its audit event in the same transaction."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django.dispatch import Signal
from django.utils import timezone

from pbxadmin.access.models import Customer, as_named
from pbxadmin.access.names import saving_a_name
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.sealed import SealBroken, seal
from pbxadmin.yeastar.transport import TrustMode

from .inputs import TAG_COMMA
from .lease import LONG_AGO
from .models import Lease, Pbx, PbxState, PbxTag
from .pbx_sessions import token_give_back
from .record_fields import CONNECTION_FIELDS, LOGIN_FIELDS, UNCHECKED_COLUMNS

# Sent in the transaction of an edit. pbx: as it is now. names: of the record fields that it changed.
pbx_edited = Signal()
NO_TOKEN: Mapping[str, Any] = {"token": "", "token_at": None}


def pbx_create(*, customer: Customer, values: Mapping[str, Any], password: str) -> Pbx:
    """Store a new PBX record. values: by name of the record field. Of the password only the sealed digest is stored."""
    pbx = Pbx(customer=customer, **columns_of_values(values))
    with saving_a_name(partial(check_entered, pbx)):
        pbx.clean_fields(exclude=UNCHECKED_COLUMNS)
        pbx.save()
        Lease.objects.create(pbx=pbx, until=LONG_AGO)
        tags_store(pbx, values.get("tags", ""))
        password_keep(pbx, password)
        pbx.save(update_fields=["password_digest", "password_set_at"])
        words_keep(pbx)
        asked = {name: {"asked": str(value)} for name, value in values.items() if value not in ("", None)}
        pbx_event(EventAction.PBX_ADDED, pbx, fields=asked | {"password": {"asked": "set"}})
    return pbx


def pbx_edit(*, pbx: Pbx, values: Mapping[str, Any], password: str = "") -> bool:
    """Change a PBX record. Return False when nothing differs. An empty password keeps the stored one.

    A change of the connection drops the token and what was learned. A refused login stays refused until the user
    name, the password or the address is changed.
    """
    before = Pbx.objects.get(pk=pbx.pk)
    changed = {name: value for name, value in values.items() if getattr(before, name) != value}
    if not changed and not password:
        return False
    columns = columns_of_values(changed)
    learned = columns_to_forget(before, {*changed, "password"} if password else changed.keys())
    for name, value in {**columns, **learned}.items():
        setattr(pbx, name, value)
    fields = {name: {"before": str(getattr(before, name)), "asked": str(value)} for name, value in changed.items()}
    with saving_a_name(partial(check_entered, pbx)):
        if password:
            password_keep(pbx, password)
            fields["password"] = {"asked": "changed"}
        pbx.clean_fields(exclude=UNCHECKED_COLUMNS)
        kept = ["password_digest", "password_set_at"] if password else []
        if "tags" in changed:
            tags_store(pbx, changed["tags"])
        pbx.save(update_fields=[*columns, *learned, *kept])
        words_keep(pbx)
        if learned:
            Pbx.objects.filter(pk=pbx.pk).update(revision=F("revision") + 1)
        pbx_event(EventAction.PBX_EDITED, pbx, fields=fields)
        pbx_edited.send(Pbx, pbx=pbx, names=changed.keys())
    if "token" in learned:
        token_give_back(before)
    return True


def columns_of_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are stored in columns of the PBX: all but its tags."""
    return {name: value for name, value in values.items() if name != "tags"}


def tags_store(pbx: Pbx, tags: str) -> None:
    """Give a PBX these tags and no others. tags: in one line, as clean_tags returns them."""
    wanted = [name for name in tags.split(TAG_COMMA) if name]
    pbx.tag_rows.exclude(name__in=wanted).delete()
    PbxTag.objects.bulk_create([PbxTag(pbx=pbx, name=name) for name in wanted], ignore_conflicts=True)
    pbx.tags_read = None


def words_keep(pbx: Pbx) -> None:
    """Store what a search finds, from the row as it is now: somebody may have edited another field meanwhile."""
    Pbx.objects.select_for_update().get(pk=pbx.pk).save(update_fields=["words"])


def columns_to_forget(before: Pbx, edited: Collection[str]) -> dict[str, Any]:
    """Return the columns that an edit makes worthless, with their empty values. edited: names of record fields."""
    if CONNECTION_FIELDS.isdisjoint(edited):
        return {}
    forgotten: dict[str, Any] = {**NO_TOKEN}
    if before.state != PbxState.CREDENTIALS_REJECTED or not LOGIN_FIELDS.isdisjoint(edited):
        forgotten |= {"state": PbxState.NEVER_CHECKED, "state_reason": "", "state_at": None}
        forgotten |= {"failures": 0, "paused_until": None}
    if "host" in edited or "port" in edited:
        forgotten["locked_until"] = None
    return forgotten


def check_entered(pbx: Pbx) -> None:
    """Raise ValidationError for a wrong value. Called only after the database refused one, to say which."""
    pbx.full_clean(exclude=UNCHECKED_COLUMNS)


def password_keep(pbx: Pbx, password: str) -> None:
    seal(pbx, "password_digest", pbx.driver.digest(password))
    pbx.password_set_at = timezone.now()


def was_rejected(pbx: Pbx, password: str) -> bool:
    """Tell whether the PBX refused this very password. False for any other, so that nobody can guess the stored one."""
    if pbx.state != PbxState.CREDENTIALS_REJECTED:
        return False
    try:
        return bool(pbx.password_digest.open() == pbx.driver.digest(password))
    except SealBroken:
        return False


def pbx_pin(*, pbx: Pbx, fingerprint: str, reason: str = "") -> None:
    """Trust exactly this certificate from now on. fingerprint: 64 lower-case hex digits that a person compared.

    reason: why another certificate is right now, when one was pinned before.
    """
    with transaction.atomic():
        before = pbx.fingerprint
        pbx_edit(pbx=pbx, values={"trust": TrustMode.PIN.value, "fingerprint": fingerprint})
        fields = {"fingerprint": {"before": before, "asked": fingerprint}}
        pbx_event(EventAction.PBX_PINNED, pbx, fields=fields, reason=reason)


def pbx_accept_replacement(*, pbx: Pbx, reason: str) -> None:
    """Accept the device that answers now as this PBX, and forget what was read from the one before."""
    with transaction.atomic():
        fields = {"serial": {"before": pbx.serial, "asked": pbx.other_serial}}
        mine = Pbx.objects.filter(pk=pbx.pk, other_serial=pbx.other_serial).exclude(other_serial="")
        known = {
            "serial": pbx.other_serial,
            "other_serial": "",
            "model": "",
            "firmware": "",
            "clock": "",
            "capability": "",
        }
        # Sessions that are open now still take it for an unexpected device: a new revision keeps them from saying so.
        if mine.update(**known, read_at=None, next_refresh_at=None, revision=F("revision") + 1):
            pbx_event(EventAction.PBX_REPLACED, pbx, fields=fields, reason=reason)


def pbx_switch(*, pbx: Pbx, enabled: bool) -> None:
    """Disable a PBX, after which nothing is sent to it, or enable it again."""
    columns: dict[str, Any] = {"is_enabled": enabled}
    if not enabled:
        token_give_back(pbx)
        columns |= NO_TOKEN
    with transaction.atomic():
        if Pbx.objects.filter(pk=pbx.pk, is_enabled=not enabled).update(**columns):
            pbx_event(EventAction.PBX_ENABLED if enabled else EventAction.PBX_DISABLED, pbx)
    pbx.is_enabled = enabled


def pbx_delete(*, pbx: Pbx) -> None:
    """Remove the record, its secrets and its snapshots. Its changes and events keep their names and stay readable."""
    token_give_back(pbx)
    with transaction.atomic():
        # Before the log, and in the order in which readings are saved: no deadlock.
        list(Lease.objects.select_for_update().filter(pbx=pbx))
        Pbx.objects.select_for_update().get(pk=pbx.pk)
        pbx_event(EventAction.PBX_DELETED, pbx)
        pbx.delete()


def export_record(count: int, query: str, customer: Customer | None) -> None:
    """Record an export of so many PBX records. query: the filter, as in the address of the list."""
    record(EventAction.PBXS_EXPORTED, customer=as_named(customer), detail={"pbxs": count, "filter": query})


def pbx_event(action: EventAction, pbx: Pbx, **more: Any) -> None:
    record(action, customer=(pbx.customer_id, pbx.customer.name), pbx=(pbx.pk, pbx.name), **more)
