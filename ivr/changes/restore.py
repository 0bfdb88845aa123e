"""Restoring what an event changed: a new planned change with the old values, never a way around the change path.

Also accepting an outside change: an event of its own, by the person who says that it may stay.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.db import transaction
from django.utils import timezone

from ivr.field_rules import rights_to_change
from ivr.forms import opened_now
from ivr.models import LEFT_SOMETHING, Change, Ivr
from ivr.open_outside_changes import outside_close_accepted
from pbxadmin.access.customer_rules import check_record
from pbxadmin.access.models import AnyUser
from pbxadmin.access.permissions import can, require
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.check import is_as_recorded
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.refusals import Outdated
from pbxadmin.yeastar.drivers import is_writable
from pbxadmin.yeastar.fields import BY_NAME
from pbxadmin.yeastar.readings import ADDRESSABLE, IvrSettings

from .opening import edit_plan, may_change, not_writable, read_live
from .plan import form_key_of

LONGEST_NOTE = 500


@dataclass(frozen=True)
class Restoration:
    """A restore of one event: what it left, what was before, what of that can be restored, and why not the rest.

    number: the number that the IVR answers to since the event.
    """

    event: Event
    number: str
    left: dict[str, str]
    before: dict[str, str]
    wanted: dict[str, str]
    kept_out: dict[str, str]


class NothingToRestore(Outdated):
    """What the event left cannot be restored."""

    kind = "nothing-to-restore"


class MovedSince(Outdated):
    """The IVR does not hold any more what the event left. moved: the fields, and what they hold now."""

    kind = "moved-since"

    def __init__(self, moved: Mapping[str, str | None]) -> None:
        super().__init__("Something else changed it since, so it is not offered. Edit the IVR instead.")
        self.moved = moved


def restoration_for(*, user: AnyUser, event: Event | None, pbx: Pbx) -> Restoration:
    """Return what a restore of this event would do, for who may change each of its fields.

    event: None for a change that left none. Raises PermissionDenied, NothingToRestore.
    """
    require(user, Action.EDIT_IVR, pbx.customer)
    back = restoration_of(event, pbx.version) if event else None
    if back is None:
        raise NothingToRestore("It left nothing that could be restored, or not all of its values are known.")
    for action in rights_to_change(back.wanted):
        require(user, action, pbx.customer)
    return back


def restoration_of(event: Event, version: str) -> Restoration | None:
    """Return what a restore of this event would do, or None.

    None when the event left nothing on the PBX, when not all of its values are known, or when none can be restored.
    """
    is_outcome = event.action in EventGroup.CHANGE_OUTCOME.actions and event.outcome in LEFT_SOMETHING
    said = event.data["fields"]
    if (
        not (is_outcome or event.action == EventAction.IVR_CHANGED_OUTSIDE)
        or not all_known(said)
        or not is_as_recorded(event)
    ):
        return None
    moved = [name for name in said if said[name]["before"] != said[name]["found"]]
    left, before = ({name: str(said[name][kind]) for name in moved} for kind in ("found", "before"))
    kept_out = {name: why for name in moved if (why := why_not_restored(name, before[name], version))}
    wanted = {name: text for name, text in before.items() if name not in kept_out}
    if not wanted:
        return None
    return Restoration(event, left.get("number", event.data["ivr_number"]), left, before, wanted, kept_out)


def left_something(user: AnyUser, change: Change, pbx: Pbx) -> bool:
    """Tell whether there is anything that this person may restore, by the event of the outcome of a change."""
    event = Event.objects.filter(pk=change.event_id).first() if change.event_id else None
    return event is not None and can_be_restored(user, event, pbx)


def can_be_restored(user: AnyUser, event: Event, pbx: Pbx) -> bool:
    """Tell whether to offer somebody a restore of an event: it left something, by the snapshot the IVR still holds
    it, and the person may change all of its fields.
    """
    back = restoration_of(event, pbx.version)
    row = Ivr.objects.filter(pbx_id=event.pbx_id or 0, number=back.number).first() if back else None
    return may_go_back(user, back, row, pbx)


def may_go_back(user: AnyUser, back: Restoration | None, row: Ivr | None, pbx: Pbx) -> bool:
    """Tell whether there is something that this person may restore, and the IVR still holds what the event left."""
    if back is None or row is None:
        return False
    return may_change(user, pbx.customer, back.wanted) and not moved_since_event(back, row.settings)


def all_known(said: Mapping[str, Mapping[str, str | None]]) -> bool:
    """Tell whether an event has each value before and after."""
    return all(each.get("before") is not None and each.get("found") is not None for each in said.values())


def why_not_restored(name: str, text: str, version: str) -> str:
    """Return why this value of a field cannot be restored, "" when it can."""
    field = BY_NAME[name]
    if not is_writable(name, version):
        return not_writable(version)
    return "" if field.fits(text) else "The PBX would not take this value from us."


def moved_since_event(back: Restoration, live: IvrSettings) -> dict[str, str | None]:
    """Return the fields that no longer hold what the event left, and what they hold."""
    return {name: live.values()[name] for name, text in back.left.items() if live.values()[name] != text}


def restore_look(*, pbx: Pbx, back: Restoration) -> IvrSettings:
    """Read the IVR now. Raises NothingToRestore when it is gone, MovedSince, PbxError when it cannot be read."""
    live = read_live(pbx, back.number)[0] if ADDRESSABLE.fullmatch(back.number) else None
    if live is None:
        raise NothingToRestore(f"IVR {back.number} is not on {pbx.name} any more.")
    if moved := moved_since_event(back, live):
        raise MovedSince(moved)
    return live


def restore_plan(*, pbx: Pbx, back: Restoration, form: str, actor: Actor, reason: str, ticket: str) -> Change:
    """Plan a change back to the old values, if the IVR still holds what the event left. Raises as `restore_look`.

    form: the id of the page, so that a second click gives the same plan and reads nothing.
    """
    reason, ticket = check_record(pbx.customer, reason, ticket)
    if planned := restored_by(back=back, form=form, reason=reason, ticket=ticket):
        return planned
    opened = opened_now(pbx, restore_look(pbx=pbx, back=back), timezone.now())
    opened = replace(opened, form=restore_form(back, form))
    return edit_plan(pbx=pbx, opened=opened, wanted=back.wanted, actor=actor, reason=reason, ticket=ticket)


def restore_form(back: Restoration, form: str) -> str:
    return f"restore {back.event.pk} {form[:40]}"


def restored_by(*, back: Restoration, form: str, reason: str, ticket: str) -> Change | None:
    """Return the plan that this page made already, so that a second click leads to it and reads nothing."""
    return Change.objects.filter(form_key=form_key_of(restore_form(back, form), back.wanted, reason, ticket)).first()


def acceptance_of(event: Event) -> Event | None:
    """Return the event by which somebody accepted an outside change, or None."""
    said = Event.objects.filter(
        action=EventAction.IVR_OUTSIDE_ACCEPTED, pbx_id=event.pbx_id, ivr_number=event.ivr_number, pk__gt=event.pk
    )
    return next((each for each in said.order_by("id") if each.data["detail"].get("event") == event.pk), None)


def require_to_accept(user: AnyUser, customer_id: int) -> None:
    """Raise PermissionDenied unless the person edits IVRs of this customer, or reviews its log."""
    if not can(user, Action.REVIEW_LOG, customer_id):
        require(user, Action.EDIT_IVR, customer_id)


def outside_accept(*, event: Event, note: str) -> bool:
    """Record that an outside change may stay. False when somebody did so already, or when it is no outside change.

    note: as it was typed.
    """
    said = event.data
    with transaction.atomic():
        if event.pbx_id is not None:  # lock: two people who accept at once leave one event
            list(Pbx.objects.select_for_update().filter(pk=event.pbx_id).values_list("pk"))
        if event.action not in EventGroup.OUTSIDE.actions or acceptance_of(event):
            return False
        acceptance = record(
            EventAction.IVR_OUTSIDE_ACCEPTED,
            customer=(said["customer_id"], said["customer_name"]),
            pbx=(said["pbx_id"], said["pbx_name"]),
            ivr=(said["ivr_number"], said["ivr_name"]),
            detail={"event": event.pk, "sentence": f"Accepted: {said['detail'].get('sentence', '')}"},
            reason=note.replace("\0", "").strip()[:LONGEST_NOTE],
        )
        outside_close_accepted(event, acceptance)
    return True
