"""Making evidence packs of what a filter of the log page finds, and recording it."""

import hashlib
from collections.abc import Collection
from typing import IO

from django.conf import settings

from pbxadmin.access.models import as_named
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.evidence import Pack, pack_write
from pbxadmin.audit.log import record
from pbxadmin.audit.models import EventQuerySet

from .desk import customer_of_chain
from .selectors import EventFilter


def filter_query(wanted: EventFilter) -> str:
    """Return the query of the filter, with the first day that a search really covered."""
    if wanted.first_day == wanted.since:
        return wanted.query
    return f"{wanted.query}&from={wanted.first_day}"


def evidence_make(file: IO[bytes], events: EventQuerySet, *, made_by: str, wanted: str) -> Pack:
    """Write the pack and record it with its SHA-256 before anybody gets it."""
    pack = pack_write(file, events, made_by=made_by, wanted=wanted, site=settings.SITE_URL)
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    detail = {"filter": wanted, "count": pack.count, "chains": len(pack.chains), "sha256": digest}
    record(EventAction.EVIDENCE_MADE, customer=customer_of_pack(pack.chains), detail=detail)
    return pack


def customer_of_pack(chains: Collection[str]) -> tuple[int, str] | None:
    """Return the only customer whose events were packed, or None when the event belongs to the installation."""
    (chain, *others) = sorted(chains) or [""]
    return None if others else as_named(customer_of_chain(chain))
