"""Random presses on random batches, with faults, deaths and other people: each target ends in one true outcome.

After each step the batches, their changes, the two PBXs and the log tell the same story.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses
import time_machine
from django.db import DatabaseError, connection
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ivr.changes.apply import change_apply
from ivr.changes.plan import change_plan
from ivr.changes.reconcile import reconcile, replay_spool
from ivr.forms import opened_now
from ivr.models import Change
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer, Membership
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_archive, customer_unarchive, membership_end, membership_grant
from pbxadmin.audit.chain import verify
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import NOT_VERIFIED_OUTCOMES, OVER, WAITING, Batch, BatchState, BatchUnit
from pbxadmin.batches.services import (
    Chosen,
    Pace,
    batch_continue,
    batch_plan,
    batch_restore,
    batch_retry,
    batch_start,
    batch_stop,
)
from pbxadmin.batches.work import NOTHING_SENT, batch_work, batches_kick
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_edit
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.batches.database import log_watched
from tests.factories import make_customer, make_pbx, make_user
from tests.pbx_http import CALLS
from tests.stateful.test_change_machine import (
    FAULTS,
    LOGIN,
    READ,
    UPDATE,
    Died,
    ModelPbx,
    customers,
    on_update,
)

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = 15
EXAMPLES = 18 if connection.vendor == "sqlite" else 5  # a database server takes three times as long
HOSTS = ("pbx.invalid", "other.invalid")
NUMBERS = ("6500", "6501", "6502")
SECONDS = st.sampled_from([1, 31, 61, 121, 601, 1900])
PLACES = st.integers(0, 1)
TARGETS = st.sets(st.sampled_from([(pbx, number) for pbx in (0, 1) for number in NUMBERS]), min_size=3)
MEANWHILE = ("stop", "role", "archive", "off", "edit", "edit outside")
JOB: dict[str, Any] = {
    "places": TARGETS,
    "value": st.integers(4, 9),
    "canary": st.integers(1, 3),
    "patience_min": st.sampled_from([0, 0, 30]),
    "faults": FAULTS,
    "place": PLACES,
    "meanwhile": st.sampled_from([""] * 9 + [*MEANWHILE]),
    "later": st.sampled_from([""] * 6 + [*MEANWHILE]),
}
# What each event of a batch leaves from, and the state that it leads to.
LEADS: dict[str, tuple[set[str], str]] = {
    "batch.planned": ({""}, "planned"),
    "batch.started": ({"planned"}, "running"),
    "batch.continued": ({"paused", "halted"}, "running"),
    "batch.paused": ({"running"}, "paused"),
    "batch.halted": ({"running"}, "halted"),
    "batch.stopped": ({"planned", "running", "paused", "halted"}, "stopped"),
    "batch.finished": ({"running"}, "finished"),
}
AS_PLANNED = (BatchState.PREVIEWING, BatchState.READY, BatchState.EXPIRED)


class BatchMachine(RuleBasedStateMachine):
    """Two PBXs with three IVRs each, batches over them, a manager, faults and time."""

    batches = Bundle("batches")

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[int, str] = {}  # the outcome of each target, by its id
        self.digests: dict[int, tuple[str, int]] = {}
        self.pbxs = [ModelPbx() for _ in HOSTS]
        self.open = ExitStack()
        self.time = self.open.enter_context(time_machine.travel(datetime(2026, 3, 2, 12, tzinfo=UTC), tick=True))
        self.log = self.open.enter_context(log_watched())
        mock = self.open.enter_context(responses.RequestsMock(assert_all_requests_are_fired=False))
        for host, pbx in zip(HOSTS, self.pbxs, strict=True):
            for name in CALLS:
                mock.add_callback(responses.POST, f"https://{host}:8088/api/v1.0.0/{name}", callback=pbx.answer)

    @initialize(target=batches, **JOB)
    def a_customer(self, **job: Any) -> int:
        self.customer = make_customer(f"Customer {next(customers)}")
        self.manager = make_user(Role.MANAGER, self.customer, username=f"mara{self.customer.pk}")
        self.mara = Actor(self.manager.pk, "Mara Lindqvist")
        self.pks = []
        for place, host in enumerate(HOSTS):
            pbx = make_pbx(self.customer, name=f"PBX-{place}", host=host)
            pbx_refresh(pbx=pbx, actor=self.mara)
            self.pks.append(pbx.pk)
        return self.a_whole_job(**job)  # type: ignore[return-value]  # never `multiple()`

    @property
    def records(self) -> list[Pbx]:
        return list(Pbx.objects.select_related("customer").filter(pk__in=getattr(self, "pks", [])).order_by("pk"))

    @property
    def found(self) -> list[Batch]:
        ids = Event.objects.filter(action="batch.planned", customer_id=self.customer.pk).values("batch_id")
        return list(Batch.objects.filter(pk__in=ids).order_by("pk"))

    # What people do.

    @rule(
        target=batches,
        places=TARGETS,
        value=st.integers(3, 6),
        canary=st.integers(1, 3),
        halt_after=st.sampled_from([1, 2, 100]),
        patience_min=st.sampled_from([0, 0, 30]),
    )
    def plan(self, places: set[Any], value: int, canary: int, halt_after: int, patience_min: int) -> int:
        asked = {"response_timeout": str(value)}
        who = self.customer.pk, self.customer.name
        chosen = [Chosen(*who, self.pks[pbx], f"PBX-{pbx}", number, "", asked, {}) for pbx, number in sorted(places)]
        until = timezone.now() + timedelta(minutes=patience_min) if patience_min else None
        pace = Pace(canary=canary, pbxs_at_once=2, halt_after=halt_after, keep_trying_until=until)
        return self.added(batch_plan(chosen=chosen, wanted=asked, pace=pace, actor=self.mara))

    def added(self, batch: Batch) -> int:
        BatchUnit.objects.filter(batch=batch).update(pace_s=0)  # nobody waits between two sends
        self.digests[batch.pk] = (batch.digest, batch.size)
        self.work(batch.pk)
        return batch.pk

    @rule(pk=batches)
    def start(self, pk: int) -> None:
        batch = Batch.objects.get(pk=pk)
        with self.may_fail():
            batch_start(batch=batch, actor=self.mara, confirmed=True, typed="")
        self.work(pk)

    @rule(pk=batches, reason=st.sampled_from(["Known", "Known", ""]))
    def go_on(self, pk: int, reason: str) -> None:
        batch = Batch.objects.get(pk=pk)
        was = batch.state
        with self.may_fail():
            went = batch_continue(batch=batch, reason=reason)
            assert went == (was == BatchState.PAUSED or (was == BatchState.HALTED and reason != ""))
        self.work(pk)

    @rule(pk=batches)
    def stop(self, pk: int) -> None:
        with self.may_fail():
            batch_stop(batch=Batch.objects.get(pk=pk), actor=self.mara)

    @rule(target=batches, pk=batches, restores=st.booleans())
    def make_another(self, pk: int, restores: bool) -> int:
        batch = Batch.objects.get(pk=pk)
        if restores:
            made = batch_restore(batch=batch, actor=self.mara)
        else:
            made = batch_retry(batch=batch, outcomes=NOT_VERIFIED_OUTCOMES, actor=self.mara)
        return self.added(made) if made else pk

    @rule(target=batches, **JOB)
    def a_whole_job(
        self,
        places: set[Any],
        value: int,
        canary: int,
        patience_min: int,
        faults: dict[str, str],
        place: int,
        meanwhile: str,
        later: str,
    ) -> int:
        """A batch at a good moment, but for these faults, and what others do before it goes on and after that."""
        self.all_is_well()
        pk: int = self.plan(places, value, canary, 2, patience_min)  # type: ignore[assignment]  # never `multiple()`
        self.happens(meanwhile, pk, place)
        for where, fault in faults.items():
            self.put(where, fault, place)
        self.start(pk)
        self.happens(later, pk, place)
        self.go_on(pk, "Known")
        self.time.shift(timedelta(seconds=61))
        self.tick()
        self.work(pk)
        self.go_on(pk, "Known")
        return pk

    def happens(self, what: str, pk: int, place: int) -> None:
        if what == "stop":
            self.stop(pk)
        elif what == "role":
            self.the_role_ends_or_is_given()
        elif what == "archive":
            self.the_customer_is_archived_or_restored()
        elif what == "off":
            self.a_pbx_goes_off_or_on(place)
        elif what == "edit":
            self.a_person_edits(place, "6501", 8)
        elif what == "edit outside":
            self.somebody_edits_on_the_pbx(place, "6500", 7)

    @rule(place=PLACES, number=st.sampled_from(NUMBERS), value=st.integers(3, 6))
    def a_person_edits(self, place: int, number: str, value: int) -> None:
        live = read_ivr(self.pbxs[place].ivrs[number], ApiVersion.V1_0)
        wanted = {"response_timeout": str(value)}
        if live.values() | wanted == live.values():
            return
        record = self.records[place]
        if record.customer.archived_at:
            return
        opened = opened_now(record, live, timezone.now())
        change = change_plan(pbx=record, opened=opened, wanted=wanted, actor=self.mara)
        with suppress(Died):
            change_apply(change=change, actor=self.mara, confirmed=True)

    @rule()
    def the_role_ends_or_is_given(self) -> None:
        membership = Membership.objects.filter(user=self.manager).first()
        if membership:
            membership_end(membership=membership)
        else:
            membership_grant(user=self.manager, role=Role.MANAGER, customer=self.customer)

    @rule()
    def the_customer_is_archived_or_restored(self) -> None:
        customer = Customer.objects.get(pk=self.customer.pk)
        customer_unarchive(customer=customer) if customer.archived_at else customer_archive(customer=customer)

    # What happens by itself.

    @rule(pk=batches)
    def work(self, pk: int) -> None:
        with self.may_fail():
            batch_work.call(pk)

    @rule(pk=batches)
    def work_without_a_log(self, pk: int) -> None:
        self.log.is_away = True
        self.work(pk)
        self.log.is_away = False

    @rule(pk=batches, place=PLACES)
    def work_and_lose_the_log_after_sending(self, pk: int, place: int) -> None:
        self.pbxs[place].on_update = self.lose_the_log
        self.work(pk)
        self.pbxs[place].on_update = lambda: None
        self.log.is_away = False

    def lose_the_log(self) -> None:
        self.log.is_away = True

    @contextmanager
    def may_fail(self) -> Iterator[None]:
        """A process that does this may die, or find the log away; then it is done with."""
        with suppress(Died, DatabaseError):
            yield

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.time.shift(timedelta(seconds=seconds))

    @rule()
    def tick(self) -> None:
        with suppress(Died):
            replay_spool()
            reconcile()
        batches_kick()

    # What the PBXs do.

    @rule(faults=FAULTS, place=PLACES)
    def faults_wait(self, faults: dict[str, str], place: int) -> None:
        for where, fault in faults.items():
            self.put(where, fault, place)

    def put(self, where: str, fault: str, place: int) -> None:
        pbx = self.pbxs[place]
        if where == "login":
            pbx.tokens.clear()
            pbx.fail("login", LOGIN[fault])
        elif where == "update":
            pbx.fail("ivr/update", on_update(UPDATE[fault]))
        else:
            pbx.fail("ivr/query", READ[fault], after=int(where == "read-back"))

    @rule(place=PLACES, number=st.sampled_from(NUMBERS), value=st.integers(3, 6))
    def somebody_edits_on_the_pbx(self, place: int, number: str, value: int) -> None:
        self.pbxs[place].edit(number, responsetimeout=str(value))

    @rule(place=PLACES)
    def a_pbx_goes_off_or_on(self, place: int) -> None:
        self.pbxs[place].is_on = not self.pbxs[place].is_on

    @rule(place=PLACES)
    def a_password_is_changed_on_the_pbx(self, place: int) -> None:
        self.pbxs[place].password_is_right = False
        self.pbxs[place].tokens.clear()

    @rule()
    def all_is_well(self) -> None:
        """What was wrong is over, and so is every pause and claim that it led to."""
        for pbx, record in zip(self.pbxs, self.records, strict=True):
            pbx.faults.clear()
            pbx.is_on = True
            if not pbx.password_is_right or record.state == "credentials-rejected":
                pbx.password_is_right = True
                pbx_edit(pbx=record, values={}, password="Another-Passw0rd")
        if not Membership.objects.filter(user=self.manager).exists():
            membership_grant(user=self.manager, role=Role.MANAGER, customer=self.customer)
        customer = Customer.objects.get(pk=self.customer.pk)
        if customer.archived_at:
            customer_unarchive(customer=customer)
        self.time.shift(timedelta(seconds=1000))
        self.tick()

    # What must be true.

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        """Each update was announced in the log, each change once, and of each target one change went out at most."""
        for pk, pbx in zip(getattr(self, "pks", []), self.pbxs, strict=False):
            sending = Event.objects.filter(pbx_id=pk, action="change.sending").values_list("change_id", flat=True)
            assert len(pbx.updates) <= len(sending) + pbx.token_refusals
            assert len(sending) == len(set(sending))
        gone_out = Change.objects.filter(pbx_id__in=getattr(self, "pks", [])).exclude(batch_id=None)
        gone_out = gone_out.exclude(status__in=[Change.Status.PLANNED, Change.Status.NOT_SENT])
        counts = Counter(gone_out.values_list("batch_id", "pbx_id", "number"))
        assert set(counts.values()) <= {1}, counts

    @invariant()
    def each_target_has_one_true_outcome(self) -> None:
        for batch in self.found if hasattr(self, "pks") else []:
            targets = list(batch.targets.all())
            assert (batch.digest, batch.size) == self.digests[batch.pk]
            assert len(targets) == batch.size
            assert batch.state in (BatchState.PREVIEWING, BatchState.STOPPED, BatchState.EXPIRED) or all(
                target.klass for target in targets
            )
            for target in targets:
                before, now = self.told.get(target.pk, ""), target.outcome
                assert before == now or before in ("", WAITING, "unknown", "not-as-asked"), (before, now)
                assert not now or target.klass == "would-change"
                self.told[target.pk] = now
                self.check_outcome(now, Change.objects.filter(pk=target.change_id or 0).first())
                if now == "not-sent":  # nor did an earlier try go out
                    tries = Change.objects.filter(batch_id=batch.pk, pbx_id=target.pbx_id, number=target.number)
                    assert not tries.exclude(status__in=NOTHING_SENT).exists()

    def check_outcome(self, outcome: str, change: Change | None) -> None:
        if outcome == "not-sent":
            assert change is None or change.status in NOTHING_SENT
        elif outcome not in ("", WAITING):
            assert change is not None
            assert change.status == outcome or outcome in ("unknown", "not-as-asked")
            assert outcome != "verified" or all(change.found[name] == text for name, text in change.wanted.items())

    @invariant()
    def the_log_leads_to_the_state_of_each_batch(self) -> None:
        for batch in self.found if hasattr(self, "pks") else []:
            state = ""
            events = Event.objects.filter(batch_id=batch.pk, action__startswith="batch.").order_by("id")
            for action in events.values_list("action", flat=True):
                origins, after = LEADS[action]
                assert state in origins, (state, action)
                state = after
            assert state == ("planned" if batch.state in AS_PLANNED else batch.state)

    def teardown(self) -> None:
        try:
            if hasattr(self, "pks"):
                self.everything_gets_well()
            assert verify().faults == []
        finally:
            self.open.close()

    def everything_gets_well(self) -> None:
        """Batches that run come to an end or a rest by themselves, and what was sent to a true outcome."""
        for _ in range(4):
            self.all_is_well()
            for batch in self.found:
                self.work(batch.pk)
        self.all_is_well()
        self.nothing_is_sent_twice()
        self.each_target_has_one_true_outcome()
        self.the_log_leads_to_the_state_of_each_batch()
        for batch in self.found:
            assert batch.state not in (BatchState.PREVIEWING, BatchState.RUNNING), batch.pk
            self.check_rest(batch)

    def check_rest(self, batch: Batch) -> None:
        outcomes = Counter(batch.targets.to_change().values_list("outcome", flat=True))
        assert sum(outcomes.values()) + batch.targets.exclude(klass="would-change").count() == batch.size
        assert batch.state != BatchState.FINISHED or not outcomes[""]
        assert batch.state not in OVER or not outcomes[WAITING]
        for target in batch.targets.exclude(outcome__in=("", WAITING, "not-sent")):
            assert Change.objects.get(pk=target.change_id).status == target.outcome
        left = Change.objects.filter(batch_id=batch.pk, status__in=[Change.Status.SENDING, Change.Status.UNKNOWN])
        assert not left.exists()
        for target in batch.targets.left().exclude(change_id=None):
            change = Change.objects.get(pk=target.change_id)
            assert change.status in (Change.Status.PLANNED, Change.Status.NOT_SENT)


@pytest.mark.in_shares
def test_batches_changes_pbxs_and_log_agree_after_any_steps(settings: Any, tmp_path: Any) -> None:
    settings.DATA_DIR = tmp_path  # where outcomes are spooled
    run_state_machine_as_test(BatchMachine, settings=PROFILE)


PROFILE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    suppress_health_check=list(HealthCheck),
)
