"""Snapshots: what was read is stored after every reading, by whoever made it.

The one place that replaces snapshots, so also the one that sees what changed outside PBX Admin: the snapshot and the
event that says so are written in one transaction and never disagree.
"""

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from pbxadmin.fleet.lease import LeaseHandle
from pbxadmin.fleet.models import Lease, Pbx
from pbxadmin.fleet.pbx_sessions import PbxSession
from pbxadmin.fleet.row_updates import rows_update
from pbxadmin.yeastar.fields import FIELDS
from pbxadmin.yeastar.readings import IvrSettings

from .models import Ivr
from .open_outside_changes import outside_judge
from .outside import Difference, outside_record

SNAPSHOT_COLUMNS = [field.name for field in FIELDS if field.name != "number"] + [
    "response_timeout_s",
    "raw",
    "flaw",
    "read_at",
    "words",
]
ROWS_PER_STATEMENT = 500
# Sent in the transaction that stores them. rows: snapshots that are new or differ; gone: that were dropped;
# known: those before, by PBX and number; read_at: of this reading.
snapshots_written = Signal()


@dataclass(frozen=True)
class Listing:
    """What one PBX listed under a lease: all its IVRs, or some of them.

    is_unexpected_device: another one answered. found_none: the PBX said that it has no IVRs.
    """

    pbx: Pbx
    held: LeaseHandle
    ivrs: Sequence[IvrSettings]
    is_whole: bool = True
    is_unexpected_device: bool = False
    found_none: bool = False

    @property
    def by_number(self) -> dict[str, IvrSettings]:
        return {ivr.number: ivr for ivr in self.ivrs}

    @property
    def is_clear(self) -> bool:
        """Return whether this is a whole list without flaws, so that what it does not name is gone."""
        return self.is_whole and bool(self.ivrs) and not any(ivr.flaw for ivr in self.ivrs)


def listing(pbx_session: PbxSession, ivrs: Sequence[IvrSettings], *, is_whole: bool) -> Listing:
    client = pbx_session.client
    found_none = is_whole and client.found_none
    return Listing(pbx_session.pbx, pbx_session.lease, ivrs, is_whole, client.is_unexpected_device, found_none)


def snapshot_save(pbx_session: PbxSession, ivr: IvrSettings) -> None:
    """Store the reading of one IVR."""
    listings_save([listing(pbx_session, [ivr], is_whole=False)])


def snapshots_save(pbx_session: PbxSession, ivrs: Sequence[IvrSettings]) -> None:
    """Store the reading of a whole PBX."""
    listings_save([listing(pbx_session, ivrs, is_whole=True)])


def listings_save(listings: Iterable[Listing]) -> set[int]:
    """Store what PBXs listed, in one transaction. Return the ids of the PBXs of which it was stored.

    An IVR that a whole list does not name any more is dropped. An empty list drops nothing: what a PBX without IVRs
    answers is not documented, so it proves nothing. A PBX that says that it has none is believed when two readings in
    a row named none. A list with a flawed IVR drops nothing, and a flawed IVR keeps its last clear values.
    Nothing is stored of another device, nor of a PBX whose lease was lost, as somebody may have changed it after it
    was read, or whose connection was edited meanwhile.
    """
    read_at = timezone.now()
    with transaction.atomic():
        stored, pbxs = still_ours(listings, read_at)
        known = known_rows(stored)
        # What differs from the snapshots is told as an outside change before they are replaced.
        outside_record([one for each in stored for one in differences(each, pbxs[each.pbx.pk], known, read_at)])
        new = [row for each in stored for row in new_rows(each, known, read_at)]
        write_snapshots(new)
        touch_snapshots(stored, {(row.pbx_id, row.number) for row in new}, read_at)
        gone = [row for each in stored for row in missing_rows(each, pbxs[each.pbx.pk], known)]
        drop_snapshots(gone)
        save_counts([each for each in stored if each.is_whole], pbxs, read_at)
        if new or gone:
            snapshots_written.send(Ivr, rows=new, gone=gone, known=known, read_at=read_at)
        outside_judge({(row.pbx_id, row.number) for row in (*new, *gone)})
    return {each.pbx.pk for each in stored}


def still_ours(listings: Iterable[Listing], now: datetime) -> tuple[list[Listing], dict[int, Pbx]]:
    """Return what may be stored: read under a lease that still holds, of a connection that nobody edited meanwhile.

    Also the records of the PBXs, locked as they are now, by id.
    """
    held = still_held([each for each in listings if not each.is_unexpected_device], now)
    pbxs = lock_pbxs([each.pbx.pk for each in held])
    stored = [each for each in held if each.pbx.pk in pbxs and each.pbx.revision == pbxs[each.pbx.pk].revision]
    return stored, pbxs


def still_held(listings: Sequence[Listing], now: datetime) -> list[Listing]:
    """Return the listings whose lease still holds.

    It stays locked, so that nobody talks to these PBXs before all is written.
    """
    leases = Lease.objects.select_for_update().filter(pbx_id__in=[each.pbx.pk for each in listings], until__gt=now)
    holders = dict(leases.order_by("pbx_id").values_list("pbx_id", "holder"))
    return [each for each in listings if holders.get(each.pbx.pk) == each.held.holder]


def lock_pbxs(pbx_ids: Iterable[int]) -> dict[int, Pbx]:
    """Lock the records and return them as they are now.

    Always in one order, so that two callers never wait for each other.
    """
    rows = Pbx.objects.select_for_update().filter(pk__in=list(pbx_ids)).order_by("pk")
    return {pbx.pk: pbx for pbx in rows.only("read_at", "ivr_count", "refresh_minutes", "revision")}


