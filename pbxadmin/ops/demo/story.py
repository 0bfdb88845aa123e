"""What happened: how it began last quarter, three weeks of everyday work, and what waits on a Monday morning.

Days are counted back from today over working days, so that it is the same morning whenever the demo starts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.conf import settings

from pbxadmin.access.models import Customer
from pbxadmin.access.rules import Rule
from pbxadmin.access.services import customer_set_rules
from pbxadmin.fleet.services import export_record
from pbxadmin.policies.models import Policy
from pbxadmin.policies.services import EDITED, policy_edit
from pbxadmin.review.periods import quarter

from .clock import moved_clock
from .fleet import fleet_order, record_keep
from .people import CUSTOMERS, customers_keep, people_keep
from .stage import Record, Stage

STORY_PBXS = 24  # the PBXs that it tells of
FRIDAY = 4


class Routine(NamedTuple):
    """A change of an ordinary day. day: working days ago."""

    day: int
    at: str
    who: str
    pbx: str
    number: str
    field: str
    value: str
    ticket: str
    reason: str


class Calendar:
    """Moments of the story, counted from now."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.last_quarter, _ = quarter(quarter(now.date())[0] - timedelta(days=1))

    @property
    def next_friday(self) -> date:
        ahead = (FRIDAY - self.now.weekday()) % 7 or 7
        return self.now.date() + timedelta(days=ahead)

    def in_last_quarter(self, days: int, clock: str) -> datetime:
        """Return a moment so many days after the quarter before this one began, or on the Monday that follows."""
        return time_on(next_working(self.last_quarter + timedelta(days=days)), clock)

    def workday(self, ago: int, clock: str) -> datetime:
        day = self.now.date()
        while ago:
            day -= timedelta(days=1)
            ago -= day.weekday() <= FRIDAY
        return time_on(day, clock)

    def last_night(self, clock: str) -> datetime:
        return time_on(self.now.date() - timedelta(days=1), clock)

    def ago(self, minutes: float) -> datetime:
        return self.now - timedelta(minutes=minutes)


def time_on(day: date, clock: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), UTC)


def next_working(day: date) -> date:
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > FRIDAY else 0)


# --- three weeks of everyday work ---

ROUTINE: Sequence[Routine] = (
    Routine(15, "09:12", "mara", "ACME-HQ", "6500", "response_timeout", "6", "INC-20311", "Callers need longer"),
    Routine(15, "14:40", "bea", "BELL-HQ", "6500", "prompt_repeat", "2", "INC-20314", "Patients complain of the loop"),
    Routine(14, "10:05", "sue", "ACME-Lyon", "6502", "digit_timeout", "5", "INC-20322", "Long order numbers"),
    Routine(14, "15:31", "cleo", "CURA-HQ", "6501", "response_timeout", "7", "INC-20329", "New prompt is longer"),
    Routine(13, "08:50", "mara", "ACME-Cork", "6501", "prompt_repeat", "2", "INC-20335", "Night menu loops too often"),
    Routine(13, "11:20", "esi", "EAST-HQ", "6500", "response_timeout", "8", "CHG-1161", "Elderly callers"),
    Routine(12, "09:44", "dan", "DELM-HQ", "6502", "name", "Reservations", "CHG-1163", "Sales is Reservations now"),
    Routine(11, "13:15", "mara", "ACME-Hamburg", "6502", "response_timeout", "9", "INC-20352", "As at HQ"),
    Routine(11, "16:02", "bea", "BELL-Hamburg", "6501", "digit_timeout", "4", "INC-20355", "Ward numbers"),
    Routine(10, "10:10", "esi", "EAST-Porto", "6501", "prompt_repeat", "1", "CHG-1166", "As at headquarters"),
    Routine(9, "09:25", "mara", "ACME-Leeds", "6502", "response_timeout", "5", "INC-20371", "Too slow for drivers"),
    Routine(8, "14:18", "cleo", "CURA-Porto", "6500", "digit_timeout", "6", "INC-20379", "Recipe numbers"),
    Routine(7, "11:55", "dan", "DELM-Porto", "6500", "prompt_repeat", "2", "CHG-1170", "Guests hang up"),
    Routine(6, "10:36", "mara", "ACME-Turin", "6501", "response_timeout", "6", "INC-20388", "Callers need longer"),
    Routine(5, "15:09", "bea", "BELL-Leeds", "6500", "response_timeout", "7", "INC-20394", "As at headquarters"),
    Routine(4, "09:58", "sue", "ACME-Gdansk", "6500", "prompt_repeat", "3", "INC-20401", "One time too many"),
    Routine(3, "11:14", "mara", "ACME-Porto", "6500", "digit_timeout", "6", "INC-20407", "Keys came late"),
    Routine(2, "13:47", "esi", "EAST-Leeds", "6500", "response_timeout", "9", "CHG-1177", "Elderly callers"),
    Routine(1, "10:21", "mara", "ACME-HQ", "6501", "response_timeout", "5", "INC-20415", "Too long at night"),
)

