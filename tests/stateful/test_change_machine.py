"""Random steps with random faults: after each one, the model, the PBX and the log tell the same story.

The model knows what the PBX holds, which faults wait for which call, and what a change must come to when none does.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import requests
import responses
import time_machine
from django.db import DatabaseError, OperationalError, connection
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ivr.changes.apply import change_apply
from ivr.changes.plan import change_plan, change_resolve
from ivr.changes.reconcile import change_check, reconcile, replay_spool
from ivr.forms import opened_now
from ivr.models import PLAN_LIFE, Change
from ivr.refresh import pbx_refresh
from pbxadmin.audit.chain import verify
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Lease, Pbx, PbxState
from pbxadmin.fleet.services import pbx_edit
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.fields import BY_NAME, ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_customer, make_pbx
from tests.pbx_http import CALLS, HOST, PbxDouble, breaks, cannot_be_reached, loses_the_answer, refused, says

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = 60
EXAMPLES = 80 if connection.vendor == "sqlite" else 30  # a database server takes three times as long
MARA = Actor(7, "Mara Lindqvist")
Status = Change.Status
Body = dict[str, Any]
ModelFault = Callable[["ModelPbx", Body], Any]
NUMBERS = ("6500", "6501", "6502", "6510", "6511")
SUCCESS = {"status": "Success"}
customers = count(1)

# What people change, and what somebody changes on the PBX's own pages meanwhile.
WANTED = st.dictionaries(
    st.sampled_from(["response_timeout", "prompt_repeat", "name", "dial_extension", "check_voicemail", "number"]),
    st.integers(0, 4),
    min_size=1,
    max_size=3,
)
VALUES = {
    "response_timeout": ("3", "4", "5", "9", "10"),
    "prompt_repeat": ("1", "2", "3", "4", "5"),
    "name": ("Main_Menu", "Sales", "After_Hours", "Support", "Welcome"),
    "dial_extension": ("on", "off", "on", "off", "on"),
    "check_voicemail": ("on", "off", "on", "off", "on"),
    "number": NUMBERS,
}
THEIRS = {"response_timeout": "7", "prompt_repeat": "1", "name": "Elsewhere"}
RARELY = st.sampled_from([False, False, False, True])
SECONDS = st.sampled_from([1, 11, 31, 46, 121, 601, 1000, 90_000])


class Died(BaseException):
    """The process that was talking to the PBX is gone."""


class ModelPbx(PbxDouble):
    """The PBX, which also keeps what it told and what it was told. Numbers stay in order, as on the real one.

    readings: every IVR that it ever reported. updates: every ivr/update since `forget`, each with the IVR as it was
    just before.
    """

    def __init__(self) -> None:
        super().__init__()
        for number in ("6501", "6502"):
            self.add(number)
        self.is_on = True
        self.on_update: Callable[[], None] = lambda: None
        self.later: list[Body] = []
        self.readings: list[dict[str, str | None]] = []
        self.theirs: set[tuple[str, str]] = set()  # what others wrote here, and what came true long after it was asked
        self.forget()

    def forget(self) -> None:
        self.updates: list[tuple[Body, dict[str, str]]] = []
        self.carried_out, self.token_refusals = 0, 0

    @property
    def is_at_its_best(self) -> bool:
        return self.is_on and self.password_is_right and not any(self.faults.values()) and not self.later

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        if not self.is_on:
            raise requests.ConnectTimeout("off")
        return super().answer(request)

    def carry_out(self, name: str, body: Body, token: str) -> Body:
        if name == "ivr/update":
            self.told(body)
        answer = super().carry_out(name, body, token)
        if name == "ivr/query":
            self.readings += [values_of(ivr) for ivr in answer.get("ivr", [])]
        return answer

    def told(self, body: Body) -> None:
        self.updates.append((body, dict(self.ivrs.get(body["ivrid"], {}))))
        self.on_update()

    def update(self, body: Body) -> Body:
        self.carried_out += 1
        return super().update(body)

    def edit(self, number: str, **fields: str) -> None:
        """Somebody changes an IVR on the PBX's own pages."""
        self.theirs |= fields.items()
        self.ivrs[number] |= fields


def values_of(ivr: dict[str, str]) -> dict[str, str | None]:
    return read_ivr(ivr, ApiVersion.V1_0).values()


