"""Open an IVR to edit: read it live, and say which of its fields this person may change. For pages and the API."""

from collections.abc import Sequence

from ivr.field_rules import right_to_change, rights_to_change
from ivr.snapshots import snapshot_save
from pbxadmin.access.models import AnyUser
from pbxadmin.access.permissions import can
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


def status_of(error: PbxError | TooManyWaiting) -> int:
    """Return 503 when it may work later, 502 when the PBX answers and not as it should."""
    if isinstance(error, PbxBadAnswer):
        return 502
    return 503 if isinstance(error, PbxUnreachable | PbxHeldBack | PbxBusy | TooManyWaiting) else 502