Act = tuple[datetime, Callable[[Stage], Any]]


def routine(calendar: Calendar) -> Iterator[Act]:
    for each in ROUTINE:
        yield calendar.workday(each.day, each.at), changing(each)


def changing(each: Routine) -> Callable[[Stage], Any]:
    record = Record(each.ticket, each.reason)
    return lambda stage: stage.change(each.who, each.pbx, each.number, {each.field: each.value}, record)


# --- last quarter, which is still to be signed ---


def last_quarter(calendar: Calendar) -> Iterator[Act]:
    at = calendar.in_last_quarter
    yield at(0, "16:00"), lambda stage: stage.read()
    yield at(0, "17:00"), lambda stage: stage.settle_in()
    yield at(0, "17:30"), lambda stage: stage.review("ada", "Set up as ordered, with Max Brandt")
    yield (
        at(20, "10:12"),
        lambda stage: stage.change("mara", "ACME-HQ", "6502", {"digit_timeout": "5"}, Record("INC-19004")),
    )
    yield at(33, "21:50"), lambda stage: stage.edit_outside("ACME-Porto", "6502", response_timeout="4")
    yield at(33, "22:05"), lambda stage: stage.read(["ACME-Porto"])
    yield (
        at(34, "09:10"),
        lambda stage: stage.accept_outside("sue", "ACME-Porto", "The installer told us by telephone"),
    )
    yield at(34, "17:00"), lambda stage: stage.settle_in()
    yield at(35, "11:00"), lambda stage: stage.review("ada", "Seen with Sue Marsh")
    yield at(60, "14:30"), extensions_opened
    yield at(75, "09:40"), list_exported
    yield at(76, "17:00"), lambda stage: stage.settle_in()


def extensions_opened(stage: Stage) -> None:
    record = Record("INC-19377", "The office is moving, callers know the extensions")
    stage.change("sue", "ACME-Lyon", "6501", {"dial_extension": "on"}, record)


def list_exported(stage: Stage) -> None:
    with stage.person("max"):
        customer = Customer.objects.get(name=CUSTOMERS["ACME"])
        export_record(customer.pbxs.count(), f"customer={customer.pk}", customer)


# --- what stands out of the three weeks ---


def three_weeks(calendar: Calendar) -> Iterator[Act]:
    at = calendar.workday
    for day in (15, 8):
        yield at(day, "07:30"), lambda stage: stage.read()
    for day in (15, 8, 1):
        yield at(day, "18:30"), lambda stage: stage.settle_in()
    yield at(1, "18:15"), lambda stage: stage.read(["ACME-Gdansk", "BELL-Leeds"])  # as they were before that night
    yield at(10, "11:30"), bell_batch
    yield at(7, "10:20"), lambda stage: night_line(stage, calendar.next_friday)
    yield at(4, "09:00"), lambda stage: periods_to_sign(stage, calendar.last_quarter)
    yield at(3, "15:20"), change_refused
    yield at(1, "16:40"), halted_batch
    yield calendar.last_night("22:47"), dial_out_opened
    yield (
        calendar.last_night("23:05"),
        lambda stage: stage.edit_outside("BELL-Leeds", "6502", response_timeout="2"),
    )


def bell_batch(stage: Stage) -> None:
    pbxs = [f"BELL-{place}" for place in ("HQ", "Hamburg", "Leeds", "Porto")]
    record = Record("CHG-1165", "The same in all clinics")
    stage.batch_run("max", stage.batch("max", pbxs, "6503", {"response_timeout": "7"}, record))


def night_line(stage: Stage, ends_on: date) -> None:
    stage.accept_dial_out(
        "max", "CURA-HQ", "6503", "Night line to the pharmacist on call, until the new trunk", ends_on
    )


