"""Keeping what was read. A snapshot is written after every read, by whoever made it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.fields import FIELDS
from pbxadmin.yeastar.wire import IvrSettings

from .models import Ivr

COLUMNS = [field.name for field in FIELDS if field.name != "number"] + ["response_timeout_s", "raw", "read_at"]


def snapshot_row(pbx: Pbx, settings: IvrSettings, read_at: datetime) -> Ivr:
    timeout = settings.response_timeout or ""
    return Ivr(
        pbx=pbx,
        **settings.values(),
        response_timeout_s=int(timeout) if timeout.isdecimal() and len(timeout) < 9 else None,
        raw=dict(settings.raw),
        read_at=read_at,
    )


def snapshots_write(rows: Iterable[Ivr]) -> None:
    Ivr.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["pbx", "number"], update_fields=COLUMNS, batch_size=500
    )


def snapshot_keep(pbx: Pbx, settings: IvrSettings, read_at: datetime) -> None:
    """Keep the reading of one IVR."""
    snapshots_write([snapshot_row(pbx, settings, read_at)])


def snapshots_keep(readings: Sequence[tuple[Pbx, Sequence[IvrSettings]]], read_at: datetime) -> None:
    """Keep readings of whole PBXs, in one transaction. An IVR that is not listed any more is dropped.

    An empty list drops nothing: what a PBX without IVRs answers is not documented, so it proves nothing.
    """
    with transaction.atomic():
        for pbx, ivrs in readings:
            if ivrs:
                pbx.ivrs.exclude(number__in=[ivr.number for ivr in ivrs]).delete()
        snapshots_write(snapshot_row(pbx, ivr, read_at) for pbx, ivrs in readings for ivr in ivrs)
        for pbx, ivrs in readings:
            Pbx.objects.filter(pk=pbx.pk).update(ivr_count=len(ivrs), read_at=read_at)
