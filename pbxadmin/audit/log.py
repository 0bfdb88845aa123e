"""The one way into the log."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.dispatch import Signal
from django.utils import timezone

from pbxadmin.folding import searched_text

from .actions import EventAction
from .context import Actor, current
from .models import INSTALLATION_CHAIN, MAX_ID, Event

Named = tuple[int, str]
DERIVED = ("field_names", "words")  # columns that are made of several facts
INDEX = {
    field.name: field.max_length for field in Event._meta.concrete_fields if field.name not in ("id", "text", "hash")
}
LATER = frozenset({"batch_id"})  # stated only by events that have one, so that texts of 0.1 stay complete
TOLD = {name: most for name, most in INDEX.items() if name not in ("at", *DERIVED)}
UNKEPT = re.compile("[\x00\ud800-\udfff]")  # NUL and lone surrogates: not every database takes them
event_appended = Signal()  # sent with each `event`, in its transaction and with its chain locked
SHORT_VALUE = 3  # characters; shorter values, such as a number of seconds, are not searched for


def record(
    action: EventAction,
    *,
    outcome: str = "",
    customer: Named | None = None,
    pbx: Named | None = None,
    ivr: tuple[str, str] | None = None,
    change_id: int | None = None,
    batch_id: int | None = None,
    fields: Mapping[str, Mapping[str, Any]] | None = None,
    detail: Mapping[str, Any] | None = None,
    reason: str = "",
    ticket: str = "",
    actor: Actor | None = None,
) -> Event:
    """Append an event to the chain of its customer, or of the installation when there is none.

    fields: per field its "before", "asked" and "found", as far as they are known. Never a secret.
    It commits with the caller's transaction, or by itself. Raises ValueError for an action that is not of
    EventAction, and whatever the database raises: a caller that cannot record must not go on.
    """
    if not isinstance(action, EventAction):
        raise ValueError(f"the log knows no action {action!r}: see EventAction")
    context = current()
    actor = actor or context.actor
    facts = {
        "actor_id": actor.id,
        "actor_name": actor.name,
        "address": context.address,
        "request_id": context.request_id,
        "customer_id": customer[0] if customer else None,
        "customer_name": customer[1] if customer else "",
        "pbx_id": pbx[0] if pbx else None,
        "pbx_name": pbx[1] if pbx else "",
        "ivr_number": ivr[0] if ivr else "",
        "ivr_name": ivr[1] if ivr else "",
        "action": action.value,
        "outcome": outcome,
        "change_id": change_id,
        "fields": fields or {},
        "detail": {**(detail or {}), **({"api_key": context.api_key} if context.api_key else {})},
        "reason": reason,
        "ticket": ticket,
    } | ({"batch_id": batch_id} if batch_id else {})
    return append(f"customer:{customer[0]}" if customer else INSTALLATION_CHAIN, storable(facts))


def append(chain: str, facts: Mapping[str, Any]) -> Event:
    """Insert an event at the end of a chain. What can be is computed before the chain is locked: others wait."""
    derived = derived_of(facts)
    with transaction.atomic(), connection.cursor() as cursor:
        sequence, previous = locked_tail(cursor, chain)
        columns = written(chain, sequence + 1, previous, timezone.now(), facts, derived)
        kept = columns | {"at": connection.ops.adapt_datetimefield_value(columns["at"])}
        cursor.execute(INSERT, [*map(kept.get, EVENT_COLUMNS)])
        event = Event(id=cursor.fetchone()[0], **columns)
        event._state.adding, event._state.db = False, connection.alias
        event_appended.send(Event, event=event)
    return event


EVENT_COLUMNS = [field.name for field in Event._meta.concrete_fields if field.name != "id"]
# Plain SQL, because saving a model takes several times as long while other writers wait.
INSERT = (
    f"INSERT INTO audit_event ({', '.join(EVENT_COLUMNS)})"  # noqa: S608
    f" VALUES ({', '.join(['%s'] * len(EVENT_COLUMNS))}) RETURNING id"
)
LOCK = "SELECT pg_advisory_xact_lock(%s); "
TAIL = (
    f"SELECT sequence, hash FROM audit_event WHERE chain = %s AND sequence <= {MAX_ID}"  # noqa: S608
    " ORDER BY sequence DESC LIMIT 1"
)


def locked_tail(cursor: CursorWrapper, chain: str) -> tuple[int, str]:
    """Lock a chain until the transaction ends; return number and hash of its last event, 0 and "" for none.

    On SQLite the IMMEDIATE transaction is that lock already. On PostgreSQL both go in one message, and the second
    sees what was committed before the first got the lock.
    """
    if connection.vendor == "postgresql":
        cursor.execute(LOCK + TAIL, [lock_key(chain), chain])
        cursor.nextset()
    else:
        cursor.execute(TAIL, [chain])
    sequence, previous = cursor.fetchone() or (0, "")
    return int(sequence), str(previous)  # whatever somebody wrote there, the log goes on


def hold(chain: str) -> None:
    """Keep everybody else from appending to a chain until the caller's transaction ends."""
    with connection.cursor() as cursor:
        locked_tail(cursor, chain)