def on_update(fault: ModelFault) -> Any:
    """A fault of ivr/update that keeps what it was told, as a good call does."""

    def told(pbx: ModelPbx, body: Body) -> Any:
        pbx.told(body)
        return fault(pbx, body)

    return told


def token_refused(pbx: ModelPbx, body: Body) -> Body:
    pbx.token_refusals += 1
    return refused("20006")


def applies_and_refuses(pbx: ModelPbx, body: Body) -> Body:
    pbx.update(body)
    return refused("30001")


def applies_half(pbx: ModelPbx, body: Body) -> Body:
    keys = [key for key in body if key not in ("ivrid", "ivrnumber")]
    pbx.update({"ivrid": body["ivrid"]} | {key: body[key] for key in keys[: len(keys) // 2]})
    return SUCCESS


def applies_something_else(pbx: ModelPbx, body: Body) -> Body:
    return pbx.update(body | ({"responsetimeout": "10"} if "responsetimeout" in body else {}))


def applies_later(pbx: ModelPbx, body: Body) -> Body:
    pbx.later.append(body)
    return SUCCESS


def somebody_edits_too(pbx: ModelPbx, body: Body) -> Body:
    answer = pbx.update(body)
    for number in pbx.ivrs:
        pbx.edit(number, digittimeout="7")
    return answer


def dies(pbx: ModelPbx, body: Body) -> Any:
    raise Died


def applies_and_dies(pbx: ModelPbx, body: Body) -> Any:
    pbx.update(body)
    raise Died


# What a fault is given is the one PBX there is, a ModelPbx.
LOGIN: dict[str, Any] = {
    "breaks": breaks,
    "cannot be reached": cannot_be_reached,
    "wrong password": says(refused("20003")),
    "locked": says(refused("20002")),
    "no JSON": says("<html>busy</html>"),
    "dies": dies,
}
READ: dict[str, Any] = {
    "breaks": breaks,
    "cannot be reached": cannot_be_reached,
    "no JSON": says("<html>busy</html>"),
    "token refused": token_refused,
    "not found": says(refused("10012")),
    "doubled": says('{"status":"Failed","status":"Success"}'),
    "dies": dies,
}
UPDATE: dict[str, Any] = {
    "breaks": breaks,
    "cannot be reached": cannot_be_reached,
    "loses the answer": loses_the_answer,
    "Success of nothing": says(SUCCESS),
    "no JSON": says("<html>busy</html>"),
    "refused": says(refused("10018")),
    "token refused": token_refused,
    "applies and refuses": applies_and_refuses,
    "applies half": applies_half,
    "applies something else": applies_something_else,
    "applies later": applies_later,
    "somebody edits too": somebody_edits_too,
    "dies": dies,
    "applies and dies": applies_and_dies,
}
# The faults of one edit, by where they wait: mostly such that something is sent.
FAULTS = st.sampled_from(
    [{}] * 5
    + [{"login": fault} for fault in LOGIN]
    + [{"read": fault} for fault in READ]
    + [{"update": fault} for fault in UPDATE] * 2
    + [{"read-back": fault} for fault in READ] * 2
    + [{"update": fault, "read-back": other} for fault in UPDATE for other in ("breaks", "token refused", "dies")]
    + [{"update": "token refused", "login": fault} for fault in LOGIN]
)


class HeldByLog:
    """What the PBX must hold, by the log alone. `waiting` is told of a new number before the log says that it is.

    told_at: when each field was last found, by number and name. An outcome that was recorded late says when it was
    found, and is no news of what was found after it.
    """

    def __init__(self, ivrs: dict[str, dict[str, str | None]]) -> None:
        self.ivrs = {number: dict(ivr) for number, ivr in ivrs.items()}
        self.waiting: dict[str, dict[str, str | None]] = {}
        self.told_at: dict[tuple[str, str], datetime] = {}

    def after(self, event: Event) -> None:
        found = self.news(
            {name: said["found"] for name, said in event.data["fields"].items() if "found" in said}, event
        )
        if event.action == "ivr.changed-outside":
            self.ivrs.get(event.ivr_number, self.waiting.setdefault(event.ivr_number, {})).update(found)
        elif event.action == "ivr.appeared":
            self.ivrs[event.ivr_number] = found
        elif event.action == "ivr.vanished":
            del self.ivrs[event.ivr_number]
        elif event.outcome in ("verified", "not-as-asked", "refused"):
            self.after_reading(event, found)

    def news(self, found: dict[str, str | None], event: Event) -> dict[str, str | None]:
        late = event.data["detail"].get("found_at")
        at = datetime.fromisoformat(late) if late else event.at
        fresh = {name: text for name, text in found.items() if self.told_at.get((event.ivr_number, name), at) <= at}
        for number in {event.ivr_number, found.get("number") or event.ivr_number}:
            self.told_at |= {(number, name): at for name in fresh}
        return fresh

    def after_reading(self, event: Event, found: dict[str, str | None]) -> None:
        if None in found.values():  # it was gone
            return
        names = event.data["fields"]
        old = event.ivr_number if event.ivr_number in self.ivrs else names.get("number", {}).get("asked", "")
        ivr = self.ivrs.pop(old)
        number = found.get("number") or old
        self.ivrs[number] = ivr | found | self.waiting.pop(number, {})


class ChangeMachine(RuleBasedStateMachine):
    """One PBX with three IVRs, and people, faults and time."""

    changes = Bundle("changes")

    def __init__(self) -> None:
        super().__init__()
        self.log_is_away = self.log_leaves_at_update = False
        self.heard = 0
        self.told: dict[int, tuple[str, list[tuple[str, str]]]] = {}
        self.applied_at: dict[int, int] = {}  # by change, how many readings there had been when it was applied
        self.pbx_http = ModelPbx()
        self.pbx_http.on_update = self.at_update
        self.open = ExitStack()
        self.time = self.open.enter_context(time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC), tick=True))
        mock = self.open.enter_context(responses.RequestsMock(assert_all_requests_are_fired=False))
        for name in CALLS:
            for version in ("v1.0.0", "v1.1.0"):
                url = f"https://{HOST}:8088/api/{version}/{name}"
                mock.add_callback(responses.POST, url, callback=self.pbx_http.answer)
        self.open.enter_context(connection.execute_wrapper(self.query))

    def at_update(self) -> None:
        self.log_is_away = self.log_is_away or self.log_leaves_at_update

    def query(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.log_is_away and sql.replace('"', "").startswith("INSERT INTO audit_event"):
            raise OperationalError("the disk is full")
        return execute(sql, params, many, context)

    @initialize(version=st.sampled_from([ApiVersion.V1_0, ApiVersion.V1_1]))
    def a_pbx(self, version: ApiVersion) -> None:
        customer = make_customer(f"Customer {next(customers)}")
        self.pk = make_pbx(customer, api_version=version.value).pk
        pbx_refresh(pbx=self.pbx, actor=MARA)
        self.first = {number: values_of(ivr) for number, ivr in self.pbx_http.ivrs.items()}

    @property
    def pbx(self) -> Pbx:
        return Pbx.objects.select_related("customer").get(pk=self.pk)

    # What people do.

    @rule(target=changes, which=st.integers(0, 4), wanted=WANTED)
    def plan(self, which: int, wanted: dict[str, int]) -> int:
        number = sorted(self.pbx_http.ivrs)[which % len(self.pbx_http.ivrs)]
        live = read_ivr(self.pbx_http.ivrs[number], ApiVersion.V1_0)
        asked = {name: VALUES[name][place] for name, place in wanted.items()}
        asked = {name: text for name, text in asked.items() if live.values()[name] != text}
        opened = opened_now(self.pbx, live, timezone.now())
        asked = asked or {"digit_timeout": "8" if live.digit_timeout != "8" else "9"}
        return change_plan(pbx=self.pbx, opened=opened, wanted=asked, actor=MARA).pk

    @rule(pk=changes)
    def apply(self, pk: int) -> None:
        """For the first time, twice, or when it is over already."""
        must_be = self.must_become(Change.objects.get(pk=pk))
        change = self.applied(pk)
        if must_be is not None:
            assert change.status == must_be, (change.sentence, must_be)

    @rule(pk=changes)
    def apply_without_a_log(self, pk: int) -> None:
        """Nothing is sent that cannot be recorded first."""
        self.log_is_away = True
        with suppress(DatabaseError):
            self.applied(pk)
        self.log_is_away = False
        assert self.pbx_http.updates == []

    @rule(pk=changes)
    def apply_and_lose_the_log_after_sending(self, pk: int) -> None:
        self.log_leaves_at_update = True
        self.applied(pk)
        self.log_is_away = self.log_leaves_at_update = False

    def applied(self, pk: int) -> Change:
        change = Change.objects.get(pk=pk)
        was = change.status
        if was == Status.PLANNED:
            self.applied_at[pk] = len(self.pbx_http.readings)
        with self.process_may_die():
            change_apply(change=change, actor=MARA, confirmed=True)
        change.refresh_from_db()
        self.check_updates(change if was == Status.PLANNED else None)
        return change

    @rule(target=changes, which=st.integers(0, 4), wanted=WANTED, faults=FAULTS, clashes=RARELY, waits=st.booleans())
    def edit(self, which: int, wanted: dict[str, int], faults: dict[str, str], clashes: bool, waits: bool) -> int:
        """A whole edit at a good moment, but for these faults.

        clashes: somebody changed the same fields on the PBX first. waits: some time passes after it.
        """
        self.all_is_well()
        pk: int = self.plan(which, wanted)  # type: ignore[assignment]  # never `multiple()`
        if clashes:
            change = Change.objects.get(pk=pk)
            theirs = {BY_NAME[name].wire: THEIRS[name] for name in change.wanted if name in THEIRS}
            self.pbx_http.edit(change.number, **theirs)
        for place, fault in faults.items():
            self.put(place, fault)
        self.apply(pk)
        if waits:
            self.pbx_http.faults.clear()
            self.time_passes(46)
            self.tick()
        return pk

    @rule(target=changes, pk=changes, keeps_ours=st.booleans())
    def resolve(self, pk: int, keeps_ours: bool) -> int:
        change = Change.objects.get(pk=pk)
        if change.status != Status.CONFLICT:
            return pk
        made = change_resolve(change=change, yours=list(change.wanted) if keeps_ours else [], actor=MARA)
        return made.pk if made else pk

    @rule(pk=changes)
    def check_now(self, pk: int) -> None:
        with self.process_may_die():
            change_check(Change.objects.get(pk=pk), insist=True)
        self.check_updates(None)

    @rule()
    def refresh(self) -> None:
        try:
            with self.process_may_die():
                pbx_refresh(pbx=self.pbx, actor=MARA)
        except PbxError:
            pass
        self.check_updates(None)

    # What happens by itself.

    @rule()
    def tick(self) -> None:
        with self.process_may_die():
            replay_spool()
            reconcile()
        self.check_updates(None)

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.time.shift(timedelta(seconds=seconds))

    # What the PBX does.

    @rule(which=st.integers(0, 4), name=st.sampled_from(["responsetimeout", "promptrepeat"]), value=st.integers(1, 5))
    def somebody_edits_on_the_pbx(self, which: int, name: str, value: int) -> None:
        number = sorted(self.pbx_http.ivrs)[which % len(self.pbx_http.ivrs)]
        self.pbx_http.edit(number, **{name: str(value)})

    @rule(faults=FAULTS)
    def faults_wait(self, faults: dict[str, str]) -> None:
        for place, fault in faults.items():
            self.put(place, fault)

    def put(self, place: str, fault: str) -> None:
        if place == "login":
            self.pbx_http.tokens.clear()
            self.pbx_http.fail("login", LOGIN[fault])
        elif place == "update":
            self.pbx_http.fail("ivr/update", on_update(UPDATE[fault]))
        else:
            self.pbx_http.fail("ivr/query", READ[fault], after=int(place == "read-back"))

    @rule()
    def all_is_well(self) -> None:
        """What was wrong is over, and so is every pause that it led to."""
        self.pbx_http.faults.clear()
        self.pbx_http.is_on = True
        if not self.pbx_http.password_is_right or self.is_rejected:
            self.the_password_is_corrected()
        if not self.may_be_asked:
            self.time.shift(timedelta(seconds=1000))

    @precondition(lambda self: self.pbx_http.later)
    @rule()
    def the_pbx_does_what_it_said_it_had_done(self) -> None:
        for body in self.pbx_http.later:
            if body["ivrid"] in self.pbx_http.ivrs:
                self.pbx_http.theirs |= body.items()
                self.pbx_http.update(body)
        self.pbx_http.later.clear()
        self.pbx_http.forget()

    @rule()
    def the_pbx_goes_off_or_on(self) -> None:
        self.pbx_http.is_on = not self.pbx_http.is_on

    @rule()
    def the_tokens_are_forgotten(self) -> None:
        self.pbx_http.tokens.clear()

    @rule()
    def the_password_is_changed_on_the_pbx(self) -> None:
        self.pbx_http.password_is_right = False
        self.pbx_http.tokens.clear()

    @precondition(lambda self: not self.pbx_http.password_is_right or self.is_rejected)
    @rule()
    def the_password_is_corrected(self) -> None:
        self.pbx_http.password_is_right = True
        pbx_edit(pbx=self.pbx, values={}, password="Another-Passw0rd")

    # What must be true.

    @property
    def is_rejected(self) -> bool:
        return self.pbx.state == PbxState.CREDENTIALS_REJECTED

    @property
    def may_be_asked(self) -> bool:
        pbx = self.pbx
        is_locked = pbx.locked_until is not None and pbx.locked_until > timezone.now()
        return not (self.is_rejected or is_locked or pbx.is_paused)

    def must_become(self, change: Change) -> Status | None:
        """What applying it must come to; None when a fault has a say in it."""
        now = timezone.now()
        if change.status != Status.PLANNED:
            return Status(change.status)
        if change.claimed_until and change.claimed_until > now:
            return Status.PLANNED
        if change.planned_at + PLAN_LIFE <= now or not self.may_be_asked:
            return Status.NOT_SENT
        if not self.pbx_http.is_at_its_best:
            return None
        live = self.pbx_http.ivrs.get(change.number)
        if live is None:
            return Status.NOT_SENT
        values = values_of(live)
        left = {name for name, text in change.wanted.items() if values[name] != text}
        if any(values[name] != change.base[name] for name in left):
            return Status.CONFLICT
        if not left or ("number" in left and change.wanted["number"] in self.pbx_http.ivrs):
            return Status.NOT_SENT
        of_ivr = Change.objects.of_ivr
        both = (change.number, change.wanted["number"]) if "number" in left else ()
        if any(of_ivr(self.pk, number).in_motion().exists() for number in both):
            return Status.NOT_SENT
        return Status.VERIFIED

    @contextmanager
    def process_may_die(self) -> Iterator[None]:
        """What was told and reported is kept from here on. The one that talks to the PBX may die of a fault."""
        self.pbx_http.forget()
        received, was_rejected = len(self.pbx_http.received), self.is_rejected
        try:
            yield
        except Died:
            pass
        finally:
            if was_rejected:  # five wrong passwords lock our address out
                assert len(self.pbx_http.received) == received

    def check_updates(self, change: Change | None) -> None:
        """Updates that the PBX was told of during this step: none but by applying a planned change, and of that one
        only what the person changed."""
        updates = self.pbx_http.updates
        if change is None:
            assert updates == []
            return
        change.refresh_from_db()
        assert len(updates) <= 1 + self.pbx_http.token_refusals
        assert not updates or Event.objects.filter(change_id=change.pk, action="change.sending").count() == 1
        if change.status in (Status.NOT_SENT, Status.CONFLICT, Status.PLANNED):
            assert self.pbx_http.carried_out == 0
        for body, before in updates:
            self.check_body(change, dict(body), before)

    def check_body(self, change: Change, body: Body, before: dict[str, str]) -> None:
        assert body.pop("ivrid") == change.number
        for name, text in change.wanted.items():
            assert body.pop(BY_NAME[name].wire, text) == text
        insists_on = ("ivrnumber", "ivrname") if change.api_version == ApiVersion.V1_0 else ()
        assert body.keys() <= set(insists_on)
        assert all(before[key] == text for key, text in body.items())

    @invariant()
    def the_lease_is_free(self) -> None:
        if hasattr(self, "pk"):
            lease = Lease.objects.get(pbx_id=self.pk)
            assert (lease.holder, lease.until <= timezone.now()) == ("", True)

    @invariant()
    def the_log_and_the_changes_agree(self) -> None:
        found = Event.objects.filter(pbx_id=getattr(self, "pk", 0)).exclude(change_id=None).order_by("id")
        events: dict[int, list[tuple[str, str]]] = {}
        for change_id, action, outcome in found.values_list("change_id", "action", "outcome"):
            events.setdefault(change_id, []).append((action, outcome))
        for change in Change.objects.filter(pbx_id=getattr(self, "pk", 0)):
            now = (change.status, events.get(change.pk, []))
            if now != self.told.get(change.pk):
                self.check_change(change, now[1])
                self.told[change.pk] = now

    def check_change(self, change: Change, events: list[tuple[str, str]]) -> None:
        """A change that a step brought further."""
        before = self.told.get(change.pk, ("", []))[1]
        assert events[: len(before)] == before
        actions = [action for action, _ in events]
        if change.status == Status.PLANNED:
            assert events == []
            return
        assert events[-1][1] == change.status
        if change.status == Status.CONFLICT:
            assert actions == ["change.conflict"]
        elif actions[0] == "change.sending":
            assert actions.count("change.sending") == 1
            assert (len(actions) == 1) == (change.status == Status.SENDING)
            assert actions[1:2] in ([], ["change.outcome"], ["change.settled"])
            assert set(actions[2:]) <= {"change.settled"}
        else:
            assert events == [("change.outcome", "not-sent")]
        self.check_found(change)

    def check_found(self, change: Change) -> None:
        """What a change says it found was reported by the PBX since, and nothing is called verified that was not."""
        if change.status in (Status.VERIFIED, Status.REFUSED):
            assert change.found
        if change.found is not None:
            assert change.found in self.pbx_http.readings[self.applied_at[change.pk] :]
        if change.status == Status.VERIFIED:
            assert all(change.found[name] == text for name, text in change.wanted.items())
        if change.status == Status.REFUSED:
            assert all(change.found[name] == change.live[name] for name in change.wanted)

    def teardown(self) -> None:
        """When nothing is wrong any more, every change that was sent comes to a true end by itself."""
        try:
            if hasattr(self, "pk"):
                self.everything_gets_well()
            assert verify().faults == []
        finally:
            self.open.close()

    @invariant()
    def what_is_told_of_others_is_theirs(self) -> None:
        """Each field that the log says was changed outside was: by somebody's edit, or by the PBX long after."""
        events = Event.objects.filter(pbx_id=getattr(self, "pk", 0), action="ivr.changed-outside", pk__gt=self.heard)
        for event in events.order_by("id"):
            self.heard = event.pk
            assert (event.actor_id, event.actor_name, event.data["address"]) == (None, "PBX Admin", "")
            for name in event.data["fields"]:
                assert (BY_NAME[name].wire, event.data["fields"][name]["found"]) in self.pbx_http.theirs, event.text

    def check_the_log_alone_tells_what_the_pbx_holds(self) -> None:
        """From the first reading on, outcomes and outside changes lead to what is there now."""
        with suppress(PbxError):
            pbx_refresh(pbx=self.pbx, actor=MARA)
        held = HeldByLog(self.first)
        for event in Event.objects.filter(pbx_id=self.pk).order_by("id"):
            held.after(event)
        now = {number: values_of(ivr) for number, ivr in self.pbx_http.ivrs.items()}
        assert held.ivrs == now

    def everything_gets_well(self) -> None:
        self.all_is_well()
        self.time.shift(timedelta(seconds=1000))
        for _ in range(2):
            self.tick()
            self.the_log_and_the_changes_agree()
            self.time.shift(timedelta(seconds=1000))
        self.check_the_log_alone_tells_what_the_pbx_holds()
        left = Change.objects.filter(pbx_id=self.pk, status__in=[Status.SENDING, Status.UNKNOWN])
        assert [(change.pk, change.sentence) for change in left] == []
        assert not Change.objects.filter(pbx_id=self.pk).exclude(check_at=None).exists()


def test_model_pbx_and_log_agree_after_any_steps(settings: Any, tmp_path: Any) -> None:
    settings.DATA_DIR = tmp_path  # where outcomes are spooled
    run_state_machine_as_test(ChangeMachine, settings=PROFILE)


PROFILE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    suppress_health_check=list(HealthCheck),
)
