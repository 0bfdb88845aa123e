"""Exports of the log: a whole filter as a file, streamed and counted, with an event at its start and at its end."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Generator, Iterator
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.utils import timezone

from pbxadmin.access.models import as_named
from pbxadmin.access.permissions import customer_ids, only_customer
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.checkpoints import checkpoint_make
from pbxadmin.audit.context import AuditContext, acting, current
from pbxadmin.audit.log import Named, record
from pbxadmin.audit.models import Event, EventQuerySet
from pbxadmin.audit.stored import as_text
from pbxadmin.web.csv import neutral
from pbxadmin.web.times import local_time

from .selectors import EventFilter, events_for, ids_within, on_days

if TYPE_CHECKING:
    from pbxadmin.access.models import User

WINDOW = 2_000  # ids; what is read at a time, and so what is in memory
# What the installation writes itself, and what people and PBXs write, which a spreadsheet must not run.
OURS = ("id", "at", "chain", "sequence", "action", "outcome", "actor_id", "customer_id", "pbx_id", "change_id")
THEIRS = ("actor_name", "customer_name", "pbx_name", "ivr_number", "ivr_name", "ticket")
HEADER = (*OURS, *THEIRS, "text", "hash", "local_time")
STORED_COLUMNS = tuple(name for name in HEADER if name not in ("at", "local_time"))  # the text says when
NAMES_AT = STORED_COLUMNS.index("actor_name")
TIME_KEY, TIME_LENGTH = ',"at":"', len("2026-01-04T09:10:11.123456+00:00")

ExportRow = tuple[Any, ...]


def events_export(*, user: "User", wanted: EventFilter, form: str) -> Generator[bytes, None, None]:
    """Return what the person may see of a filter, oldest first, up to now. form: a key of FORMATS.

    Before the first byte an event says that the export begins, and a checkpoint of its chains is made. Another event
    says how it ended, also when nobody took the last byte.
    """
    customer = customer_of_export(user, wanted)
    began = record(EventAction.LOG_EXPORTED, customer=customer, detail={"filter": wanted.query, "format": form})
    checkpoint_make("export", chains_of(user, wanted))
    unmap()
    events = on_days(wanted.matching(events_for(user)), wanted.first_day, wanted.until)
    found = (rows_of(events.filter(pk__gte=ids.start, pk__lt=ids.stop)) for ids in windows(wanted, began.pk))
    zone = timezone.get_current_timezone()  # here, because the request is over when the lines are made
    return counted(FORMATS[form](wanted, found, zone), began, customer, current())


def customer_of_export(user: "User", wanted: EventFilter) -> Named | None:
    """Return the only customer whose events the export can hold, or None: its chain records the export."""
    return as_named(only_customer(user, Action.REVIEW_LOG, wanted.customer))


def chains_of(user: "User", wanted: EventFilter) -> list[str] | None:
    """Return the chains of the events that the export can hold; None for all chains."""
    ids = customer_ids(user, Action.REVIEW_LOG)
    only = {wanted.customer} if wanted.customer and (ids is None or wanted.customer in ids) else ids
    return None if only is None else [f"customer:{pk}" for pk in sorted(only)]


def unmap() -> None:
    """Switch off memory mapping of SQLite until the request ends: a whole log read would count as our memory."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA mmap_size = 0")


def windows(wanted: EventFilter, end: int) -> Iterator[range]:
    """Yield the ids of the period below `end`, in parts.

    A query must have no other bounds of ids: of two lower bounds SQLite uses the first, and would read the whole period
    for each part.
    """
    first, last = ids_within(wanted.first_day, wanted.until)
    ids = range(first or end, min(last or 0, end - 1) + 1)
    return (ids[start : start + WINDOW] for start in range(0, len(ids), WINDOW))


def rows_of(events: EventQuerySet) -> list[ExportRow]:
    """Fetch rows from the driver directly: the model layer would convert each row, and nothing needs conversion."""
    try:
        query = events.order_by("pk").values_list(*STORED_COLUMNS).query.sql_with_params()
    except EmptyResultSet:
        return []
    with connection.cursor() as cursor:
        cursor.execute(*query)
        found: list[ExportRow] = cursor.fetchall()
    return found


def counted(
    parts: Iterator[tuple[int, str]], began: Event, customer: Named | None, context: AuditContext
) -> Generator[bytes, None, None]:
    """Yield the parts as bytes; at the end, record how many events went out and the hash of all bytes."""
    digest, events, is_whole = hashlib.sha256(), 0, False
    try:
        for count, part in parts:
            data = part.encode()
            digest.update(data)
            events += count
            yield data
        is_whole = True
    finally:
        detail = {"export": began.pk, "events": events, "whole": is_whole, "sha256": digest.hexdigest()}
        with acting(context):  # the request is over for everything else
            record(EventAction.LOG_EXPORT_ENDED, customer=customer, detail=detail)


def as_csv(wanted: EventFilter, found: Iterator[list[ExportRow]], zone: tzinfo) -> Iterator[tuple[int, str]]:
    """Yield the file as CSV. Cells that a spreadsheet would run begin with an apostrophe (web.csv.restored)."""
    total = 0
    yield 0, "\ufeff" + csv_text([HEADER])
    for rows in found:
        total += len(rows)
        yield len(rows), csv_text(cells(row, zone) for row in rows)
    yield 0, csv_text([("count", total)])


def cells(row: ExportRow, zone: tzinfo) -> ExportRow:
    try:
        return in_order(row, zone)
    except TypeError:  # bytes: the owner of an SQLite file wrote them there
        return in_order(tuple(as_text(value) if isinstance(value, bytes) else value for value in row), zone)


def in_order(row: ExportRow, zone: tzinfo) -> ExportRow:
    at = time_in(row[-2])
    return (row[0], at, *row[1:NAMES_AT], *map(neutral, row[NAMES_AT:-2]), *row[-2:], local(at, zone))


def local(at: str, zone: tzinfo) -> str:
    """Return the same moment in a zone; "" for what is no time, as an altered text may say."""
    try:
        return local_time(datetime.fromisoformat(at), zone)
    except (ValueError, OverflowError):
        return ""


def time_in(text: str) -> str:
    """Return the time of an event from its text. TIME_KEY cannot come before it: quotes in values are escaped."""
    start = text.find(TIME_KEY) + len(TIME_KEY)
    return text[start : start + TIME_LENGTH]


def as_jsonl(wanted: EventFilter, found: Iterator[list[ExportRow]], _: tzinfo) -> Iterator[tuple[int, str]]:
    """Yield the file as JSON Lines: each event is its stored text, unchanged, with id and hash."""
    total = 0
    for rows in found:
        total += len(rows)
        yield len(rows), "".join(f'{{"id":{row[0]},"hash":"{row[-1]}","event":{row[-2]}}}\n' for row in rows)
    yield 0, json.dumps({"count": total, "filter": wanted.query}) + "\n"


FORMATS: dict[str, Callable[[EventFilter, Iterator[list[ExportRow]], tzinfo], Iterator[tuple[int, str]]]] = {
    "csv": as_csv,
    "jsonl": as_jsonl,
}
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}


def csv_text(rows: Any) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
