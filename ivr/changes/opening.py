"""What comes before a plan, for pages and the API: an IVR is read live, and rights are asked for."""

from collections.abc import Mapping, Sequence

from ivr.field_rules import right_to_change, rights_to_change
from ivr.models import Change
from ivr.snapshots import snapshot_save
from ivr.ways import ways_look
from pbxadmin.access.models import AnyUser, Customer
from pbxadmin.access.permissions import can, require
from pbxadmin.audit.context import current
from pbxadmin.fleet.concurrency import TooManyWaiting
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import open_pbx_session
from pbxadmin.yeastar.drivers import writable_fields
from pbxadmin.yeastar.errors import PbxBadAnswer, PbxBusy, PbxError, PbxHeldBack, PbxNotFound, PbxUnreachable
from pbxadmin.yeastar.fields import IvrField
from pbxadmin.yeastar.readings import IvrSettings


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


def look_before_renumbering(pbx: Pbx, number: str, wanted: Mapping[str, str]) -> None:
    """Read what leads to an IVR before a plan that gives it another number."""
    if "number" in wanted:
        ways_look(pbx=pbx, held_by=f"{current().actor.name} is planning to renumber IVR {number}")


def status_of(error: PbxError | TooManyWaiting) -> int:
    """Return 503 when it may work later, 502 when the PBX answers and not as it should."""
    if isinstance(error, PbxBadAnswer):
        return 502
    return 503 if isinstance(error, PbxUnreachable | PbxHeldBack | PbxBusy | TooManyWaiting) else 502
