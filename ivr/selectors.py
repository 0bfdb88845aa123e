"""The lists of IVRs and of changes: their filters, and the rows that a filter finds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import Coalesce
from django.http import Http404

from pbxadmin.access.models import AnyUser
from pbxadmin.access.names import fold
from pbxadmin.audit.actions import EventAction
from pbxadmin.fleet.models import Pbx, has_tag, pbx_holds
from pbxadmin.folding import Term
from pbxadmin.search import found_by, holding
from pbxadmin.web.filters import (
    LONGEST_TEXT,
    FilterValues,
    SortedList,
    last,
    number_parameter,
    parameter,
    saved_list,
    sort_parameter,
    switch_parameter,
    text_parameter,
    times_parameter,
    typed_text,
)
from pbxadmin.web.pages import COUNTED_AT_MOST
from pbxadmin.web.times import day_end, day_start
from pbxadmin.web.words import OUTCOMES, number_of
from pbxadmin.yeastar.fields import BY_NAME, FIELDS, Kind

from .models import Change, ChangeQuerySet, Ivr, IvrQuerySet, OutsideChange, OutsideChangeQuerySet, OutsideState

IVR_SORTS: dict[str, tuple[str, ...]] = {
    "pbx": ("pbx__name", "number", "id"),
    "number": ("number", "pbx__name", "id"),
    "name": ("name", "number", "id"),
    "customer": ("pbx__customer__name", "pbx__name", "number", "id"),
    "response": ("response_timeout_s", "number", "id"),
    "read": ("read_at", "id"),
}
FEW_PBXS = 500  # as many as a search names one by one
CHANGE_SORTS: dict[str, tuple[str, ...]] = {
    "planned": ("-id",),
    "pbx": ("pbx_name", "number", "id"),
}


def read_tag(given: Sequence[str]) -> str:
    return fold(typed_text(last(given)))[:LONGEST_TEXT]


SPREAD_FIELDS = tuple(field.name for field in FIELDS if field.kind in (Kind.COUNT, Kind.SWITCH))


def read_holds(given: Sequence[str]) -> str:
    """Return "field:value" of a field whose spread is shown; "" for what makes no sense."""
    name, _, value = typed_text(last(given)).partition(":")
    return f"{name}:{value}" if name in SPREAD_FIELDS and value else ""


@saved_list("ivrs")
@dataclass(frozen=True)
class IvrFilter(SortedList, FilterValues):
    """The filter and the order of a list of IVRs."""

    SORTS = IVR_SORTS

    q: str = text_parameter()
    customer: int | None = number_parameter()
    pbx: int | None = number_parameter()
    tag: str = parameter("", read_tag)
    dial_outbound: bool = switch_parameter()
    dial_extension: bool = switch_parameter()
    response_under: int | None = number_parameter()
    value: str = parameter("", read_holds)
    ordered_by: str = sort_parameter(IVR_SORTS)

    def asked_sort(self) -> str:
        return self.ordered_by

    def shown_chips(self, names: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return what narrows the list in words, each with the query without it. names: of customer and PBX."""
        words = {
            "q": f"“{self.q}”",
            "customer": names.get("customer", "A customer you do not see"),
            "pbx": names.get("pbx", ""),
            "tag": f"Tag {self.tag}",
            "dial_outbound": "Dial-out on",
            "dial_extension": "Extension on",
            "response_under": f"Response under {self.response_under} s",
            "value": self.value_in_words,
        }
        return self.chips(words)

    @property
    def narrows_ivrs(self) -> bool:
        """Whether it asks for something of the IVR itself, beyond its customer and its PBX."""
        switches = self.dial_outbound or self.dial_extension
        return bool(self.q or switches or self.response_under is not None or self.value)

    @property
    def held(self) -> dict[str, str]:
        """Return the value that a field has to hold, by the name of the field; nothing for none."""
        name, _, value = self.value.partition(":")
        return {name: value} if name else {}

    @property
    def value_in_words(self) -> str:
        return "".join(f"{BY_NAME[name].label} {BY_NAME[name].in_words(text)}" for name, text in self.held.items())

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves anything out of the list of its page, which may be that of one PBX."""
        return bool(self.narrows_ivrs or self.customer or self.tag)


def read_day(given: Sequence[str]) -> date | None:
    try:
        return date.fromisoformat(last(given))
    except ValueError:
        return None


def choice_parameter(choices: Collection[str]) -> str:
    """Declare a field of a filter that is one of these, or "" for none."""
    return parameter("", lambda given: last(given) if last(given) in choices else "")


NOT_PROVEN = "not-verified"  # of the filter of changes, beside single outcomes
UNVERIFIED_OUTCOMES = (Change.Status.UNKNOWN.value, Change.Status.NOT_AS_ASKED.value)

OUTCOME_CHOICES = [
    (NOT_PROVEN, "Not verified"),
    *((status.value, OUTCOMES[status].label) for status in Change.Status),
]


@dataclass(frozen=True)
class ChangeFilter(SortedList, FilterValues):
    """The filter and the order of the list of changes.

    `since` and `until` are whole days of their planning, both included, in the zone in which times are shown: that of
    the person, or UTC as `times` says.
    """

    SORTS = CHANGE_SORTS

    q: str = text_parameter()
    pbx: int | None = number_parameter()
    customer: int | None = number_parameter()
    outcome: str = choice_parameter((NOT_PROVEN, *Change.Status.values))
    since: date | None = parameter(None, read_day, name="from")
    until: date | None = parameter(None, read_day, name="to")
    times: str = times_parameter()
    ordered_by: str = sort_parameter(CHANGE_SORTS)

    def asked_sort(self) -> str:
        return self.ordered_by

    def shown_chips(self, names: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return what narrows the list in words, each with the query without it. names: of customer and PBX."""
        words = {
            "q": f"“{self.q}”",
            "customer": names.get("customer", f"Customer {self.customer}"),
            "pbx": names.get("pbx", f"PBX {self.pbx}"),
            "outcome": dict(OUTCOME_CHOICES).get(self.outcome, ""),
            "from": f"From {self.since}",
            "to": f"To {self.until}",
            "times": "Days and times in UTC",
        }
        return self.chips(words)

    def narrow(self, changes: ChangeQuerySet) -> ChangeQuerySet:
        """Return the changes that the filter lets through."""
        changes = found_by(changes, self.q)
        for column, value in (("pbx_id", self.pbx), ("customer_id", self.customer)):
            if value is not None:
                changes = changes.filter(**{column: value})
        if self.since:
            changes = changes.filter(planned_at__gte=day_start(self.since))
        if self.until:
            changes = changes.filter(planned_at__lt=day_end(self.until))
        if self.outcome == NOT_PROVEN:
            return changes.showing(*UNVERIFIED_OUTCOMES)
        return changes.showing(self.outcome) if self.outcome else changes


