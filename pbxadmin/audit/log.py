"""The one way into the log."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from .actions import ACTIONS
from .context import Actor, current
from .models import INSTALLATION, Event

Named = tuple[int, str]
DERIVED = ("field_names", "words")  # columns that are made of several facts
INDEX = {
    field.name: field.max_length for field in Event._meta.concrete_fields if field.name not in ("id", "text", "hash")
}
SHORT = 3  # values of fields up to this long, such as a number of seconds, are no words to look for


def record(
    action: str,
    *,
    outcome: str = "",
    customer: Named | None = None,
    pbx: Named | None = None,
    ivr: tuple[str, str] | None = None,
    change_id: int | None = None,
    fields: Mapping[str, Mapping[str, Any]] | None = None,
    detail: Mapping[str, Any] | None = None,
    reason: str = "",
    ticket: str = "",
    actor: Actor | None = None,
) -> Event:
    """Append an event to the chain of its customer, or of the installation when there is none.

    fields: per field its "before", "asked" and "found", as far as they are known. Never a secret.
    It commits with the caller's transaction, or by itself. Raises ValueError for an action that actions.py does not
    know, and whatever the database raises: a caller that cannot record must not go on.
    """
    if action not in ACTIONS:
        raise ValueError(f"the log knows no action {action!r}")
    who = current()
    actor = actor or who.actor
    facts = {
        "actor_id": actor.id,
        "actor_name": actor.name,
        "address": who.address,
        "request_id": who.request_id,
        "customer_id": customer[0] if customer else None,
        "customer_name": customer[1] if customer else "",
        "pbx_id": pbx[0] if pbx else None,
        "pbx_name": pbx[1] if pbx else "",
        "ivr_number": ivr[0] if ivr else "",
        "ivr_name": ivr[1] if ivr else "",
        "action": action,
        "outcome": outcome,
        "change_id": change_id,
        "fields": fields or {},
        "detail": detail or {},
        "reason": reason,
        "ticket": ticket,
    }
    return append(f"customer:{customer[0]}" if customer else INSTALLATION, cleaned(facts))


def append(chain: str, facts: Mapping[str, Any]) -> Event:
    with transaction.atomic():
        lock(chain)
        tail = Event.objects.filter(chain=chain).order_by("-sequence").values_list("sequence", "hash").first()
        sequence, previous = (tail[0] + 1, tail[1]) if tail else (1, "")
        return Event.objects.create(**written(chain, sequence, previous, timezone.now(), facts))


def written(chain: str, sequence: int, previous: str, at: datetime, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All columns of the event that takes this place of a chain. at: UTC."""
    when = at.isoformat(timespec="microseconds")
    data = {**facts, "chain": chain, "sequence": sequence, "at": when, "previous_hash": previous}
    columns = index_of(data)
    text = canonical(data | {"index": digest_of([columns[name] for name in DERIVED])})
    return {**columns, "text": text, "hash": link(previous, text)}


def digest_of(derived: Sequence[str]) -> str:
    """What the text says of the columns that are made of several facts.

    They can be told from altered ones although a later version derives them otherwise, and without deriving them anew.
    """
    return hashlib.sha256("\n".join(derived).encode()).hexdigest()[:32]


def index_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The columns beside the text: what it says, cut to what they hold. Raises KeyError when it says too little."""
    said = {name: data[name] for name in INDEX if name not in DERIVED}
    said |= {"field_names": field_names_of(data), "words": words_of(data)}
    cut = {name: value[: INDEX[name]] if isinstance(value, str) else value for name, value in said.items()}
    return {**cut, "at": datetime.fromisoformat(data["at"])}


def field_names_of(data: Mapping[str, Any]) -> str:
    return "".join(f" {name}" for name in sorted(data["fields"])) + " " if data["fields"] else ""


def words_of(data: Mapping[str, Any]) -> str:
    """Names, numbers, address, ticket, reason, and what is said in the detail and the longer values, folded."""
    names = ("actor_name", "address", "customer_name", "pbx_name", "ivr_number", "ivr_name", "ticket", "reason")
    values = (said for said in leaves(data["fields"]) if len(said) > SHORT)
    return folded(" ".join(filter(None, (*(data[name] for name in names), *leaves(data["detail"]), *values))))


def leaves(value: Any) -> Iterator[str]:
    """Every text and number in it, as text, in the order of the keys, in which it is stored."""
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value)]
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield str(value)
        return
    elif not isinstance(value, list):
        return
    for item in value:
        yield from leaves(item)


def folded(text: str) -> str:
    """The form in which words are looked for, whatever their case and width."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def lock(chain: str) -> None:
    """One writer per chain until the transaction ends. On SQLite the IMMEDIATE transaction is that lock already."""
    if connection.vendor == "postgresql":
        key = int.from_bytes(hashlib.sha256(f"audit:{chain}".encode()).digest()[:8], signed=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


def canonical(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def link(previous: str, text: str) -> str:
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def cleaned(value: Any) -> Any:
    """The same value without NUL and lone surrogates, which not every database takes."""
    if isinstance(value, str):
        return re.sub("[\x00\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {cleaned(str(key)): cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(item) for item in value]
    return value
