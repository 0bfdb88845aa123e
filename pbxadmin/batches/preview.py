"""The preview of a batch: each PBX is read once, and each target is put into one class. Nothing is sent."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import DatabaseError, transaction
from django.utils import timezone

from ivr.bulk_reading import Result, Work, works_begin, works_end
from ivr.claims import release_claims, still_claimed
from ivr.snapshots import listings_save
from pbxadmin.access.models import User
from pbxadmin.fleet.lease import lease_claim
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import check_allowed, pbx_states_record
from pbxadmin.fleet.row_updates import rows_update
from pbxadmin.yeastar.drivers import is_writable
from pbxadmin.yeastar.fields import BY_NAME
from pbxadmin.yeastar.readings import IvrSettings

from .models import Batch, BatchState, BatchTarget, BatchUnit, TargetClass
from .services import why_denied
from .units import IN_USE_S, SETTLING_S, units_claim

NO_PLANNER = "Not allowed any more."
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


@dataclass(frozen=True)
class Claimed:
    """A unit in hand, with its targets and its PBX as read when it was claimed, None when that was deleted.

    denied: why the planner may not change its targets, "" when they may.
    """

    unit: BatchUnit
    targets: Sequence[BatchTarget]
    pbx: Pbx | None
    denied: str

    def judge(self, reading: PbxReading) -> Sequence[BatchTarget]:
        """Write into each target its class and what the PBX lists of it, and return them. Nothing is stored."""
        for target in self.targets:
            judged = target_judge(target, self.pbx, reading, self.denied)
            live = reading.ivrs.get(target.number)
            target.klass, target.why, target.wanted = judged.klass, judged.why[:300], dict(judged.wanted)
            if self.pbx and live:
                target.base, target.name, target.read_at = live.values(), live.name or "", timezone.now()
                target.address, target.serial = self.pbx.endpoint.base, self.pbx.answering_serial
        return self.targets


class PreviewSource:
    """The PBXs of a batch of which the preview is made. claimed: what was in hand, by unit."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.threads = batch.pbxs_at_once
        self.claimed: dict[int, Claimed] = {}

    def take(self, at_most: int, until: float) -> list[Work]:
        """Claim PBXs that are due, until one of them has to be read or none is left."""
        while ids := units_claim(self.batch, at_most):
            works = self.begin(BatchUnit.objects.in_bulk(ids).values(), until)
            if works:
                return works
        return []

    def begin(self, units: Collection[BatchUnit], until: float) -> list[Work]:
        """Lease the PBXs of these units. What needs no reading is judged at once; who is in use has to wait."""
        unit_ids = {unit.pbx_id: unit.pk for unit in units}
        held = lease_claim(list(unit_ids), f"{self.batch.planned_by_name} is preparing a batch")
        claimed = {each.unit.pk: each for each in self.claimed_of(units)}
        self.claimed |= claimed
        leased = [each.pbx for each in claimed.values() if each.pbx and each.pbx.pk in held.pbx_ids]
        to_read = [pbx for pbx in leased if not claimed[unit_ids[pbx.pk]].denied]
        works, held_back = works_begin(to_read, unit_ids, held, until, check_allowed)
        in_use = {each.unit.pk for each in claimed.values() if each.pbx and each.pbx.pk not in held.pbx_ids}
        self.put_off(in_use, IN_USE_S)
        unread = claimed.keys() - {work.row_id for work in works} - in_use
        if unread:
            self.store({pk: PbxReading(problem=held_back.get(pk, "")) for pk in unread})
        return works

    def claimed_of(self, units: Collection[BatchUnit]) -> Iterator[Claimed]:
        """Yield units with what is stored of their targets and PBXs."""
        pbx_ids = [unit.pbx_id for unit in units]
        pbxs = Pbx.objects.select_related("customer").in_bulk(pbx_ids)
        planner = User.objects.filter(pk=self.batch.planned_by_id).first()
        targets: dict[int, list[BatchTarget]] = {}
        for target in self.batch.targets.filter(pbx_id__in=pbx_ids):
            targets.setdefault(target.pbx_id, []).append(target)
        for unit in units:
            pbx, here = pbxs.get(unit.pbx_id), targets.get(unit.pbx_id, [])
            fields = {name for target in here for name in target.asked}
            denied = why_denied(planner, pbx.customer if pbx else None, fields) if planner else NO_PLANNER
            yield Claimed(unit, here, pbx, denied)

    def save(self, results: Sequence[Result]) -> None:
        """Store what was read as snapshots, and the classes of the targets, then release the PBXs."""
        pbx_states_record([(result.work.pbx, result.work.client) for result in results])
        with transaction.atomic():
            stored = listings_save([result.listing for result in results if not result.problem])
            lost = {each.work.row_id for each in results if not each.problem and each.work.pbx.pk not in stored}
            self.store({each.work.row_id: reading_of(each) for each in results if each.work.row_id not in lost})
        works_end(result.work for result in results)
        self.put_off(lost, IN_USE_S)  # it took too long, or was edited meanwhile

    def store(self, readings: Mapping[int, PbxReading]) -> None:
        """Store the classes of the targets of these units, and close them. What others claimed since stays as it is."""
        judged: list[BatchTarget] = []
        with transaction.atomic():
            closed = []
            for unit in BatchUnit.objects.select_for_update().filter(pk__in=readings, is_open=True).order_by("pk"):
                each = self.claimed[unit.pk]
                if unit.claimed_until == each.unit.claimed_until:
                    closed.append(unit.pk)
                    judged += each.judge(readings[unit.pk])
            release_claims(BatchUnit.objects.filter(pk__in=closed), is_open=False)
            rows_update(judged, COLUMNS)

    def put_off(self, unit_ids: Collection[int], seconds: float) -> None:
        """Give units back, to be taken again later."""
        at = timezone.now() + timedelta(seconds=seconds)
        for pk in unit_ids:
            still_claimed(BatchUnit.objects.all(), self.claimed[pk].unit).update(claimed_until=None, not_before=at)

    def give_back(self, works: Sequence[Work]) -> None:
        self.put_off([work.row_id for work in works], 0)
        works_end(works)

    def put_back(self, works: Iterable[Work]) -> None:
        """Give back what is in hand after a failure of ours. Where that fails too, the claims run out."""
        with suppress(DatabaseError):
            self.put_off(self.claimed, SETTLING_S)
            works_end(works)

    def waits_for_others(self) -> bool:
        soon = BatchUnit.objects.filter(is_open=True, claimed_until=None, not_before__gt=timezone.now())
        return soon.filter(batch=self.batch, batch__state=BatchState.PREVIEWING).exists()


def reading_of(result: Result) -> PbxReading:
    if result.problem:
        return PbxReading(problem=result.problem)
    ivrs = result.read.ivrs
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