def known_rows(listings: Sequence[Listing]) -> dict[int, dict[str, Ivr]]:
    """Return the snapshots of each PBX, by number. Where only some IVRs were read and all are known, only those."""
    rows = Ivr.objects.filter(pbx_id__in=[each.pbx.pk for each in listings]).order_by()
    listed = {(each.pbx.pk, number) for each in listings for number in each.by_number}
    found: Iterable[Ivr] = rows
    if not any(each.is_whole for each in listings):
        these = list(rows.filter(number__in={number for _, number in listed}))
        found = these if listed <= {(row.pbx_id, row.number) for row in these} else rows
    known: dict[int, dict[str, Ivr]] = {each.pbx.pk: {} for each in listings}
    for row in found:
        known[row.pbx_id][row.number] = row
    return known


def new_rows(each: Listing, known: dict[int, dict[str, Ivr]], read_at: datetime) -> Iterator[Ivr]:
    """Yield rows for the IVRs that are not known, or not like this."""
    rows = known[each.pbx.pk]
    for ivr in each.by_number.values():
        row = rows.get(ivr.number)
        new, at = as_kept(ivr, row, read_at)
        if row is None or row.settings != new or row.raw != new.raw:
            yield snapshot_row(each.pbx, new, at)


def as_kept(ivr: IvrSettings, row: Ivr | None, read_at: datetime) -> tuple[IvrSettings, datetime]:
    """Return what to keep of a reading, and as of when: of a flawed one, the last clear values and their time."""
    if row is None or not ivr.flaw:
        return ivr, read_at
    return replace(row.settings, raw=ivr.raw, flaw=ivr.flaw), row.read_at


def differences(each: Listing, pbx: Pbx, known: dict[int, dict[str, Ivr]], read_at: datetime) -> Iterator[Difference]:
    """Yield where a reading and the snapshots differ. The first reading of a whole PBX has nothing to differ from."""
    rows = known[each.pbx.pk]
    if pbx.read_at is None:
        return
    for ivr in each.by_number.values():
        row = rows.get(ivr.number)
        if not ivr.number or (row and ivr.flaw):
            continue
        if row is not None and row.settings != ivr:
            yield Difference(each.pbx, ivr.number, row.settings.values(), ivr.values(), row.read_at, read_at)
        elif row is None and each.is_whole:
            yield Difference(each.pbx, ivr.number, None, ivr.values(), pbx.read_at, read_at)
    for row in missing_rows(each, pbx, known):
        if not row.number:
            continue
        yield Difference(each.pbx, row.number, row.settings.values(), None, row.read_at, read_at)


def snapshot_row(pbx: Pbx, settings: IvrSettings, read_at: datetime) -> Ivr:
    """Return the row of a reading, not saved yet."""
    timeout = settings.response_timeout or ""
    return Ivr(
        pbx=pbx,
        **settings.values(),
        response_timeout_s=int(timeout) if timeout.isdecimal() and len(timeout) < 9 else None,
        raw=dict(settings.raw),
        flaw=settings.flaw,
        read_at=read_at,
    )


def write_snapshots(rows: Sequence[Ivr]) -> None:
    """Insert these snapshots, or update those that exist."""
    Ivr.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["pbx", "number"],
        update_fields=SNAPSHOT_COLUMNS,
        batch_size=ROWS_PER_STATEMENT,
    )


def touch_snapshots(listings: Sequence[Listing], written: Collection[tuple[int, str]], read_at: datetime) -> None:
    """Update only the time of the IVRs that are as they were: most are."""
    whole = [each.pbx.pk for each in listings if each.is_clear]
    Ivr.objects.filter(pbx_id__in=whole).update(read_at=read_at)
    for each in listings:
        numbers = [ivr.number for ivr in each.ivrs if not ivr.flaw and (each.pbx.pk, ivr.number) not in written]
        if numbers and not each.is_clear:
            Ivr.objects.filter(pbx_id=each.pbx.pk, number__in=numbers).update(read_at=read_at)


def missing_rows(each: Listing, pbx: Pbx, known: dict[int, dict[str, Ivr]]) -> Iterator[Ivr]:
    """Yield the snapshots of IVRs that are gone. pbx: as stored, with the count of the reading before."""
    if each.is_clear or (each.found_none and pbx.ivr_count == 0):
        listed = each.by_number
        yield from (row for number, row in known[each.pbx.pk].items() if number not in listed)


def drop_snapshots(rows: Iterable[Ivr]) -> None:
    """Delete these snapshots."""
    ids = [row.pk for row in rows]
    if ids:
        Ivr.objects.filter(pk__in=ids).delete()


def save_counts(listings: Sequence[Listing], pbxs: dict[int, Pbx], read_at: datetime) -> None:
    """Store on each PBX how many IVRs it has, when it was read, and when it is read next."""
    for each in listings:
        pbx = pbxs[each.pbx.pk]
        pbx.ivr_count, pbx.read_at, pbx.next_refresh_at = len(each.ivrs), read_at, next_refresh(pbx, read_at)
    rows_update([pbxs[each.pbx.pk] for each in listings], ["ivr_count", "read_at", "next_refresh_at"])


def next_refresh(pbx: Pbx, now: datetime) -> datetime:
    """Return when a PBX is due again: never later than its interval, and not at the same moment as all others."""
    return now + timedelta(minutes=pbx.refresh_minutes) * random.uniform(0.8, 1.0)  # noqa: S311  (no secret)
