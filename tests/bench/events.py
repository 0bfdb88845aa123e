"""Fills the log of the current database with made-up events, in bulk, each in its place of a good chain.

Changes (two events each), tests, sign-ins and their like, over customers and PBXs of very different sizes, and over the
hours of working days. The same seed makes the same events.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from pbxadmin.audit.log import Named, written
from pbxadmin.audit.models import INSTALLATION_CHAIN, Event

CUSTOMERS, PBXS_EACH, IVRS_EACH, PEOPLE, DAYS = 100, 25, 20, 60, 365
BATCH = 2_000
ANYBODY = {"id": None, "name": "not signed in"}
SYSTEM = {"id": None, "name": "PBX Admin"}
# action, outcome, weight; a change is two events, all others are one
KINDS: Sequence[tuple[str, str, float]] = (
    ("change.outcome", "verified", 30),
    ("change.outcome", "refused", 0.7),
    ("change.outcome", "not-as-asked", 0.4),
    ("change.outcome", "not-sent", 0.6),
    ("change.outcome", "unknown", 0.2),
    ("session.signed-in", "", 12),
    ("session.signed-out", "", 4),
    ("session.failed", "", 2),
    ("pbx.tested", "", 8),
    ("pbx.edited", "", 2),
    ("refresh.failed", "", 6),
    ("access.denied", "", 0.5),
    ("change.conflict", "conflict", 0.4),
    ("membership.granted", "", 0.3),
)
NOT_OF_A_CUSTOMER = ("session.signed-in", "session.signed-out", "session.failed")
HOURS = (1, 1, 1, 1, 1, 2, 4, 9, 16, 18, 18, 16, 12, 16, 18, 17, 14, 10, 6, 4, 3, 2, 2, 1)
FIELDS = (("response_timeout", 1, 10), ("digit_timeout", 1, 10), ("prompt_repeat", 1, 5), ("dial_extension", 0, 1))
MENUS = ("Main_Menu", "After_Hours", "Sales", "Support", "Welcome", "Billing", "Holidays", "Warehouse")
NAMES = ("Mara Lindqvist", "Vic Osei", "Bea Okafor", "Max Brandt", "Ada Raman", "Tom Aerts", "Iris Novak", "Li Wei")


def fill_events(count: int, *, customers: Sequence[Named] | None = None, days: int = DAYS, seed: int = 1) -> None:
    """Append so many events, up to last midnight (UTC); a transaction for each two thousand.

    customers: id and name; the first ones have most events. By default 100 made-up ones, ids 1 to 100.
    PBX ids are 25 for each customer, from 1 in the order of `customers`.
    """
    chance = random.Random(seed)  # noqa: S311
    made = Maker(chance, customers or [(n, f"Customer_{n:03}") for n in range(1, CUSTOMERS + 1)])
    tails = {chain: (sequence, digest) for chain, sequence, digest in heads()}
    batch: list[tuple[Any, ...]] = []
    for at, facts in zip(made.times(count, days), made.facts(), strict=False):
        chain = f"customer:{facts['customer_id']}" if facts["customer_id"] else INSTALLATION_CHAIN
        sequence, previous = tails.get(chain, (0, ""))
        columns = written(chain, sequence + 1, previous, at, facts)
        tails[chain] = (sequence + 1, columns["hash"])
        batch.append(tuple(stored(columns[name], field) for name, field in COLUMNS.items()))
        if len(batch) == BATCH:
            insert(batch)
            batch = []
    insert(batch)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def heads() -> Iterator[tuple[str, int, str]]:
    last = Event.objects.filter(chain=models.OuterRef("chain")).order_by("-sequence").values("pk")[:1]
    found = Event.objects.filter(pk=models.Subquery(last)).values_list("chain", "sequence", "hash")
    return found.iterator() if Event.objects.exists() else iter(())


COLUMNS = {field.attname: field for field in Event._meta.concrete_fields if field.attname != "id"}


def stored(value: Any, field: "models.Field[Any, Any]") -> Any:
    """As the database takes it; most values are that already."""
    is_plain = value is None or isinstance(value, str | int)
    return value if is_plain else field.get_db_prep_save(value, connection)


def insert(rows: Sequence[tuple[Any, ...]]) -> None:
    names = ", ".join(COLUMNS)
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY audit_event ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            places = ", ".join(["%s"] * len(COLUMNS))
            cursor.executemany(f"INSERT INTO audit_event ({names}) VALUES ({places})", rows)  # noqa: S608


class Maker:
    def __init__(self, chance: random.Random, customers: Sequence[Named]) -> None:
        self.chance = chance
        self.customers = customers
        self.sizes = list(accumulate(1 / (place + 3) for place in range(len(customers))))
        self.weights = list(accumulate(weight for _, _, weight in KINDS))
        self.people: list[dict[str, Any]] = [
            {"id": n, "name": f"{NAMES[n % len(NAMES)]} {n}"} for n in range(1, PEOPLE + 1)
        ]
        self.change = 0

    def times(self, count: int, days: int) -> list[datetime]:
        """In order, and more of them in working hours and on working days."""
        midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        dates = [midnight - timedelta(days=back) for back in range(days, 0, -1)]
        weights = [1 if date.weekday() > 4 else 10 for date in dates]
        days_of = self.chance.choices(dates, weights, k=count)
        hours_of = self.chance.choices(range(24), HOURS, k=count)
        within = self.chance.random
        return sorted(
            day + timedelta(hours=hour, microseconds=int(within() * 3.6e9))
            for day, hour in zip(days_of, hours_of, strict=True)
        )

    def facts(self) -> Iterator[dict[str, Any]]:
        chance = self.chance
        while True:
            action, outcome, _ = chance.choices(KINDS, cum_weights=self.weights)[0]
            if action in NOT_OF_A_CUSTOMER:
                yield self.session(action)
            elif action == "change.outcome":
                yield from self.changed(outcome)
            else:
                yield self.plain(action, outcome)

    def base(self, action: str, actor: dict[str, Any], **more: Any) -> dict[str, Any]:
        """What `log.record` writes, in its words."""
        return {
            "actor_id": actor["id"],
            "actor_name": actor["name"],
            "address": f"192.0.2.{(actor['id'] or 0) % 250}" if actor is not SYSTEM else "",
            "request_id": f"{self.chance.getrandbits(128):032x}" if actor is not SYSTEM else "",
            "customer_id": None,
            "customer_name": "",
            "pbx_id": None,
            "pbx_name": "",
            "ivr_number": "",
            "ivr_name": "",
            "action": action,
            "outcome": "",
            "change_id": None,
            "fields": {},
            "detail": {},
            "reason": "",
            "ticket": "",
        } | more

    def session(self, action: str) -> dict[str, Any]:
        person = self.chance.choice(self.people)
        if action == "session.failed":
            return self.base(action, ANYBODY, detail={"user": person["name"].split()[0].lower()})
        return self.base(action, person)

    def where(self) -> dict[str, Any]:
        place = self.chance.choices(range(len(self.customers)), cum_weights=self.sizes)[0]
        customer_id, customer_name = self.customers[place]
        pbx = place * PBXS_EACH + min(int(self.chance.expovariate(0.3)), PBXS_EACH - 1) + 1
        return {
            "customer_id": customer_id,
            "customer_name": customer_name,
            "pbx_id": pbx,
            "pbx_name": f"Site-{pbx:04}",
        }

    def plain(self, action: str, outcome: str) -> dict[str, Any]:
        where = self.where()
        if action == "refresh.failed":
            return self.base(action, SYSTEM, **where, detail={"why": f"{where['pbx_name']} did not answer within 4 s."})
        if action == "membership.granted":
            detail = {"user_id": 7, "user": "mara", "role": "helpdesk", "ends_on": ""}
            where |= {"pbx_id": None, "pbx_name": ""}
        elif action == "access.denied":
            detail = {"action": "renumber"}
        else:
            detail = {}
        fields = {"host": {"before": "pbx1.invalid", "asked": "pbx2.invalid"}} if action == "pbx.edited" else {}
        return self.base(
            action, self.chance.choice(self.people), **where, outcome=outcome, detail=detail, fields=fields
        )

    def changed(self, outcome: str) -> Iterator[dict[str, Any]]:
        """The intent and the outcome of one change."""
        self.change += 1
        chance, number = self.chance, self.chance.randrange(IVRS_EACH)
        fields = {}
        for name, low, high in chance.sample(FIELDS, chance.choices((1, 2, 3), (80, 15, 5))[0]):
            before, asked = chance.sample(range(low, high + 1), 2)
            fields[name] = {"before": str(before), "asked": str(asked), "found": None}
        person = chance.choice(self.people)
        ticket = f"HD-{10_000 + self.change}" if chance.random() < 0.6 else ""
        facts = self.base(
            "change.sending",
            person,
            **self.where(),
            ivr_number=str(6500 + number),
            ivr_name=f"{MENUS[number % len(MENUS)]}_{number}",
            outcome="sending",
            change_id=self.change,
            fields=fields,
            reason="Callers were cut off while they typed." if ticket else "",
            ticket=ticket,
            detail={"planned_by": person["name"]},
        )
        yield facts
        kept = "asked" if outcome == "verified" else "before"
        found = {name: {**said, "found": said[kept]} for name, said in fields.items()}
        sentence = {"verified": "Verified. Read back: all as asked."}.get(outcome, "Not what was asked for.")
        detail = {"sentence": sentence, "answer": {"status": "Success", "code": ""}, "seconds": 1.25}
        yield facts | {"action": "change.outcome", "outcome": outcome, "fields": found, "detail": detail}
