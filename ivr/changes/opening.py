"""What comes before a plan, for pages and the API: an IVR is read live, and rights are asked for."""

from collections.abc import Iterable, Mapping, Sequence

from django.core.exceptions import PermissionDenied, ValidationError

from ivr.field_rules import right_to_change, rights_to_change
from ivr.models import Change
from ivr.snapshots import snapshot_save
from ivr.ways import ways_look
from pbxadmin.access.models import AnyUser, Customer
from pbxadmin.access.permissions import can, require
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor, current
from pbxadmin.audit.log import record
from pbxadmin.fleet.concurrency import TooManyWaiting
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import open_pbx_session
from pbxadmin.yeastar.drivers import is_writable, writable_fields
from pbxadmin.yeastar.errors import PbxBadAnswer, PbxBusy, PbxError, PbxHeldBack, PbxNotFound, PbxUnreachable
from pbxadmin.yeastar.fields import IvrField
from pbxadmin.yeastar.readings import IvrSettings

from .plan import Opened, change_plan, conflict_with_newer_reading


def read_live(pbx: Pbx, number: str) -> tuple[IvrSettings | None, Sequence[IvrSettings]]:
    """Read an IVR and store its snapshot. When it is not there, return None and all IVRs that are. Raises PbxError."""
    with open_pbx_session(pbx, f"{current().actor.name} is opening IVR {number}") as pbx_session:
        try:
            live = pbx_session.client.query_ivr(number)
        except PbxNotFound:
            return None, pbx_session.client.query_ivrs()
        snapshot_save(pbx_session, live)
        return live, ()


def allowed_settings(user: AnyUser, pbx: Pbx) -> list[IvrField]:
    """Return the fields that this version of the API writes and this person may change."""
    writable = writable_fields(pbx.version)
    rights = {right for right in rights_to_change(field.name for field in writable) if can(user, right, pbx.customer)}
    return [field for field in writable if right_to_change(field.name) in rights]


def require_rights(user: AnyUser, change: Change) -> None:
    """Raise PermissionDenied for who may not edit, or may not change one of the fields of a change."""
    customer = Customer.objects.get(pk=change.customer_id)
    for action in rights_to_change(change.wanted):
        require(user, action, customer)


def may_change(user: AnyUser, customer: Customer | None, names: Iterable[str]) -> bool:
    """Tell whether this person may change each of these fields: what `require_rights` asks, without an event."""
    return all(can(user, action, customer) for action in rights_to_change(names))


def fields_refuse(*, user: AnyUser, pbx: Pbx, ivr: tuple[str, str], names: Iterable[str]) -> None:
    """Refuse fields that this person may not change, or this version of the API does not write; the log says which.

    ivr: number and name. Raises PermissionDenied for the former, ValidationError by field for the latter.
    """
    names = tuple(names)
    denied = next((name for name in names if not can(user, right_to_change(name), pbx.customer)), "")
    locked = {name: [not_writable(pbx.version)] for name in names if not is_writable(name, pbx.version)}
    if not (denied or locked):
        return
    field = denied or next(iter(locked))
    detail = {"action": right_to_change(field).value, "field": field}
    if not denied:
        detail["sentence"] = not_writable(pbx.version)
    customer = (pbx.customer_id, pbx.customer.name)
    record(EventAction.ACCESS_DENIED, customer=customer, pbx=(pbx.pk, pbx.name), ivr=ivr, detail=detail)
    if denied:
        raise PermissionDenied
    raise ValidationError(locked)


def not_writable(version: str) -> str:
    return f"API {version} cannot change it."


def edit_plan(
    *, pbx: Pbx, opened: Opened, wanted: Mapping[str, str], actor: Actor, reason: str = "", ticket: str = ""
) -> Change:
    """Plan an edit, or a restore, of one IVR. One that clashes with a newer reading is a conflict at once.

    What leads to an IVR is read before a plan that gives it another number. Raises as `change_plan`.
    """
    if "number" in wanted:
        ways_look(pbx=pbx, held_by=f"{actor.name} is planning to renumber IVR {opened.number}")
    change = change_plan(pbx=pbx, opened=opened, wanted=wanted, actor=actor, reason=reason, ticket=ticket)
    conflict_with_newer_reading(change, opened)
    return change


def nothing_differs(pbx: Pbx) -> str:
    return f"Nothing differs from what {pbx.name} holds. No change was made."


def status_of(error: PbxError | TooManyWaiting) -> int:
    """Return 503 when it may work later, 502 when the PBX answers and not as it should."""
    if isinstance(error, PbxBadAnswer):
        return 502
    return 503 if isinstance(error, PbxUnreachable | PbxHeldBack | PbxBusy | TooManyWaiting) else 502
