"""What the people of the story do: each act calls the services that a page would call, as that person, at its moment.

Nothing here writes a row of its own. What the PBXs do goes through the controls of the simulator.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone

from ivr.changes.apply import change_apply
from ivr.changes.opening import read_live
from ivr.changes.plan import change_plan
from ivr.changes.restore import outside_accept
from ivr.forms import opened_now
from ivr.models import Change, Ivr, OutsideChange
from ivr.refresh import run_of, run_work
from pbxadmin.access.models import Customer, User
from pbxadmin.audit.context import SYSTEM, Actor, AuditContext, acting
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import Batch
from pbxadmin.batches.selectors import chosen_of
from pbxadmin.batches.services import Pace, batch_continue, batch_plan, batch_start
from pbxadmin.batches.work import work_slice
from pbxadmin.fleet.contacts import contacts_roll_up
from pbxadmin.fleet.models import Pbx
from pbxadmin.notices.deliver import mails_slice, notices_work
from pbxadmin.ops.checkpointing import checkpoint_when_due
from pbxadmin.policies.models import DIAL_OUT, Violation
from pbxadmin.policies.services import violation_accept
from pbxadmin.review.desk import desk_read, items_review
from pbxadmin.review.models import DeskItem
from pbxadmin.review.periods import period_add, quarter
from pbxadmin.review.rollup import roll_up

from .fleet import edit_on_pbx, fleet_order

OFFICE = "198.51.100.20"  # nobody's: kept free for documents
LOOKS_AT_A_PLAN = timedelta(seconds=25)


@dataclass(frozen=True)
class Record:
    """What a person types beside a change."""

    ticket: str = ""
    reason: str = ""


class Stage:
    """People and PBXs by name, and the clock of the story. move: sets the clock."""

    def __init__(self, move: Callable[[datetime], None]) -> None:
        self.move = move

    def pbx(self, name: str) -> Pbx:
        return Pbx.objects.select_related("customer").get(name=name)

    @contextmanager
    def person(self, username: str) -> Iterator[Actor]:
        """Record what the block does as done by this person, from the office."""
        user = User.objects.get(username=username)
        actor = Actor(user.pk, user.display_name)
        with acting(AuditContext(actor, OFFICE)):
            yield actor

    # --- what PBXs do ---

    def switch(self, pbx: str, switch: str) -> None:
        """Let a PBX behave like this from now on."""
        fleet_order(pbx=pbx, switch=switch)

    def edit_outside(self, pbx: str, number: str, **fields: str) -> None:
        """Change an IVR on the PBX itself. fields: by own name."""
        edit_on_pbx(pbx, number, fields)

    # --- what PBX Admin does by itself ---

    def read(self, names: Collection[str] | None = None) -> None:
        """Read PBXs as the schedule does, those with these names or all."""
        pbxs = Pbx.objects.all() if names is None else Pbx.objects.filter(name__in=names)
        run_work(run_of(pbxs, SYSTEM, is_scheduled=True).pk)

    def settle_in(self) -> None:
        """Do what the tick does with the log: the desk, counts, notices and a checkpoint."""
        desk_read()
        roll_up()
        contacts_roll_up()
        notices_work()
        mails_slice()
        checkpoint_when_due()

    # --- what people do ---

    def change(self, who: str, pbx: str, number: str, wanted: Mapping[str, str], record: Record = Record()) -> Change:
        """Open an IVR, ask for these values, look at the plan and apply it. Return the change as it ended."""
        with self.person(who) as actor:
            record_of = self.pbx(pbx)
            live, _ = read_live(record_of, number)
            if live is None:
                raise LookupError(f"{pbx} has no IVR {number}")
            opened = opened_now(record_of, live, timezone.now())
            change = change_plan(
                pbx=record_of, opened=opened, wanted=wanted, actor=actor, reason=record.reason, ticket=record.ticket
            )
            self.move(timezone.now() + LOOKS_AT_A_PLAN)
            change_apply(change=change, actor=actor, confirmed=True)
        change.refresh_from_db()
        return change

    def accept_outside(self, who: str, pbx: str, note: str) -> None:
        """Accept what was changed outside on a PBX and is open."""
        with self.person(who):
            ids = OutsideChange.objects.filter(pbx_id=self.pbx(pbx).pk, state="open").values_list("event_id", flat=True)
            for event in Event.objects.filter(pk__in=list(ids)):
                outside_accept(event=event, note=note)

    def accept_dial_out(self, who: str, pbx: str, number: str, reason: str, ends_on: date) -> None:
        """Accept that callers of an IVR may dial out, through this day."""
        with self.person(who) as actor:
            violation = Violation.objects.get(policy__kind=DIAL_OUT, pbx__name=pbx, number=number)
            violation_accept(violation=violation, value=violation.value, reason=reason, ends_on=ends_on, actor=actor)

    def batch(self, who: str, pbxs: Sequence[str], number: str, wanted: dict[str, str], record: Record) -> Batch:
        """Plan a batch over one IVR of each of these PBXs, and work until its preview is there."""
        with self.person(who) as actor:
            rows = Ivr.objects.filter(pbx__name__in=pbxs, number=number).select_related("pbx__customer").order_by("pbx")
            batch = batch_plan(
                chosen=chosen_of(rows, wanted),
                wanted=wanted,
                pace=Pace(canary=2, halt_after=1),
                actor=actor,
                reason=record.reason,
                ticket=record.ticket,
            )
        work_slice(batch.pk)
        batch.refresh_from_db()
        return batch

    def batch_run(self, who: str, batch: Batch) -> None:
        """Start a batch, and go on after its first few when they were verified."""
        with self.person(who) as actor:
            batch_start(batch=batch, actor=actor, confirmed=True)
            work_slice(batch.pk)
            batch.refresh_from_db()
            batch_continue(batch=batch)
            work_slice(batch.pk)

    def review(self, who: str, note: str, *, but: int = 0) -> None:
        """Review what is on the desk, but for the newest few."""
        with self.person(who) as actor:
            newest = DeskItem.objects.still_open().order_by("-pk").values("pk")[:but]
            items = list(DeskItem.objects.still_open().exclude(pk__in=list(newest.values_list("pk", flat=True))))
            items_review(items, note=note, by=actor.name)

    def period(self, who: str, customer: Customer, day: date) -> None:
        """Add the quarter of a day as a period to sign."""
        first, last = quarter(day)
        with self.person(who) as actor:
            period_add(customer=customer, starts_on=first, ends_on=last, by=actor.name)
