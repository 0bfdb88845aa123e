"""The preview of a batch: each PBX is read once, and each target is put into one class. Nothing is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone

from ivr.claims import still_claimed
from ivr.snapshots import snapshots_save
from pbxadmin.access.models import User
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import open_pbx_session
from pbxadmin.yeastar.drivers import is_writable
from pbxadmin.yeastar.errors import PbxError, PbxHeldBack
from pbxadmin.yeastar.fields import BY_NAME
from pbxadmin.yeastar.readings import IvrSettings

from .models import Batch, BatchTarget, BatchUnit, TargetClass
from .services import why_denied

COLUMNS = ["klass", "why", "base", "wanted", "address", "serial", "read_at", "name"]


@dataclass(frozen=True)
class PbxReading:
    """What one PBX lists, or why it could not be read. is_clear: what it does not list is gone."""

    ivrs: Mapping[str, IvrSettings] = field(default_factory=dict)
    problem: str = ""
    is_clear: bool = True


@dataclass(frozen=True)
class Judged:
    """The class of a target, why, and for one that would change the fields that differ."""

    klass: TargetClass
    why: str = ""
    wanted: Mapping[str, str] = field(default_factory=dict)


def unit_preview(batch: Batch, unit: BatchUnit) -> None:
    """Read the PBX of a unit and store the class of each of its targets."""
    pbx = Pbx.objects.select_related("customer").filter(pk=unit.pbx_id).first()
    targets = list(batch.targets.filter(pbx_id=unit.pbx_id))
    planner = User.objects.filter(pk=batch.planned_by_id).first()
    fields = {name for target in targets for name in target.asked}
    denied = why_denied(planner, pbx.customer if pbx else None, fields) if planner else "Not allowed any more."
    reading = read_pbx(pbx, batch) if pbx and not denied else PbxReading()
    for target in targets:
        judged = target_judge(target, pbx, reading, denied)
        live = reading.ivrs.get(target.number)
        target.klass, target.why, target.wanted = judged.klass, judged.why[:300], dict(judged.wanted)
        if pbx and live:
            target.base, target.name, target.read_at = live.values(), live.name or "", timezone.now()
            target.address, target.serial = pbx.endpoint.base, pbx.answering_serial
    with transaction.atomic():
        # A preview that took too long may have been made by somebody else, or be made again.
        if still_claimed(BatchUnit.objects.filter(is_open=True), unit).update(is_open=False):
            BatchTarget.objects.bulk_update(targets, COLUMNS, batch_size=200)


def read_pbx(pbx: Pbx, batch: Batch) -> PbxReading:
    """Read all IVRs of a PBX and store them as snapshots."""
    try:
        with open_pbx_session(pbx, f"{batch.planned_by_name} is preparing a batch") as session:
            ivrs = session.client.query_ivrs()
            if session.client.is_unexpected_device:
                raise PbxHeldBack(f"Another device answers at the address of {pbx.name}.")
            snapshots_save(session, ivrs)
    except PbxError as error:
        return PbxReading(problem=str(error))
    return PbxReading({ivr.number: ivr for ivr in ivrs}, is_clear=not any(ivr.flaw for ivr in ivrs))


def target_judge(target: BatchTarget, pbx: Pbx | None, reading: PbxReading, denied: str) -> Judged:
    """Decide the class of a target. denied: why the planner may not change it, "" when they may."""
    if pbx is None:
        return Judged(TargetClass.GONE, f"{target.pbx_name} was deleted.")
    if denied:
        return Judged(TargetClass.NOT_ALLOWED, denied)
    locked = [BY_NAME[name].label for name in target.asked if not is_writable(name, pbx.api_version)]
    if locked:
        return Judged(TargetClass.NOT_ALLOWED, f"API {pbx.api_version} cannot change {', '.join(locked).lower()}.")
    if reading.problem:
        return Judged(TargetClass.NOT_REACHABLE, reading.problem)
    live = reading.ivrs.get(target.number)
    if live is None:
        gone = f"IVR {target.number} is not on {pbx.name} any more."
        return Judged(TargetClass.GONE, gone) if reading.is_clear else unclear(pbx)
    return live_judge(target, live)


def unclear(pbx: Pbx) -> Judged:
    return Judged(TargetClass.NOT_REACHABLE, f"{pbx.name} gave a list that is not clear about all its IVRs.")


def live_judge(target: BatchTarget, live: IvrSettings) -> Judged:
    """Decide the class of a target that its PBX lists."""
    values = live.values()
    if live.flaw:
        return Judged(TargetClass.BREAKS_RULES, live.flaw)
    odd = [BY_NAME[name].label for name in target.asked if not BY_NAME[name].fits(values[name])]
    if odd:
        why = f"{', '.join(odd)}: the PBX holds a value that it would not take from us."
        return Judged(TargetClass.BREAKS_RULES, why)
    wanted = {name: text for name, text in target.asked.items() if values[name] != text}
    if not wanted:
        return Judged(TargetClass.ALREADY_SO)
    moved = [BY_NAME[name].label for name, text in target.left.items() if name in wanted and values[name] != text]
    if moved:
        return Judged(TargetClass.NOT_ALLOWED, f"{', '.join(moved)} moved since, so it is left out.")
    return Judged(TargetClass.WOULD_CHANGE, wanted=wanted)


def canary_choose(batch: Batch) -> None:
    """Mark the targets that are changed first: spread over customers, then over their PBXs."""
    seen: dict[int, int] = {}
    ranked = []
    for pk, customer_id, pbx_id in batch.targets.to_change().values_list("pk", "customer_id", "pbx_id"):
        on_pbx = seen[-pbx_id] = seen.get(-pbx_id, 0) + 1
        of_customer = seen[customer_id] = seen.get(customer_id, 0) + 1
        ranked.append((on_pbx, of_customer, pk))
    first = [pk for *_, pk in sorted(ranked)[: batch.canary]]
    batch.targets.filter(pk__in=first).update(is_canary=True)
