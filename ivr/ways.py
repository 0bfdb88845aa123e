"""What leads to IVRs: inbound routes and queues, read beside the IVRs where the API of a PBX lists them.

They are read with a scheduled reading at a pace of their own, when a person reads one PBX, and before a renumbering.
Whatever such a call comes to is kept beside the last good reading, and spoils nothing else.
"""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from pbxadmin.fleet.concurrency import TooManyWaiting
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import PbxSession, open_pbx_session
from pbxadmin.yeastar.client import PbxClient
from pbxadmin.yeastar.driver import CallKind
from pbxadmin.yeastar.errors import PbxBadAnswer, PbxError, PbxLoginRefused, PbxRefused
from pbxadmin.yeastar.readings import SideList

from .models import WayIn, WayKind, WaysReading
from .snapshots import ROWS_PER_STATEMENT, listing, still_ours

WAY_LISTS = (CallKind.ROUTES, CallKind.QUEUES)
assert [kind.value for kind in WAY_LISTS] == WayKind.values  # noqa: S101


@dataclass(frozen=True)
class ListFound:
    """What reading one list came to: what it names, or why it could not be read.

    is_unanswered: nothing usable came back, so that the PBX may be busy or gone.
    """

    kind: CallKind
    listed: SideList = field(default_factory=SideList)
    problem: str = ""
    is_unanswered: bool = False


def offered(pbx: Pbx, kinds: Iterable[CallKind] = WAY_LISTS) -> tuple[CallKind, ...]:
    """Return those of these lists that the API version of this PBX has."""
    return tuple(kind for kind in kinds if pbx.driver.side_list(kind) is not None)


def lists_read(client: PbxClient, kinds: Iterable[CallKind]) -> tuple[ListFound, ...]:
    """Read these lists and return what each came to. After one without an answer, the others are not asked for."""
    found: list[ListFound] = []
    for kind in kinds:
        if found and found[-1].is_unanswered:
            found.append(ListFound(kind, problem=found[-1].problem, is_unanswered=True))
        else:
            found.append(list_read(client, kind))
    return tuple(found)


def list_read(client: PbxClient, kind: CallKind) -> ListFound:
    try:
        listed = client.query_list(kind)
    except PbxError as error:
        is_answer = isinstance(error, PbxRefused | PbxBadAnswer) and not isinstance(error, PbxLoginRefused)
        return ListFound(kind, problem=f"{str(error).rstrip('.')}.", is_unanswered=not is_answer)
    return ListFound(kind, listed or SideList())


def ways_due(pbxs: Collection[Pbx], now: datetime) -> dict[int, tuple[CallKind, ...]]:
    """Return for each PBX, by id, the lists that are due. All are when a device is read for the first time."""
    rows = WaysReading.objects.filter(pbx__in=list(pbxs), next_at__gt=now)
    fresh = set(rows.values_list("pbx_id", "kind"))
    return {
        pbx.pk: tuple(kind for kind in offered(pbx) if pbx.read_at is None or (pbx.pk, kind.value) not in fresh)
        for pbx in pbxs
    }


def ways_refresh(*, pbx: Pbx, held_by: str) -> None:
    """Read what leads to the IVRs of a PBX now, as far as it can be. Raises PbxError when it cannot be talked to."""
    kinds = offered(pbx)
    if kinds:
        with open_pbx_session(pbx, held_by) as pbx_session:
            ways_keep(pbx_session, lists_read(pbx_session.client, kinds))


def ways_look(*, pbx: Pbx, held_by: str) -> None:
    """Read what leads to the IVRs of a PBX for somebody who plans to renumber one; what was read before will do."""
    with suppress(PbxError, TooManyWaiting):
        ways_refresh(pbx=pbx, held_by=held_by)


def ways_keep(pbx_session: PbxSession, found: Sequence[ListFound]) -> None:
    """Store what was read in a session, unless its lease was lost, its record edited, or another device answered."""
    with transaction.atomic():
        stored, _ = still_ours([listing(pbx_session, (), is_whole=False)], timezone.now())
        ways_save({each.pbx.pk: found for each in stored})


def ways_save(found: Mapping[int, Sequence[ListFound]]) -> None:
    """Store what the lists of PBXs came to, by id, in the transaction of the caller, who holds their leases.

    A list that could not be read keeps its last rows, with the time of these and the reason.
    """
    now = timezone.now()
    each_list = [(pbx_id, each) for pbx_id, lists in found.items() for each in lists if each.kind in WAY_LISTS]
    good = [(pbx_id, each) for pbx_id, each in each_list if not each.problem]
    readings_write([reading_row(*one, now) for one in each_list if one[1].problem], ["tried_at", "next_at", "problem"])
    readings_write([reading_row(*one, now) for one in good], ["read_at", "tried_at", "next_at", "problem", "unclear"])
    for kind in WAY_LISTS:
        WayIn.objects.filter(kind=kind.value, pbx_id__in=[pk for pk, each in good if each.kind is kind]).delete()
    WayIn.objects.bulk_create([row for one in good for row in way_rows(*one)], batch_size=ROWS_PER_STATEMENT)


def readings_write(rows: Sequence[WaysReading], columns: Sequence[str]) -> None:
    WaysReading.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["pbx", "kind"],
        update_fields=columns,
        batch_size=ROWS_PER_STATEMENT,
    )


def reading_row(pbx_id: int, found: ListFound, now: datetime) -> WaysReading:
    pace = timedelta(hours=settings.WAYS_IN_HOURS) * random.uniform(0.8, 1.0)  # noqa: S311  (no secret)
    return WaysReading(
        pbx_id=pbx_id,
        kind=found.kind.value,
        read_at=None if found.problem else now,
        tried_at=now,
        next_at=now + pace,
        problem=found.problem[:300],
        unclear=found.listed.unclear,
    )


def way_rows(pbx_id: int, found: ListFound) -> list[WayIn]:
    return [
        WayIn(
            pbx_id=pbx_id,
            kind=found.kind.value,
            number=entry.number,
            name=entry.name,
            did=entry.did,
            when=lead.when,
            ivr_number=lead.ivr,
        )
        for entry in found.listed.entries
        for lead in entry.leads
    ]


@dataclass(frozen=True)
class WaysShown:
    """What one list says of one IVR. reading: None when it was never read. ways: those to this IVR."""

    kind: WayKind
    is_offered: bool
    reading: WaysReading | None = None
    ways: tuple[WayIn, ...] = ()

    @property
    def title(self) -> str:
        return self.kind.label

    @property
    def problem(self) -> str:
        return self.reading.problem if self.reading else ""

    @property
    def read_at(self) -> datetime | None:
        return self.reading.read_at if self.reading else None

    @property
    def unclear(self) -> int:
        return self.reading.unclear if self.reading else 0

    @property
    def is_stale(self) -> bool:
        """Return whether what is shown is older than twice the pace at which it is read."""
        return self.read_at is not None and timezone.now() - self.read_at > 2 * timedelta(hours=settings.WAYS_IN_HOURS)


def ways_shown(pbx: Pbx, number: str) -> list[WaysShown]:
    """Return what each list says of one IVR, also of lists that the API of its PBX does not offer."""
    readings = {reading.kind: reading for reading in WaysReading.objects.filter(pbx=pbx)}
    ways = list(WayIn.objects.filter(pbx=pbx, ivr_number__in=(number, "")))
    is_offered = {kind.value for kind in offered(pbx)}
    return [
        WaysShown(kind, True, readings.get(kind), tuple(way for way in ways if way.kind == kind))
        if kind in is_offered
        else WaysShown(kind, False)
        for kind in WayKind
    ]
