"""The lease that gives one caller a PBX.

A PBX is small: one request at a time. The lease is a row claimed by a conditional update(), so that it holds between
threads, processes and machines, and it ends by itself after 45 s at most, so that a dead process frees its PBX.
"""

import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from pbxadmin.yeastar.errors import PbxHeldBack

from .concurrency import waiting_slot
from .models import Lease

LEASE_S = 45
WAIT_S = 5.0
POLL_S = 0.1
LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.get_fixed_timezone(0))


class PbxInUse(PbxHeldBack):
    """Raised when another caller holds the lease. The message names that caller."""


@dataclass(frozen=True)
class LeaseHandle:
    """A claimed lease on one PBX or on several."""

    holder: str
    pbx_ids: frozenset[int]

    @property
    def is_still_held(self) -> bool:
        """Tell whether no other caller took a lease meanwhile."""
        mine = Lease.objects.filter(pbx_id__in=self.pbx_ids, holder=self.holder, until__gt=timezone.now())
        return mine.count() == len(self.pbx_ids)

    def release(self) -> None:
        Lease.objects.filter(pbx_id__in=self.pbx_ids, holder=self.holder).update(holder="", held_by="", until=LONG_AGO)


def lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=LEASE_S)


def lease_claim(pbx_ids: Collection[int], held_by: str, until: datetime | None = None) -> LeaseHandle:
    """Claim the free leases of these PBXs in one statement. A PBX that `pbx_ids` of the result lacks is in use.

    until: when the lease expires; in 45 s by default.
    """
    holder = str(uuid.uuid4())
    free = Lease.objects.filter(pbx_id__in=pbx_ids, until__lte=timezone.now())
    if not free.update(holder=holder, held_by=held_by[:200], until=until or lease_end()):
        return LeaseHandle(holder, frozenset())
    if len(pbx_ids) == 1:
        return LeaseHandle(holder, frozenset(pbx_ids))
    return LeaseHandle(holder, frozenset(Lease.objects.filter(holder=holder).values_list("pbx_id", flat=True)))


@contextmanager
def leased(pbx_id: int, held_by: str, wait_s: float = WAIT_S, until: datetime | None = None) -> Iterator[LeaseHandle]:
    """Hold one PBX for the length of the block. Raises PbxInUse when it is not free within `wait_s`, TooManyWaiting."""
    give_up = time.monotonic() + wait_s
    with waiting_slot():
        while not (held := lease_claim([pbx_id], held_by, until)).pbx_ids:
            if time.monotonic() >= give_up:
                raise in_use(pbx_id)
            time.sleep(POLL_S)
        try:
            yield held
        finally:
            held.release()


def is_leased(pbx_id: int) -> bool:
    """Tell whether a caller holds this PBX now."""
    return Lease.objects.filter(pbx_id=pbx_id, until__gt=timezone.now()).exists()


def in_use(pbx_id: int) -> PbxInUse:
    by = Lease.objects.filter(pbx_id=pbx_id, until__gt=timezone.now()).values_list("held_by", flat=True).first()
    return PbxInUse(f"This PBX is in use: {by or 'another task'}. Try again in a moment.")
