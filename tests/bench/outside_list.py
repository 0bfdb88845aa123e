"""The list of outside changes with 100,000 of them, against the same list with 100: first, deep and filtered pages."""

import os
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from ivr.models import OutsideChange
from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_grant
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import derived_of, written
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.pages import Column, cursor_of

from .figures import goal, heading, in_turns, table
from .ivr_list import PBXS, fill, get, queries, signed_in

ROUNDS = 10
AT_ONCE = 2000
FEW = 100
OPEN_OF = 50  # one in so many is open


def main() -> None:
    fill()
    many = int(os.environ["BENCH_EVENTS"])
    admin = signed_in(User.objects.create_superuser("bench-outside", password="only-for-the-bench"))
    helpdesk = User.objects.create_user("few-outside", password="only-for-the-bench")
    for customer in Customer.objects.all()[:5]:
        membership_grant(user=helpdesk, role=Role.HELPDESK, customer=customer)
    few = signed_in(helpdesk)
    outside_fill(FEW)
    small = get(admin, "/outside/")
    heading(f"The list of outside changes, {FEW} of them, {ROUNDS} rounds")
    before = in_turns({"first page": small}, ROUNDS)
    table(before, "first page")
    count = queries(small)
    outside_fill(many - FEW)
    deep = cursor_of("n", {"event_id": many // 10}, [Column("event_id", descending=True)])
    ways = {
        "first page": get(admin, "/outside/"),
        "in the last tenth": get(admin, f"/outside/?cursor={deep}"),
        "open": get(admin, "/outside/?state=open"),
        "one customer": get(admin, f"/outside/?customer={Customer.objects.all()[0].pk}"),
        "a rare field": get(admin, "/outside/?field=dial_outbound"),
        "5 customers": get(few, "/outside/"),
        "5 customers, open": get(few, "/outside/?state=open"),
        "home": get(admin, "/"),
    }
    heading(f"The same with {many:,}")
    taken = in_turns(ways, ROUNDS)
    table(taken, "first page")
    for name in ("first page", "in the last tenth", "open"):
        goal(f"{name}, x the first page of {FEW} (min)", min(taken[name]) / min(before["first page"]), 1.5)
        goal(f"{name}: queries", queries(ways[name]), count)


def outside_fill(count: int) -> None:
    """Append so many outside changes, over all PBXs, and what became of them."""
    pbxs = list(Pbx.objects.select_related("customer"))
    start = Event.objects.count()
    now = timezone.now() - timedelta(days=30)
    tails: dict[str, tuple[int, str]] = {}
    for first in range(start, start + count, AT_ONCE):
        places = range(first, min(first + AT_ONCE, start + count))
        made = [event_of(pbxs[place % len(pbxs)], place, now + timedelta(seconds=place), tails) for place in places]
        events = Event.objects.bulk_create(made)
        OutsideChange.objects.bulk_create(row_of(event) for event in events)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def event_of(pbx: Pbx, place: int, at: object, tails: dict[str, tuple[int, str]]) -> Event:
    name = "dial_outbound" if place % 5000 == 0 else "response_timeout"
    facts = {
        **dict.fromkeys(("actor_id", "change_id")),
        **dict.fromkeys(("address", "request_id", "outcome", "reason", "ticket"), ""),
        "actor_name": "PBX Admin",
        "customer_id": pbx.customer_id,
        "customer_name": pbx.customer.name,
        "pbx_id": pbx.pk,
        "pbx_name": pbx.name,
        "ivr_number": str(6500 + place // PBXS),
        "ivr_name": "Main_Menu",
        "action": EventAction.IVR_CHANGED_OUTSIDE.value,
        "fields": {name: {"before": "3", "found": "9"}},
        "detail": {"sentence": "Changed outside PBX Admin."},
    }
    chain = f"bench:{pbx.customer_id}"
    sequence, previous = tails.get(chain, (place, ""))
    columns = written(chain, sequence + 1, previous, at, facts, derived_of(facts))  # type: ignore[arg-type]
    tails[chain] = (sequence + 1, columns["hash"])
    return Event(**columns)


def row_of(event: Event) -> OutsideChange:
    is_open = event.pk % OPEN_OF == 0
    return OutsideChange(
        event_id=event.pk,
        at=event.at,
        customer_id=event.customer_id or 0,
        pbx_id=event.pbx_id or 0,
        number=event.ivr_number,
        action=event.action,
        field_names=event.field_names,
        state="open" if is_open else "overridden",
        decided_by_id=None if is_open else event.pk + 1,
    )
