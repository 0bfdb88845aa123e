"""What must hold before a change is sent. Each function returns why it does not, in words for the person."""

from ivr.models import Change
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import PbxSession
from pbxadmin.yeastar.drivers import is_writable
from pbxadmin.yeastar.fields import BY_NAME

from .compare import Comparison, Status, Verdict

SEND_BUDGET_S = 10.0  # with less than this left, a send could not be read back within the page's time


def not_sent(why: str, advice: str = "") -> Verdict:
    """Return the verdict of a change of which nothing left us. Both texts are sentences."""
    return Verdict(Status.NOT_SENT, " ".join(filter(None, [why, "Nothing was sent.", advice])))


def too_slow(pbx_session: PbxSession) -> Verdict:
    """Return the verdict of a change that could not be sent and read back in the time that is left."""
    return not_sent(f"{pbx_session.pbx.name} took too long to be read first.")


def another_pbx(change: Change, pbx: Pbx) -> str:
    """Return why the record may stand for another PBX than the change was planned for, "" when it does not."""
    if change.customer_id != pbx.customer_id:
        return f"{pbx.name} was moved to another customer after this change was planned."
    if change.address and change.address != pbx.endpoint.base:
        return f"The address of {pbx.name} was edited after this change was planned."
    if change.serial and change.serial not in (pbx.serial, pbx.other_serial):
        return f"Another device was accepted as {pbx.name} after this change was planned."
    return ""


def another_change(change: Change, pbx: Pbx) -> str:
    """Return why the same PBX would get another change than was planned, "" when it would not."""
    if not change.address:
        return "An older version of PBX Admin planned this change and did not keep for which address."
    if change.api_version != pbx.api_version:
        return f"The API version of {pbx.name} was edited after this change was planned."
    return ""


def why_not_send(change: Change, pbx_session: PbxSession, comparison: Comparison) -> Verdict | None:
    """Return the verdict when there is nothing to send or we must not; None when the send may go ahead.

    comparison: of the change with what the PBX holds now. A renumbering has more of them (renumbering.py).
    """
    name, version = pbx_session.pbx.name, pbx_session.pbx.version
    if comparison.conflicts:
        return Verdict(Status.CONFLICT, "Changed since you opened it. Nothing was sent.")
    if not comparison.send:
        return not_sent(f"{name} already holds these values.")
    locked = [BY_NAME[each].label for each in comparison.send if not is_writable(each, version)]
    if locked:  # planned for another version of the API
        return not_sent(f"API {version} cannot change: {', '.join(locked)}.")
    if pbx_session.client.is_unexpected_device:
        return not_sent(f"Another device answers at the address of {name}.")
    return None


def why_too_late(pbx_session: PbxSession) -> Verdict | None:
    """Return the verdict when there is no time to send and read back, or the PBX is not ours any more."""
    is_late = pbx_session.client.seconds_left < SEND_BUDGET_S or not pbx_session.lease.is_still_held
    return too_slow(pbx_session) if is_late else None
