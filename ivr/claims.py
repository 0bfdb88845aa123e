"""Claims with an expiry: one process at a time works on a row, and one that dies leaves nothing locked.

A row that can be claimed has a column `claimed_until`. A claim is a conditional UPDATE, so of two processes one wins.
The right to talk to a PBX is a claim of its own, the lease (fleet/lease.py), which all callers share.
It ends by itself: `expired_claim` finds what a dead process left, and `release_expired` frees it for the next one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

M = TypeVar("M", bound=Model)


class ClaimedRow(Protocol):
    """A row as its claimer read it last."""

    pk: Any
    claimed_until: datetime | None


def expired_claim(now: datetime) -> Q:
    """Match rows whose claim ran out: whoever claimed them died, or was held up for too long."""
    return Q(claimed_until__lte=now)


def unclaimed(now: datetime) -> Q:
    """Match rows that nobody works on at this time."""
    return Q(claimed_until=None) | expired_claim(now)


def claim_one(rows: QuerySet[M], seconds: float, **columns: Any) -> bool:
    """Claim the row of a query for so many seconds, by one UPDATE that also writes these columns.

    rows: one row at most, with the conditions under which it may be claimed. Returns False when somebody else holds
    it or the conditions do not hold any more.
    """
    now = timezone.now()
    return rows.filter(unclaimed(now)).update(claimed_until=now + timedelta(seconds=seconds), **columns) == 1


def claim_many(rows: QuerySet[M], seconds: float, **columns: Any) -> frozenset[int]:
    """Claim all rows of a query that are free, and write these columns. Return their ids.

    The rows are locked in one order while they are claimed, so that two claimers never wait for each other.
    """
    now = timezone.now()
    with transaction.atomic():
        free = rows.filter(unclaimed(now)).select_for_update().order_by("pk")
        ids = frozenset(free.values_list("pk", flat=True))
        rows.model._default_manager.filter(pk__in=ids).update(claimed_until=now + timedelta(seconds=seconds), **columns)
    return ids


def still_claimed(rows: QuerySet[M], row: ClaimedRow) -> QuerySet[M]:
    """Filter to this row, as long as nobody else claimed it after us. An expired claim counts until then."""
    return rows.filter(pk=row.pk, claimed_until=row.claimed_until)


def release_claims(rows: QuerySet[M], **columns: Any) -> int:
    """Give claimed rows back and write these columns. Return how many rows there were."""
    return rows.update(claimed_until=None, **columns)


def release_expired(rows: QuerySet[M], **columns: Any) -> int:
    """Take up what dead processes left: free the rows whose claim ran out. Return how many there were."""
    return release_claims(rows.filter(expired_claim(timezone.now())), **columns)


@contextmanager
def released_on_failure(rows: QuerySet[M]) -> Iterator[None]:
    """Give these rows back when the block fails, whatever ended it: an error, a signal, the end of the process."""
    try:
        yield
    except BaseException:
        release_claims(rows)
        raise