OUTSIDE_KINDS = {
    "changed": EventAction.IVR_CHANGED_OUTSIDE,
    "appeared": EventAction.IVR_APPEARED,
    "vanished": EventAction.IVR_VANISHED,
}
OUTSIDE_STATES = ("open", "decided")


@dataclass(frozen=True)
class OutsideFilter(FilterValues):
    """The filter of the list of outside changes.

    `since` and `until` are whole days, both included, in the zone in which times are shown: that of the person, or UTC
    as `times` says. is_since_visit: only what came after the person's last visit.
    """

    customer: int | None = number_parameter()
    pbx: int | None = number_parameter()
    ivr: str = text_parameter()
    field: str = choice_parameter(BY_NAME)
    kind: str = choice_parameter(OUTSIDE_KINDS)
    state: str = choice_parameter(OUTSIDE_STATES)
    since: date | None = parameter(None, read_day, name="from")
    until: date | None = parameter(None, read_day, name="to")
    times: str = times_parameter()
    is_since_visit: bool = parameter(False, lambda given: last(given) == "on", name="visit")

    def shown_chips(self, names: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return what narrows the list in words, each with the query without it. names: of customer and PBX."""
        words = {
            "customer": names.get("customer", f"Customer {self.customer}"),
            "pbx": names.get("pbx", f"PBX {self.pbx}"),
            "ivr": f"IVR {self.ivr}",
            "field": f"Field {BY_NAME[self.field].label}" if self.field else "",
            "kind": OUTSIDE_KINDS[self.kind].label if self.kind else "",
            "state": self.state.capitalize(),
            "from": f"From {self.since}",
            "to": f"To {self.until}",
            "times": "Days and times in UTC",
            "visit": "Since your last visit",
        }
        return self.chips(words)

    def narrow(self, rows: OutsideChangeQuerySet, visit_at: datetime | None) -> OutsideChangeQuerySet:
        """Return the outside changes that the filter lets through. visit_at: the end of the person's last visit."""
        exact = {
            "customer_id": self.customer,
            "pbx_id": self.pbx,
            "number": self.ivr,
            "action": OUTSIDE_KINDS.get(self.kind),
        }
        rows = rows.filter(**{column: value for column, value in exact.items() if value})
        if self.field:
            rows = rows.filter(field_names__contains=f" {self.field} ")
        if self.state:
            rows = rows.still_open() if self.state == "open" else rows.exclude(state=OutsideState.OPEN)
        if self.since:
            rows = rows.filter(at__gte=day_start(self.since))
        if self.until:
            rows = rows.filter(at__lt=day_end(self.until))
        return rows.filter(at__gt=visit_at) if self.is_since_visit and visit_at else rows


def outside_chosen(user: AnyUser, given: Sequence[str]) -> list[OutsideChange]:
    """Return the outside changes with these ids. Raises Http404 when the person does not see all of them."""
    ids = {int(text) for text in given if text.isascii() and text.isdecimal() and len(text) < 19}
    rows = list(OutsideChange.objects.visible_to(user).filter(pk__in=ids))
    if len(rows) != len(set(given)):
        raise Http404
    return rows


def ivrs_found(user: AnyUser, wanted: IvrFilter) -> IvrQuerySet:
    """Return the IVRs that the person may see and the filter lets through, unordered.

    Words are looked for in the IVR's number and name, and in what describes its PBX.
    """
    found = Ivr.objects.visible_to(user)
    if wanted.customer is not None:
        found = found.filter(pbx__customer_id=wanted.customer)
    if wanted.pbx is not None:
        found = found.filter(pbx_id=wanted.pbx)
    if wanted.tag:
        found = found.filter(has_tag(wanted.tag, "pbx__"))
    if wanted.dial_outbound:
        found = found.filter(dial_outbound="on")
    if wanted.dial_extension:
        found = found.filter(dial_extension="on")
    if wanted.response_under is not None:
        found = found.filter(response_timeout_s__lt=wanted.response_under)
    found = found.filter(**wanted.held)
    return found_by(found, wanted.q, partial(ivr_holds, user))


def ivr_holds(user: AnyUser, term: Term, lookup: str) -> Q:
    """Return the condition that an IVR, or what describes its PBX, holds a term of a search.

    Few PBXs are read first: a database uses both indexes for ids that it is given, and not for a subquery. Of many, the
    subquery is faster, and there is an end to how many ids a query takes.
    """
    on_pbxs = Pbx.objects.visible_to(user).filter(pbx_holds(term, "holds")).order_by().values_list("pk", flat=True)
    few = list(on_pbxs[: FEW_PBXS + 1])
    return holding(term, lookup) | Q(pbx_id__in=few if len(few) <= FEW_PBXS else on_pbxs)


@dataclass(frozen=True)
class Extent:
    """How much a list of IVRs shows: so many IVRs on so many PBXs, of which the oldest was read then, of all there are.

    ivrs: COUNTED_AT_MOST + 1 for more than that, when the list is narrowed.
    """

    ivrs: int
    pbxs: int
    oldest: datetime | None
    of: int

    @property
    def is_all(self) -> bool:
        return self.ivrs == self.of

    @property
    def is_more(self) -> bool:
        """Whether there are more than were counted."""
        return not self.is_all and self.ivrs > COUNTED_AT_MOST

    def __str__(self) -> str:
        if self.is_more:
            return f"More than {COUNTED_AT_MOST:,} of {self.of:,} IVRs"
        of = "" if self.is_all else f" of {self.of:,}"
        one = self.of == 1
        return f"{self.ivrs:,}{of} IVR{'' if one else 's'} on {number_of(self.pbxs, 'PBX')}"


def extent_of(user: AnyUser, found: IvrQuerySet, wanted: IvrFilter, pbx: Pbx | None) -> Extent:
    """Count the IVRs that a filter found, out of all that the person may see or those of one PBX.

    All are counted by what each PBX listed, which costs a tenth of counting IVRs.
    """
    pbxs = Pbx.objects.visible_to(user).filter(ivr_count__gt=0)
    pbxs = pbxs.filter(pk=pbx.pk) if pbx else pbxs
    every = pbxs.order_by().aggregate(ivrs=Coalesce(Sum("ivr_count"), 0), pbxs=Count("pk"), oldest=Min("read_at"))
    if not wanted.is_narrow and wanted.pbx == (pbx and pbx.pk):
        return Extent(**every, of=every["ivrs"])
    rows = found.order_by().values("pk", "pbx_id", "read_at")[: COUNTED_AT_MOST + 1]
    of_these = rows.aggregate(ivrs=Count("pk"), pbxs=Count("pbx_id", distinct=True), oldest=Min("read_at"))
    return Extent(**of_these, of=max(every["ivrs"], of_these["ivrs"]))


def pbxs_in_view(user: AnyUser, wanted: IvrFilter) -> list[Pbx]:
    """Return the PBXs in use behind a list: of the IVRs found and, with no filter on IVRs, also those never read."""
    pbxs = Pbx.objects.visible_to(user).in_use()
    if wanted.narrows_ivrs:
        return list(pbxs.filter(pk__in=ivrs_found(user, wanted).values("pbx_id")))
    if wanted.customer is not None:
        pbxs = pbxs.filter(customer_id=wanted.customer)
    if wanted.pbx is not None:
        pbxs = pbxs.filter(pk=wanted.pbx)
    if wanted.tag:
        pbxs = pbxs.tagged(wanted.tag)
    return list(pbxs)
