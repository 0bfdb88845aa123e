"""Which events an auditor looks at: the filters of the log page, as they stand in the URL."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.db.models import Q

from pbxadmin.access.permissions import customer_ids
from pbxadmin.access.roles import Action
from pbxadmin.audit.actions import ACTIONS
from pbxadmin.audit.models import Event, EventQuerySet

if TYPE_CHECKING:
    from pbxadmin.access.grants import AnyUser

MOST_WORDS = 8
WORD_COLUMNS = ("actor_name", "customer_name", "pbx_name", "ivr_number", "ivr_name")


def events_for(user: "AnyUser") -> EventQuerySet:
    """Events that this person may review; those of the installation only with the right for all customers."""
    return Event.objects.for_customers(customer_ids(user, Action.REVIEW_LOG))


@dataclass(frozen=True)
class EventFilter:
    """Values that make no sense count as absent. `since` and `until` are whole days, UTC, both included."""

    q: str = ""
    customer: int | None = None
    pbx: int | None = None
    actor: str = ""
    action: str = ""
    outcome: str = ""
    since: date | None = None
    until: date | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "EventFilter":
        return cls(
            q=text(query.get("q")),
            customer=whole(query.get("customer")),
            pbx=whole(query.get("pbx")),
            actor=text(query.get("actor")),
            action=query.get("action", "") if query.get("action") in ACTIONS else "",
            outcome=text(query.get("outcome"))[:20],
            since=day(query.get("from")),
            until=day(query.get("to")),
        )

    @property
    def query(self) -> str:
        values = {
            "q": self.q,
            "customer": self.customer,
            "pbx": self.pbx,
            "actor": self.actor,
            "action": self.action,
            "outcome": self.outcome,
            "from": self.since,
            "to": self.until,
        }
        return urlencode({name: str(value) for name, value in values.items() if value})

    def chips(self, pbx_name: str) -> list[tuple[str, str]]:
        """Filters that have no box in the form: what they say, and the query without them."""
        chosen = [
            (f"PBX {pbx_name or self.pbx}" if self.pbx else "", replace(self, pbx=None)),
            (f"Person {self.actor}" if self.actor else "", replace(self, actor="")),
        ]
        return [(words, rest.query) for words, rest in chosen if words]

    def narrow(self, events: EventQuerySet) -> EventQuerySet:
        exact = {"customer_id": self.customer, "pbx_id": self.pbx, "action": self.action, "outcome": self.outcome}
        events = events.filter(**{column: value for column, value in exact.items() if value})
        if self.actor:
            events = events.filter(actor_name__icontains=self.actor)
        if self.since:
            events = events.filter(at__gte=datetime.combine(self.since, time.min, UTC))
        if self.until:
            events = events.filter(at__lte=datetime.combine(self.until, time.max, UTC))
        for word in self.q.split()[:MOST_WORDS]:
            anywhere = Q()
            for column in WORD_COLUMNS:
                anywhere |= Q(**{f"{column}__icontains": word})
            events = events.filter(anywhere)
        return events


def text(value: str | None) -> str:
    return (value or "").replace("\0", "").strip()[:200]


def whole(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdecimal() and len(value) < 10 else None


def day(value: str | None) -> date | None:
    try:
        return date.fromisoformat(value or "")
    except ValueError:
        return None