def lock_key(chain: str) -> int:
    return int.from_bytes(hashlib.sha256(f"audit:{chain}".encode()).digest()[:8], signed=True)


def written(
    chain: str,
    sequence: int,
    previous: str,
    at: datetime,
    facts: Mapping[str, Any],
    derived: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return all columns of the event at this place of a chain. at: UTC. derived: as of derived_of, when known."""
    derived = derived or derived_of(facts)
    when = at.isoformat(timespec="microseconds")
    place = {"chain": chain, "sequence": sequence, "at": when, "previous_hash": previous}
    data = {**facts, **place, "index": derived_digest([derived[name] for name in DERIVED])}
    text = canonical_json(data)
    return {**told_of(data), **derived, "at": at, "text": text, "hash": link(previous, text)}


def derived_digest(derived: Sequence[str]) -> str:
    """Return the digest of the derived columns that the text holds.

    It shows whether they were altered, without deriving them again and even if a later version derives them otherwise.
    """
    return hashlib.sha256("\n".join(derived).encode()).hexdigest()[:32]


def index_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that the text states directly. Raises KeyError when it lacks one."""
    return {**told_of(data), "at": datetime.fromisoformat(data["at"])}


def told_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return these columns without the time, each cut to its length."""
    said = {**dict.fromkeys(LATER), **data}
    return {name: said[name][:most] if most and said[name] is not None else said[name] for name, most in TOLD.items()}


def derived_of(facts: Mapping[str, Any]) -> dict[str, str]:
    made = {"field_names": field_names_of(facts), "words": search_words(facts)}
    return {name: value[: INDEX[name]] for name, value in made.items()}


def field_names_of(data: Mapping[str, Any]) -> str:
    return "".join(f" {name}" for name in sorted(data["fields"])) + " " if data["fields"] else ""


def search_words(data: Mapping[str, Any]) -> str:
    """Return what a search finds, folded: names, numbers, address, ticket, reason, detail and the longer values.

    The name of the actor comes first: the log is narrowed by it.
    """
    names = ("actor_name", "address", "customer_name", "pbx_name", "ivr_number", "ivr_name", "ticket", "reason")
    values = (said for said in leaves(data["fields"]) if len(said) > SHORT_VALUE)
    return searched_text((*(data[name] for name in names), *leaves(data["detail"]), *values))


def leaves(value: Any) -> Iterator[str]:
    """Yield every text and number of a value as text, in the order of its keys, as it is stored."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, Mapping):
        for key in sorted(value):
            yield from leaves(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)


def fold_before_accents(text: str) -> str:
    """Return a text as the events of 0.1 hold it: independent of case and width, with accents."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def canonical_json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def link(previous: str, text: str) -> str:
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def storable(value: Any) -> Any:
    """Return the same value in types and characters that JSON and every database accept."""
    if isinstance(value, str):
        return UNKEPT.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value
