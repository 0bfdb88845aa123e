"""Plan a change: store what a person asks for, with the values that they saw. Nothing is sent from here."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from ivr.models import Change, Ivr
from pbxadmin.access.customer_rules import check_record
from pbxadmin.audit.context import Actor
from pbxadmin.fleet.models import Pbx

from .compare import IvrValues, Status, Verdict, compare
from .settle import Ending, change_claim, settle


@dataclass(frozen=True)
class Opened:
    """The form as it was opened: which IVR of which device, every value as read then, and the form's own id."""

    pbx_id: int
    address: str
    serial: str
    number: str
    values: dict[str, str | None]
    read_at: datetime
    form: str


def change_plan(
    *,
    pbx: Pbx,
    opened: Opened,
    wanted: Mapping[str, str],
    actor: Actor,
    reason: str = "",
    ticket: str = "",
    batch_id: int | None = None,
) -> Change:
    """Store a planned change; nothing is sent. The same form with the same values gives the same change.

    wanted: canonical text by own field name, only fields that differ from the form as it was opened.
    batch_id: of the batch that the change belongs to.
    Raises ValidationError for "reason" and "ticket" when they are not what the customer asks for.
    """
    reason, ticket = check_record(pbx.customer, reason, ticket)
    change, _ = Change.objects.get_or_create(
        form_key=form_key_of(opened.form, wanted, reason, ticket),
        defaults={
            "customer_id": pbx.customer_id,
            "customer_name": pbx.customer.name,
            "pbx_id": pbx.pk,
            "pbx_name": pbx.name,
            "api_version": pbx.api_version,
            "address": opened.address,
            "serial": opened.serial,
            "number": opened.number,
            "name": opened.values.get("name") or "",
            "base": opened.values,
            "wanted": dict(wanted),
            "reason": reason,
            "ticket": ticket,
            "batch_id": batch_id,
            "planned_by_id": actor.id or 0,
            "planned_by_name": actor.name,
        },
    )
    return change


def form_key_of(form: str, wanted: Mapping[str, str], reason: str, ticket: str) -> str:
    """Return what tells a form with these values from any other. form: its own id."""
    asked = json.dumps([form, dict(wanted), reason, ticket], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def conflict_with_newer_reading(change: Change, opened: Opened) -> None:
    """End a plan when a reading that is newer than its form clashes with what is wanted."""
    newer = Ivr.objects.filter(pbx_id=opened.pbx_id, number=opened.number, read_at__gt=opened.read_at).first()
    values = newer.settings.values() if newer else None
    if values and compare(opened.values, values, change.wanted).conflicts:
        change_conflict(change, values)


def change_conflict(change: Change, live: IvrValues) -> None:
    """End a plan that clashes with what was read since its form was opened. Nothing was sent."""
    if change.status == Status.PLANNED and change_claim(change, Status.PLANNED):
        change.live = dict(live)
        settle(change, Ending(Verdict(Status.CONFLICT, "Changed since you opened it. Nothing was sent.")))


def change_resolve(*, change: Change, yours: Collection[str], actor: Actor) -> Change | None:
    """Plan again after a conflict, against what the PBX held then. Return None when nothing is left to change.

    yours: fields in conflict for which the person keeps their own value; the others stay as they are on the PBX.
    """
    live: dict[str, str | None] = dict(change.live or {})
    conflicts = compare(change.base, live, change.wanted).conflicts
    still_wanted = {name: text for name, text in change.wanted.items() if name not in conflicts or name in yours}
    wanted = {name: text for name, text in still_wanted.items() if live.get(name) != text}
    pbx = Pbx.objects.select_related("customer").get(pk=change.pbx_id)
    if not wanted:
        return None
    target = (change.pbx_id, change.address, change.serial, change.number)
    opened = Opened(*target, live, timezone.now(), f"conflict {change.pk}")
    return change_plan(pbx=pbx, opened=opened, wanted=wanted, actor=actor, reason=change.reason, ticket=change.ticket)
