"""The table of events. Ids and names are stored as they were; nothing refers to another table."""

import json
from collections.abc import Collection
from datetime import UTC, datetime
from functools import cached_property
from operator import is_
from typing import Any, Self

from django.db import models
from django.urls import reverse

from .actions import ACTION_LABELS

INSTALLATION_CHAIN = "installation"
ALTERED = "Altered or removed. manage.py audit_verify says more of it."
# What every text says, as texts; beside it "fields" and "detail".
SAID = (
    *("actor_name", "address", "request_id", "customer_name", "pbx_name", "ivr_number", "ivr_name"),
    *("action", "outcome", "reason", "ticket"),
)
IDS = ("actor_id", "customer_id", "pbx_id", "change_id", "batch_id")
NUMBERS = frozenset((*IDS, "id", "sequence"))
MAX_ID = 2**63 - 1  # above every id and number; SQLite sorts what is none, such as words, above it
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class EventQuerySet(models.QuerySet["Event"]):
    def for_customers(self, ids: Collection[int] | None) -> Self:
        """Events of these customers; None means all, those of the installation too."""
        return self if ids is None else self.filter(customer_id__in=ids)

    def hash_at(self, chain: str, sequence: int) -> str | None:
        """Return the hash of the event at this place of a chain, or None when there is no event."""
        return self.filter(chain=chain, sequence=sequence).values_list("hash", flat=True).first()


class Event(models.Model):
    """One event of the log. `text` is the event: canonical JSON, which was hashed. The other columns are its index.

    field_names: the fields that it states values of, with a blank before, between and after them.
    words: what a search finds, folded (log.search_words).
    hash: SHA-256, hex, over the previous hash of the chain, a line feed, and `text`.

    Ids grow in the order of the log, so every filter has an index that ends in the id: a page is read in order, from
    where it starts, and nothing is sorted. `at` has no index: the log page finds the ids of a period by the roll-up of
    review. The index of the words is a narrow copy of the log, which a search reads instead.
    """

    chain = models.CharField(max_length=40)
    sequence = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=200)
    customer_id = models.BigIntegerField(null=True)
    customer_name = models.CharField(max_length=200, blank=True)
    pbx_id = models.BigIntegerField(null=True)
    pbx_name = models.CharField(max_length=200, blank=True)
    ivr_number = models.CharField(max_length=200, blank=True)
    ivr_name = models.CharField(max_length=200, blank=True)
    action = models.CharField(max_length=40)
    outcome = models.CharField(max_length=20, blank=True)
    change_id = models.BigIntegerField(null=True)
    batch_id = models.BigIntegerField(null=True)
    ticket = models.CharField(max_length=200, blank=True)
    field_names = models.CharField(max_length=400, blank=True)
    words = models.CharField(max_length=600, blank=True)  # PostgreSQL indexes 2,704 bytes at most
    text = models.TextField()
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    is_typed = True  # False of a row that holds something else than its columns should

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["chain", "sequence"], name="event_sequence_unique_in_chain")]
        indexes = [
            models.Index(fields=["customer_id", "-id"], name="event_by_customer"),
            models.Index(fields=["customer_id", "outcome", "-id"], name="event_by_customer_outcome"),
            models.Index(fields=["outcome", "-id"], name="event_by_outcome"),
            models.Index(fields=["pbx_id", "-id"], name="event_by_pbx"),
            models.Index(fields=["pbx_id", "ivr_number", "-id"], name="event_by_ivr"),
            models.Index(fields=["change_id"], name="event_by_change"),
            models.Index(fields=["batch_id", "-id"], name="event_by_batch", condition=models.Q(batch_id__isnull=False)),
            models.Index(fields=["actor_id", "-id"], name="event_by_actor"),
            models.Index(fields=["action", "-id"], name="event_by_action"),
            models.Index(fields=["ticket", "-id"], name="event_by_ticket"),
            models.Index(fields=["-id", "at", "words"], name="event_by_words"),
        ]

    def __str__(self) -> str:
        return f"{self.chain} {self.sequence}: {self.action}"

    def get_absolute_url(self) -> str:
        return reverse("review:event-page", args=[self.pk])

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **more: Any) -> Self:
        """Read values of the wrong type as empty: SQLite stores any type in any column."""
        taken = [column_value(*one) for one in zip(field_names, values, strict=True)]
        event = super().from_db(db, field_names, taken, **more)
        event.is_typed = all(map(is_, taken, values))
        return event

    @property
    def label(self) -> str:
        return ACTION_LABELS.get(self.action, self.action)

    @cached_property
    def data(self) -> dict[str, Any]:
        """Return the facts of `text`; pages show these, not the index.

        When the log cannot have written this text, return what the index says and that the event was altered: one
        altered event must not keep auditors from all the others.
        """
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            found = None
        return found if is_readable(found) else self.altered()

    def altered(self) -> dict[str, Any]:
        said = {name: getattr(self, name, "") for name in (*SAID, *IDS)}
        return said | {"fields": {}, "detail": {"sentence": ALTERED}, "is_altered": True}


def column_value(name: str, value: Any) -> Any:
    if name in NUMBERS:
        return value if isinstance(value, int) else None if name in IDS else 0
    if name == "at":
        return value if isinstance(value, datetime) else NEVER
    return value if isinstance(value, str) else ""


def is_text(value: Any) -> bool:
    """Return whether a value of a text column is a text; SQLite may hold bytes there."""
    return isinstance(value, str)


def is_readable(said: Any) -> bool:
    """Return whether a decoded text has the form of an event. Its content may be false all the same."""
    if not isinstance(said, dict) or not isinstance(said.get("detail"), dict):
        return False
    fields = said.get("fields")
    if not isinstance(fields, dict) or not all(isinstance(values, dict) for values in fields.values()):
        return False
    return all(isinstance(said.get(name), str) for name in SAID) and all(
        isinstance(said.get(name), int | None) for name in IDS
    )


class EventSink(models.Model):
    """Where events go beside the log, by its address, and how it is going.

    One process at a time sends, which holds `claimed_until`. After a failure nobody tries again before `next_at`.
    told_at: when the log said that it fails, until it works again.
    """

    name = models.CharField(max_length=400, primary_key=True)
    claimed_until = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)  # in a row
    failing_since = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)
    sent_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class SinkPosition(models.Model):
    """The last event of a chain that a sink has. A conditional update moves it.

    hash: of that event. A chain with another hash at this place is not the one that was sent.
    """

    sink = models.ForeignKey(EventSink, models.CASCADE)
    chain = models.CharField(max_length=40)
    sequence = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sink", "chain"], name="sink_position_unique")]

    def __str__(self) -> str:
        return f"{self.sink_id}: {self.chain} {self.sequence}"