def periods_to_sign(stage: Stage, day: date) -> None:
    for who, prefix in (("ada", "ACME"), ("eva", "BELL")):
        stage.period(who, Customer.objects.get(name=CUSTOMERS[prefix]), day)


def change_refused(stage: Stage) -> None:
    stage.switch("CURA-Hamburg", "refuses")
    record = Record("INC-20409", "Callers are cut off")
    stage.change("cleo", "CURA-Hamburg", "6502", {"response_timeout": "2"}, record)
    stage.switch("CURA-Hamburg", "well")


def halted_batch(stage: Stage) -> None:
    """Halt a batch at its first PBX, which says that it did as asked, and did not."""
    pbxs = [f"EAST-{place}" for place in ("HQ", "Hamburg", "Leeds", "Porto")]
    record = Record("CHG-1179", "Callers wait too long between keys")
    batch = stage.batch("max", pbxs, "6502", {"digit_timeout": "3"}, record)
    first = batch.targets.filter(is_canary=True).order_by("place")[0].pbx_name
    stage.switch(first, "lies")
    stage.batch_run("max", batch)
    stage.switch(first, "well")


def dial_out_opened(stage: Stage) -> None:
    stage.edit_outside("ACME-Gdansk", "6501", dial_outbound="on", outbound_routes="Local_Out")


# --- this morning ---


def this_morning(calendar: Calendar) -> Iterator[Act]:
    yield calendar.ago(9), what_broke
    yield calendar.ago(6), lambda stage: stage.read()
    yield calendar.ago(1), answer_lost
    yield calendar.ago(0.2), lambda stage: stage.settle_in()


def what_broke(stage: Stage) -> None:
    for pbx, switch in (("CURA-Leeds", "password"), ("DELM-HQ", "certificate"), ("EAST-Hamburg", "locked")):
        stage.switch(pbx, switch)


def answer_lost(stage: Stage) -> None:
    """Lose the answer to a change: it is unknown until the PBX is back, two minutes after the start."""
    stage.switch("DELM-Leeds", "loses")
    record = Record("CHG-1181", "Guests hang up while they search the room number")
    stage.change("dan", "DELM-Leeds", "6501", {"response_timeout": "9"}, record)


# --- told ---


def acts(calendar: Calendar) -> list[Act]:
    told = (last_quarter, routine, three_weeks, this_morning)
    return sorted((act for each in told for act in each(calendar)), key=lambda act: act[0])


def story_tell(fleet: Sequence[Mapping[str, Any]], passwords: Mapping[str, str]) -> None:
    """Let it all happen, from an empty database on. fleet: descriptions of simulated PBXs, STORY_PBXS at least."""
    calendar = Calendar(datetime.now(UTC))
    with moved_clock() as move_ours, mails_to_nowhere():

        def move(to: datetime) -> None:
            move_ours(to)
            fleet_order(behind_s=(datetime.now(UTC) - to).total_seconds())

        stage = Stage(move)
        move(calendar.in_last_quarter(0, "08:30"))
        set_up(stage, fleet, passwords)
        for at, act in acts(calendar):
            move(at)
            act(stage)
        move(datetime.now(UTC))


@contextmanager
def mails_to_nowhere() -> Iterator[None]:
    """Let the mails of the story be written and not be sent: nobody wants three weeks of them at once."""
    was, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, "django.core.mail.backends.dummy.EmailBackend"
    try:
        yield
    finally:
        settings.EMAIL_BACKEND = was


def set_up(stage: Stage, fleet: Sequence[Mapping[str, Any]], passwords: Mapping[str, str]) -> None:
    """Add customers, people and PBXs, rules of two customers, and ask only where it matters who may be dialled."""
    customers = customers_keep()
    people_keep(customers, passwords)
    with stage.person("admin"):
        for position, simulated in enumerate(fleet):
            record_keep(customers, simulated, position)
        customer_set_rules(customer=customers["CURA"], values={"reason_rule": Rule.REQUIRED})
        hours = {"hours_from": time(8), "hours_to": time(20), "time_zone": "Europe/Madrid", "working_days": "12345"}
        customer_set_rules(customer=customers["DELM"], values=hours)
        extensions = Policy.objects.get(kind="extensions")
        policy_edit(policy=extensions, values={name: getattr(extensions, name) for name in EDITED} | {"tag": "vip"})
