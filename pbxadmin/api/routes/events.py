"""The log and its checkpoints: read, and as a stream of JSON Lines."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from ninja import Query, Router, Schema

from pbxadmin.access.models import User, customer_ids
from pbxadmin.access.permissions import require, require_anywhere
from pbxadmin.access.roles import Action
from pbxadmin.api.calling import caller, row_or_404
from pbxadmin.api.description import answers
from pbxadmin.api.idempotency import calling_key
from pbxadmin.api.models import ApiKey
from pbxadmin.api.paging import list_page_out, list_query
from pbxadmin.api.schemas import CheckpointsOut, EventOut, EventsOut
from pbxadmin.audit.checkpoints import read_checkpoints, shown_key
from pbxadmin.audit.context import current
from pbxadmin.audit.models import Event, EventQuerySet
from pbxadmin.review.exports import CONTENT_TYPES, events_export
from pbxadmin.review.selectors import EventFilter, events_for

router = Router(tags=["Log"])
EventQuery: Any = list_query(EventFilter, without=["times"])
StreamQuery: Any = list_query(EventFilter, without=["times"], base=Schema)


def event_out(event: Event) -> dict[str, Any]:
    copied = ("id", "chain", "sequence", "at", "action", "outcome", "text", "hash")
    return {name: getattr(event, name) for name in copied}


def events_out(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [event_out(event) for event in events]


def reviewed(request: HttpRequest) -> EventQuerySet:
    """Return the events that the caller may review. Who may review none is refused, which is an event."""
    require_anywhere(caller(request), Action.REVIEW_LOG)
    return events_for(caller(request))


@router.get("/events", response=EventsOut, operation_id="event_list")
def event_list_operation(
    request: HttpRequest,
    response: HttpResponse,
    asked: Query[EventQuery],
) -> dict[str, Any]:
    """List events, newest first, with the filters of the log. `from` and `to`: days, UTC."""
    events, wanted = reviewed(request), EventFilter.from_query(request.GET)
    return list_page_out(request, response, wanted.narrow(events), ["-id"], events_out)


@router.get("/events.jsonl", operation_id="event_stream", openapi_extra=answers(CONTENT_TYPES["jsonl"]))
def event_stream_operation(request: HttpRequest, asked: Query[StreamQuery]) -> HttpResponseBase:
    """Stream what a filter finds, oldest first, as JSON Lines; the last line counts them. The log says so."""
    reviewed(request)
    lines = events_export(user=caller(request), wanted=EventFilter.from_query(request.GET), form="jsonl")
    return StreamingHttpResponse(while_taken(request, lines), content_type=CONTENT_TYPES["jsonl"])


def while_taken(request: HttpRequest, lines: Generator[bytes, None, None]) -> Iterator[bytes]:
    """Yield the parts of a stream while the key is taken and its holder reviews what they did when it began.

    Without its last line a stream is not whole, which the log says too.
    """
    pk, address, reviewed_then = calling_key(request).pk, current().address, reviewed_by(caller(request))
    with closing(lines):
        for part in lines:
            key = ApiKey.objects.select_related("holder").filter(pk=pk).first()
            if key is None or key.why_refused(address) or reviewed_by(key.holder) != reviewed_then:
                return
            yield part


def reviewed_by(holder: User) -> frozenset[int] | None:
    """Return the customers whose log somebody reviews; None for all."""
    return customer_ids(holder, Action.REVIEW_LOG)


@router.get("/events/{event_id}", response=EventOut, operation_id="event_read")
def event_read_operation(request: HttpRequest, event_id: int) -> dict[str, Any]:
    """Read one event."""
    return event_out(row_or_404(reviewed(request), event_id))


@router.get("/checkpoints", response=CheckpointsOut, operation_id="checkpoint_list")
def checkpoint_list_operation(request: HttpRequest, after: int = 0) -> dict[str, Any]:
    """List the signed checkpoints with a number above `after`, to be kept elsewhere. They are of all customers."""
    require(caller(request), Action.REVIEW_LOG, None)
    found = [each for each in read_checkpoints().entries if each.number > after][:500]
    items = [{"number": each.number, "at": each.at, "line": each.line} for each in found]
    return {"public_key": shown_key(), "items": items}
