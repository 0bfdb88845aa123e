"""Which IVRs a person chose for a batch, and what the pages of a batch show."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Self

from django.core import signing
from django.db.models import Count, Exists, OuterRef, Q
from django.http import Http404, QueryDict
from django.utils import timezone

from ivr.models import Change, Ivr, IvrQuerySet
from ivr.selectors import IvrFilter, choice_parameter, ivrs_found
from pbxadmin.access.models import User
from pbxadmin.web.filters import FilterValues, number_parameter
from pbxadmin.web.times import local_time
from pbxadmin.web.words import number_of
from pbxadmin.yeastar.fields import BY_NAME

from .models import (
    NOT_VERIFIED_OUTCOMES,
    WAITING,
    Batch,
    BatchQuerySet,
    BatchState,
    BatchTarget,
    BatchTargetQuerySet,
    TargetClass,
)
from .services import Chosen


@dataclass(frozen=True)
class BatchFilter(FilterValues):
    """The filter of the list of batches."""

    state: str = choice_parameter(BatchState.values)
    customer: int | None = number_parameter()

    def narrow(self, batches: BatchQuerySet) -> BatchQuerySet:
        """Return the batches that the filter lets through; of a customer are those with an IVR of it."""
        if self.state:
            batches = batches.filter(state=self.state)
        if self.customer is None:
            return batches
        return batches.filter(Exists(BatchTarget.objects.filter(batch=OuterRef("pk"), customer_id=self.customer)))

    def shown_chips(self, names: Mapping[int, str]) -> list[tuple[str, str]]:
        """Return what narrows the list in words, each with the query without it. names: of customers."""
        customer = names.get(self.customer or 0, f"Customer {self.customer}")
        return self.chips({"state": self.state.capitalize(), "customer": customer})


SELECTION_SALT = "batches.selection.1"
SELECTION_LIFE_S = 24 * 3600


@dataclass(frozen=True)
class Selection:
    """IVRs that were chosen: their ids at that moment, and the filter that found them, if one did."""

    ids: tuple[int, ...]
    query: str = ""

    @property
    def sealed(self) -> str:
        """Return it as signed text, which the form carries: what appears later is not in it."""
        return signing.dumps([self.query, *self.ids], salt=SELECTION_SALT, compress=True)

    def rows(self, user: User) -> IvrQuerySet:
        """Return the IVRs that are still there, in the order of the list."""
        found = Ivr.objects.visible_to(user).filter(pk__in=self.ids)
        return found.select_related("pbx__customer").order_by("pbx__customer__name", "pbx__name", "number", "pk")


def selection_of(user: User, data: QueryDict) -> Selection:
    """Return what a POST chose: a sealed selection, ids of IVRs, or all that a filter finds.

    Raises Http404 when one of the ids is not of an IVR that the user sees, or a sealed selection was altered.
    """
    if sealed := data.get("selection", ""):
        return unsealed(str(sealed))
    if data.get("all"):
        query = data.get("query", "")
        wanted = IvrFilter.from_query(QueryDict(query))
        return Selection(tuple(ivrs_found(user, wanted).order_by("pk").values_list("pk", flat=True)), query)
    given = data.getlist("ivr")
    ids = {int(text) for text in given if text.isascii() and text.isdecimal() and len(text) < 19}
    seen = set(Ivr.objects.visible_to(user).filter(pk__in=ids).values_list("pk", flat=True))
    if len(ids) != len(set(given)) or ids - seen:
        raise Http404
    return Selection(tuple(sorted(ids)))


def unsealed(text: str) -> Selection:
    try:
        query, *ids = signing.loads(text, salt=SELECTION_SALT, max_age=SELECTION_LIFE_S)
    except signing.BadSignature:
        raise Http404 from None
    return Selection(tuple(ids), query)


def chosen_of(rows: IvrQuerySet, asked: dict[str, str]) -> list[Chosen]:
    """Return these IVRs as targets of a batch that asks for these values."""
    return [
        Chosen(
            row.pbx.customer_id,
            row.pbx.customer.name,
            row.pbx_id,
            row.pbx.name,
            row.number,
            row.name or "",
            asked,
            {},
        )
        for row in rows
    ]


@dataclass(frozen=True)
class ClassRow:
    """A class of the preview with its count, among the targets that a person sees."""

    klass: str
    label: str
    count: int


@dataclass(frozen=True)
class TargetTally:
    """How many targets a person sees, by class and outcome: one query, however many there are."""

    counts: Mapping[tuple[str, str], int]

    @classmethod
    def of(cls, targets: BatchTargetQuerySet) -> Self:
        rows = targets.order_by().values_list("klass", "outcome").annotate(count=Count("pk"))
        return cls({(klass, outcome): count for klass, outcome, count in rows})

    @property
    def size(self) -> int:
        return sum(self.counts.values())

    def is_all_of(self, batch: Batch) -> bool:
        """Tell whether these are all targets of a batch, as somebody counts who sees all of its customers."""
        return self.size == batch.size

    @property
    def previewed(self) -> int:
        return sum(count for (klass, _), count in self.counts.items() if klass)

    def of_class(self, klass: str) -> int:
        return sum(count for (each, _), count in self.counts.items() if each == klass)

    def class_rows(self) -> list[ClassRow]:
        return [ClassRow(klass, TargetClass(klass).label, self.of_class(klass)) for klass in TargetClass.values]

    def outcomes(self) -> dict[str, int]:
        """Return how many of those that would change have each outcome, those that are still to do under ""."""
        return {outcome: n for (klass, outcome), n in self.counts.items() if klass == TargetClass.WOULD_CHANGE}


def tallies_of(batches: Iterable[Batch], targets: BatchTargetQuerySet) -> dict[int, TargetTally]:
    """Return the tally of each of these batches, by its id, among the targets that a person sees."""
    counts: dict[int, dict[tuple[str, str], int]] = {batch.pk: {} for batch in batches}
    rows = targets.filter(batch__in=counts).order_by().values_list("batch_id", "klass", "outcome")
    for pk, klass, outcome, count in rows.annotate(count=Count("pk")):
        counts[pk][klass, outcome] = count
    return {pk: TargetTally(found) for pk, found in counts.items()}


@dataclass(frozen=True)
class InHand:
    """A PBX that a worker has in hand, and how many of its IVRs are done."""

    pbx_name: str
    done: int
    total: int


def pbxs_in_hand(batch: Batch, targets: BatchTargetQuerySet) -> list[InHand]:
    """Return the PBXs of these targets that a worker has in hand now."""
    busy = list(batch.units.filter(claimed_until__gt=timezone.now()).values_list("pbx_id", flat=True))
    if not busy:
        return []
    # The class is no condition of the rows, or all of the batch would be looked at by the index of that.
    of_pbx = targets.filter(pbx_id__in=busy).order_by("pbx_name", "pbx_id").values_list("pbx_name")
    would_change = Q(klass=TargetClass.WOULD_CHANGE)
    is_done = would_change & ~Q(outcome__in=("", WAITING))
    counted = of_pbx.annotate(done=Count("pk", filter=is_done), total=Count("pk", filter=would_change))
    return [InHand(*row) for row in counted.values_list("pbx_name", "done", "total") if row[2]]


def next_tries(batch: Batch, targets: Iterable[BatchTarget]) -> dict[int, datetime | None]:
    """Return by id of the PBX when those of these targets that wait are tried again."""
    waiting = {target.pbx_id for target in targets if target.outcome == WAITING}
    return dict(batch.units.filter(pbx_id__in=waiting).values_list("pbx_id", "not_before")) if waiting else {}


@dataclass(frozen=True)
class Progress:
    """How far a batch is, among the targets that a person sees."""

    todo: int
    done: int
    waiting: int
    verified: int
    not_verified: int
    per_minute: float | None
    seconds_left: float | None

    @property
    def total(self) -> int:
        return self.todo + self.done + self.waiting

    @property
    def percent(self) -> int:
        return round(100 * self.done / self.total) if self.total else 100


def progress_of(batch: Batch, targets: BatchTargetQuerySet, tally: TargetTally) -> Progress:
    """Return how far a batch is, and how fast it has been since it started or went on."""
    counts = tally.outcomes()
    todo, waiting = counts.pop("", 0), counts.pop(WAITING, 0)
    done = sum(counts.values())
    finished = targets.filter(finished_at__gte=batch.resumed_at).count() if batch.resumed_at else 0
    since = (timezone.now() - batch.resumed_at).total_seconds() if batch.resumed_at else 0.0
    rate = finished / since if finished and since > 0 else None
    return Progress(
        todo=todo,
        done=done,
        waiting=waiting,
        verified=counts.get(Change.Status.VERIFIED, 0),
        not_verified=sum(counts.get(outcome, 0) for outcome in NOT_VERIFIED_OUTCOMES),
        per_minute=rate * 60 if rate else None,
        seconds_left=todo / rate if rate and todo else None,
    )


def why_told(batch: Batch, seen: TargetTally) -> str:
    """Say why a batch halted or stopped; to who sees a part of it, nothing of the others: it names a PBX."""
    if seen.is_all_of(batch):
        return batch.why
    return "Too many were not verified." if batch.state == BatchState.HALTED else ""


def risk_lines(risks_found: Iterable[tuple[int, int, str]]) -> list[str]:
    """Return each risk of a batch in a sentence that names how many IVRs and customers it touches."""
    by_risk: dict[str, list[int]] = {}
    for _, customer_id, risks in risks_found:
        by_risk.setdefault(risks, []).append(customer_id)
    return [
        f"{risk} On {number_of(len(ids), 'IVR')} of {number_of(len(set(ids)), 'customer')}."
        for risk, ids in by_risk.items()
    ]


RESULT_COLUMNS = (
    *("customer", "pbx", "number", "name", "class", "field", "before", "asked", "found"),
    *("outcome", "sentence", "change", "finished_at", "local_time"),
)


def result_lines(targets: Sequence[BatchTarget], zone: tzinfo) -> Iterator[list[str]]:
    """Yield a line for each field of each target, at least one for each target. zone: of its local time."""
    changes = Change.objects.in_bulk([target.change_id for target in targets if target.change_id])
    for target in targets:
        change = changes.get(target.change_id or 0)
        found = (change.found or {}) if change else {}
        head = [target.customer_name, target.pbx_name, target.number, target.name, target.klass]
        sentence = target.sentence or target.why
        at = target.finished_at
        times = [at.isoformat(timespec="seconds"), local_time(at, zone)] if at else ["", ""]
        tail = [target.outcome, sentence, str(target.change_id or ""), *times]
        for name, asked in (target.wanted or target.asked).items():
            values = (target.base.get(name), asked, found.get(name))
            yield [*head, BY_NAME[name].label, *("" if value is None else value for value in values), *tail]
