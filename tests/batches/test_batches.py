"""A batch from the list to its end, with a PBX at the HTTP edge."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone

from ivr.changes.reconcile import reconcile
from ivr.models import Change, Ivr
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import customer_archive, membership_end
from pbxadmin.audit.context import SYSTEM
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import REACHED_FROM, Batch, BatchState, Origin
from pbxadmin.batches.services import batches_expire, move
from pbxadmin.batches.units import units_claim
from pbxadmin.batches.work import batches_kick
from pbxadmin.fleet.models import Pbx
from tests.batches.job import NUMBERS, PACE, added, outcomes, page_of, press, previewed, updates, work
from tests.factories import make_customer, make_pbx, make_user
from tests.pbx_http import PbxDouble, cannot_be_reached, refused, says

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_whole_job(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.ivrs["6505"]["responsetimeout"] = "9"
    before = len(pbx_http.received)

    batch = previewed(client)
    page = page_of(client, batch)

    assert [name for name, _ in pbx_http.received[before:] if name == "ivr/query"] == ["ivr/query"]
    assert 'data-class="would-change" data-count="5"' in page
    assert 'data-class="already-so" data-count="1"' in page
    assert "Response timeout 3 s → 9 s" in page
    assert updates(pbx_http) == []

    press(client, batch, "start")
    assert batch.state == BatchState.PAUSED
    assert len(updates(pbx_http)) == 2
    assert "2 of 2 verified" in page_of(client, batch)

    press(client, batch, "continue")
    assert batch.state == BatchState.FINISHED
    assert sorted(updates(pbx_http)) == NUMBERS[:5]
    assert outcomes(batch) == dict.fromkeys(NUMBERS[:5], "verified") | {"6505": ""}
    assert {ivr["responsetimeout"] for ivr in pbx_http.ivrs.values()} == {"9"}
    assert set(Change.objects.values_list("batch_id", "status")) == {(batch.pk, "verified")}


def test_every_event_names_the_batch(client: Client, pbx: Pbx) -> None:
    batch = previewed(client)
    press(client, batch, "start")
    press(client, batch, "continue")

    events = Event.objects.filter(batch_id=batch.pk).order_by("id")
    actions = [event.action for event in events if event.action.startswith("batch.")]
    assert actions == ["batch.planned", "batch.started", "batch.paused", "batch.continued", "batch.finished"]
    assert events.filter(action="change.outcome").count() == 6
    assert {event.data["batch_id"] for event in events} == {batch.pk}
    assert events.last() is not None
    assert events.filter(action="batch.finished").get().data["detail"]["targets"] == {"verified": 6}


def test_the_set_is_frozen(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    form = client.post("/batches/add/", {"all": "on", "query": "q=IVR"}).content.decode()
    selection = re.search(r'name="selection" value="([^"]+)"', form)
    assert selection is not None
    pbx_http.add("6520")
    del pbx_http.ivrs["6503"]
    pbx_refresh(pbx=pbx, actor=SYSTEM)

    again = client.post("/batches/add/", {"selection": selection[1]}).content.decode()
    client.post("/batches/add/", {"selection": selection[1], "response_timeout": "9", **PACE})

    batch = Batch.objects.get()
    assert "1 of them is not there any more" in again
    assert sorted(outcomes(batch)) == ["6501", "6502", "6504", "6505"]
    assert (batch.size, len(batch.digest), batch.query) == (4, 64, "q=IVR")


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ({"response_timeout": "11"}, "response_timeout"),
        ({"response_timeout": "x"}, "response_timeout"),
        ({"response_timeout": ""}, "Set at least one field"),
        ({"canary": "0"}, "canary"),
        ({"canary": ""}, "canary"),
        ({"pbxs_at_once": "9999"}, "pbxs_at_once"),
        ({"dial_extension": "maybe"}, "dial_extension"),
        ({"keep_trying_until": "2030-01-01T00:00"}, "keep_trying_until"),
    ],
)
def test_a_wrong_value_plans_nothing(client: Client, pbx: Pbx, typed: dict[str, str], error: str) -> None:
    ids = list(Ivr.objects.values_list("pk", flat=True))

    answer = client.post("/batches/add/", {"ivr": ids, "response_timeout": "9", **PACE, **typed})

    assert answer.status_code == 422
    assert error in answer.content.decode()
    assert not Batch.objects.exists()


def test_number_and_name_cannot_be_set(client: Client, pbx: Pbx) -> None:
    batch = added(client, number="7000", name="Forged")

    assert batch.wanted == {"response_timeout": "9"}


def test_an_empty_set_is_refused(client: Client, pbx: Pbx) -> None:
    answer = client.post("/batches/add/", {"response_timeout": "9", **PACE})

    assert answer.status_code == 422
    assert "No IVR is chosen" in answer.content.decode()


def test_ids_of_another_customer_refuse_the_whole_request(client: Client, pbx: Pbx, bellweather: Customer) -> None:
    theirs = make_pbx(bellweather, name="BELL", host="bell.invalid")
    foreign = Ivr.objects.create(pbx=theirs, number="1", read_at=timezone.now())
    ids = [*Ivr.objects.filter(pbx=pbx).values_list("pk", flat=True), foreign.pk]

    assert client.post("/batches/add/", {"ivr": ids}).status_code == 404
    assert client.post("/batches/add/", {"selection": "forged"}).status_code == 404
    assert not Batch.objects.exists()


def test_a_role_without_batches_is_refused(client: Client, pbx: Pbx) -> None:
    client.force_login(make_user(Role.HELPDESK, pbx.customer))

    assert client.post("/batches/add/", {"ivr": [1]}).status_code == 403
    assert 'id="choose"' not in client.get("/ivrs/").content.decode()


# Classes


def test_the_classes_add_up(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = added(client)
    pbx_http.ivrs["6501"]["responsetimeout"] = "9"
    pbx_http.ivrs["6502"]["responsetimeout"] = "77"
    del pbx_http.ivrs["6503"]

    work(batch)

    classes = dict(batch.targets.values_list("number", "klass"))
    assert classes == {
        "6500": "would-change",
        "6501": "already-so",
        "6502": "breaks-rules",
        "6503": "gone",
        "6504": "would-change",
        "6505": "would-change",
    }


def test_a_pbx_that_is_off_is_not_reachable(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    Pbx.objects.update(token="")
    pbx_http.fail("login", cannot_be_reached)

    batch = previewed(client)

    assert set(batch.targets.values_list("klass", flat=True)) == {"not-reachable"}
    assert "Nothing would change" in page_of(client, batch)


def test_an_archived_customer_and_a_role_that_ended_are_not_allowed(client: Client, pbx: Pbx, acme: Customer) -> None:
    batch = added(client)
    customer_archive(customer=acme)

    work(batch)

    assert set(batch.targets.values_list("klass", "why")) == {("not-allowed", "Acme Logistics is archived.")}


# On the way


def test_a_role_that_ends_ends_the_rest(client: Client, pbx: Pbx, pbx_http: PbxDouble, manager: User) -> None:
    batch = previewed(client)
    press(client, batch, "start")
    Batch.objects.update(state=BatchState.RUNNING, is_canary_done=True, resumed_at=timezone.now(), halt_after=100)
    batch.units.update(is_open=True)
    membership_end(membership=manager.memberships.get())

    work(batch)

    assert sorted(outcomes(batch).values()) == ["not-sent"] * 4 + ["verified"] * 2
    assert len(updates(pbx_http)) == 2


def test_what_moved_since_is_a_conflict_and_halts_the_canary(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client)
    for ivr in pbx_http.ivrs.values():
        ivr["responsetimeout"] = "5"

    press(client, batch, "start")

    assert batch.state == BatchState.HALTED
    assert "1 not verified. The last: ACME-HQ" in batch.why
    assert updates(pbx_http) == []
    assert sorted(outcomes(batch).values()) == ["", "", "", "", "", "conflict"]


def test_going_on_in_spite_of_a_halt_needs_a_reason(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client)
    pbx_http.fail("ivr/update", says(refused("10018")))
    press(client, batch, "start")
    assert batch.state == BatchState.HALTED

    press(client, batch, "continue")
    assert batch.state == BatchState.HALTED
    press(client, batch, "continue", reason="One odd IVR")

    assert batch.state == BatchState.PAUSED
    continued = Event.objects.filter(action="batch.continued").get()
    assert (continued.data["reason"], continued.data["detail"]["in_spite_of_halt"]) == ("One odd IVR", True)


def test_a_wrong_password_is_tried_once(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, canary="6")
    Pbx.objects.update(token="")
    pbx_http.password_is_right = False
    before = pbx_http.calls().count("login")

    press(client, batch, "start")
    for _ in range(6):
        press(client, batch, "continue", reason="again")

    assert pbx_http.calls().count("login") == before + 1
    assert set(outcomes(batch).values()) == {"not-sent"}
    assert updates(pbx_http) == []


def test_stop_takes_effect_before_the_next_send(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, canary="6")
    real = pbx_http.update

    def stopped(pbx_double: PbxDouble, body: dict[str, Any]) -> Any:
        client.post(f"/batches/{batch.pk}/stop/")
        return real(body)

    pbx_http.fail("ivr/update", stopped, after=1)

    press(client, batch, "start")

    assert batch.state == BatchState.STOPPED
    assert len(updates(pbx_http)) == 2
    assert sorted(outcomes(batch).values()) == ["", "", "", "", "verified", "verified"]
    event = Event.objects.get(action="batch.stopped")
    assert event.data["detail"]["in_flight"] == 1
    assert batch.units.filter(is_open=True).exists()
    assert units_claim(batch, 8) == frozenset()


def test_retry_and_restore_make_new_batches(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, canary="6")
    pbx_http.fail("ivr/update", says(refused("10018")), after=5)
    press(client, batch, "start")
    press(client, batch, "continue", reason="one refused")
    assert sorted(outcomes(batch).values()) == ["refused"] + ["verified"] * 5

    client.post(f"/batches/{batch.pk}/retry/", {"outcome": "refused"})
    again = work(Batch.objects.latest("pk"))
    press(client, again, "start")
    assert (again.state, again.origin, list(outcomes(again).values())) == (BatchState.FINISHED, "retry", ["verified"])

    pbx_http.ivrs["6501"]["responsetimeout"] = "4"
    client.post(f"/batches/{batch.pk}/restore/")
    back = work(Batch.objects.latest("pk"))
    left_out = back.targets.get(number="6501")
    press(client, back, "start")
    press(client, back, "continue")

    assert (left_out.klass, left_out.why) == ("not-allowed", "Response timeout moved since, so it is left out.")
    assert back.state == BatchState.FINISHED
    assert pbx_http.ivrs["6500"]["responsetimeout"] == "3"
    assert pbx_http.ivrs["6501"]["responsetimeout"] == "4"


def test_a_retry_of_a_restore_says_from_before_what_its_values_are(client: Client, pbx: Pbx) -> None:
    batch = previewed(client)
    press(client, batch, "start")
    press(client, batch, "continue")
    client.post(f"/batches/{batch.pk}/restore/")
    back = work(Batch.objects.latest("pk"))
    press(client, back, "start")
    press(client, back, "stop")
    client.post(f"/batches/{back.pk}/retry/", {"outcome": "not-begun"})
    again = work(Batch.objects.latest("pk"))

    assert again.made_from_id == back.pk
    assert again.in_words == back.in_words == f"Values from before batch {batch.pk}"
    assert f"the values from before batch {batch.pk}" in page_of(client, again)


def test_a_batch_of_outside_changes_names_no_batch() -> None:
    assert Batch(origin=Origin.RESTORE).in_words == "Values from before the outside changes"


def test_what_a_stopped_batch_has_not_begun_goes_on_in_a_new_one(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client)
    press(client, batch, "start")
    client.post(f"/batches/{batch.pk}/retry/", {"outcome": "not-begun"})
    assert Batch.objects.count() == 1  # it is not over

    press(client, batch, "stop")
    assert "Go on with the 4 not begun" in page_of(client, batch)
    client.post(f"/batches/{batch.pk}/retry/", {"outcome": "not-begun"})
    again = work(Batch.objects.latest("pk"))

    assert sorted(outcomes(again)) == sorted(number for number, outcome in outcomes(batch).items() if not outcome)
    assert len(updates(pbx_http)) == 2
    press(client, again, "start")
    press(client, again, "continue")
    assert set(outcomes(again).values()) == {"verified"}
    assert sorted(updates(pbx_http)) == NUMBERS


def test_what_was_not_reachable_is_tried_again_in_a_new_one(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("ivr/query", cannot_be_reached)
    batch = work(added(client))
    assert batch.state == BatchState.READY
    press(client, batch, "stop")
    assert "Try the 6 not reachable again" in page_of(client, batch)

    client.post(f"/batches/{batch.pk}/retry/", {"outcome": "not-reachable"})
    again = work(Batch.objects.latest("pk"))

    assert again.made_from_id == batch.pk
    assert set(again.targets.values_list("klass", flat=True)) == {"would-change"}


def test_an_old_preview_is_made_again_first(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client)
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"

    with time_machine.travel(timezone.now() + timedelta(minutes=31)):
        press(client, batch, "start")
        assert batch.state == BatchState.READY
        assert updates(pbx_http) == []
        assert batch.targets.get(number="6500").klass == "already-so"
        press(client, batch, "start")

    assert batch.state == BatchState.PAUSED


def test_patient_targets_wait_for_their_pbx(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    until = timezone.now() + timedelta(hours=2)
    batch = previewed(client, keep_trying_until=f"{until:%Y-%m-%dT%H:%M}")
    pbx_http.fail("ivr/query", cannot_be_reached)

    press(client, batch, "start")

    assert batch.state == BatchState.RUNNING
    assert sorted(outcomes(batch).values()) == ["", "", "", "", "", "waiting"]
    assert 'data-outcome="waiting"' in page_of(client, batch)
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        batches_kick()
        work(batch)
    assert batch.state == BatchState.PAUSED
    assert sorted(outcomes(batch).values()) == ["", "", "", "", "verified", "verified"]


def test_patience_ends(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    until = timezone.now() + timedelta(hours=2)
    batch = previewed(client, keep_trying_until=f"{until:%Y-%m-%dT%H:%M}", canary="1")
    pbx_http.fail("ivr/query", cannot_be_reached)
    press(client, batch, "start")

    with time_machine.travel(timezone.now() + timedelta(hours=3)):
        batches_kick()

    assert sorted(outcomes(batch).values()) == ["", "", "", "", "", "not-sent"]


# Risks


def test_a_risk_is_confirmed_and_typed(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, dial_extension="on")
    page = page_of(client, batch)

    assert "On 6 IVRs of 1 customer." in page
    for data in ({}, {"confirm": "yes"}, {"confirm": "yes", "typed": "5"}):
        press(client, batch, "start", **data)
        assert batch.state == BatchState.READY
    press(client, batch, "start", confirm="yes", typed="6")

    assert batch.state == BatchState.PAUSED
    assert Change.objects.exclude(confirmed=[]).count() == 2


# States


@pytest.mark.in_shares
@pytest.mark.parametrize("to", BatchState.values)
@pytest.mark.parametrize("at", BatchState.values)
def test_no_other_step_exists(client: Client, pbx: Pbx, at: str, to: str) -> None:
    batch = added(client)
    Batch.objects.update(state=at)

    moved = move(batch, BatchState(to))

    assert moved == (at in REACHED_FROM[BatchState(to)])
    assert Batch.objects.get().state == (to if moved else at)


def test_a_preview_that_nobody_starts_expires(client: Client, pbx: Pbx) -> None:
    batch = previewed(client)

    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        assert batches_expire() == 1

    press(client, batch, "start")
    assert batch.state == BatchState.EXPIRED


def test_somebody_who_sees_a_part_sees_that_part(
    client: Client, pbx: Pbx, bellweather: Customer, pbx_http: PbxDouble
) -> None:
    admin = make_user(is_superuser=True, username="admin")
    theirs = make_pbx(bellweather, name="BELL-HQ", host="bell.invalid")
    Ivr.objects.create(pbx=theirs, number="7100", name="Theirs", read_at=timezone.now())
    client.force_login(admin)
    batch = added(client, [*NUMBERS, "7100"])
    client.force_login(make_user(Role.MANAGER, bellweather, username="bell"))

    page = page_of(client, batch)
    listed = client.get("/batches/").content.decode()

    assert "7100" in page
    assert "6500" not in page
    assert "1 IVR " in page
    assert 'class="num" data-label="IVRs">1<' in listed
    for what in ("start", "continue", "stop", "retry", "restore"):
        assert client.post(f"/batches/{batch.pk}/{what}/").status_code == 403
    client.force_login(make_user(Role.MANAGER, make_customer("Elsewhere"), username="else"))
    assert client.get(f"/batches/{batch.pk}/").status_code == 404


def test_the_results_as_a_file(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    batch = previewed(client, canary="6")
    press(client, batch, "start")

    text = b"".join(client.get(f"/batches/{batch.pk}/results.csv")).decode("utf-8-sig")

    lines = text.splitlines()
    assert lines[0].startswith("customer,pbx,number,name,class,field,before,asked,found,outcome")
    assert len(lines) == 7
    assert "Response timeout,3,9,9,verified" in lines[1]


def test_a_halt_tells_nobody_of_the_pbx_of_another_customer(
    client: Client, pbx: Pbx, bellweather: Customer, pbx_http: PbxDouble
) -> None:
    theirs = make_pbx(bellweather, name="BELL-HQ", host="bell.invalid")
    Ivr.objects.create(pbx=theirs, number="7100", name="Theirs", read_at=timezone.now())
    client.force_login(make_user(is_superuser=True, username="admin"))
    batch = work(added(client, [*NUMBERS, "7100"]))
    pbx_http.fail("ivr/update", says(refused("10018")))
    press(client, batch, "start")
    assert batch.state == BatchState.HALTED
    assert "ACME-HQ" in page_of(client, batch)
    client.force_login(make_user(Role.MANAGER, bellweather, username="bell"))

    seen = page_of(client, batch) + client.get("/").content.decode() + client.get("/batches/").content.decode()

    assert "ACME" not in seen
    assert seen.count("Response timeout 9 s") == 2  # Home and the list say what the batch sets
    event = Event.objects.get(action="batch.halted", customer_id=bellweather.pk)
    assert "ACME" not in event.text


@pytest.mark.parametrize("pressed", [("start", "start", "start"), ("start", "stop", "start"), ("stop", "stop", "stop")])
def test_of_those_who_press_at_once_one_wins(client: Client, pbx: Pbx, pressed: tuple[str, ...], manager: User) -> None:
    batch = previewed(client)

    def press_only(what: str) -> int:
        own = Client()
        own.force_login(manager)
        try:
            return own.post(f"/batches/{batch.pk}/{what}/").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(pressed)) as pool:
        answers = list(pool.map(press_only, pressed))

    assert answers == [302] * len(pressed)
    actions = list(Event.objects.filter(action__startswith="batch.").values_list("action", flat=True))
    assert actions.count("batch.started") <= 1
    assert actions.count("batch.stopped") == ("stop" in pressed)
    batch.refresh_from_db()
    assert batch.state == (BatchState.STOPPED if "stop" in pressed else BatchState.RUNNING)


class Died(BaseException):
    """The process that was talking to the PBX is gone."""


@pytest.mark.parametrize("applies", [True, False], ids=["after the PBX applied it", "before"])
def test_a_worker_that_dies_loses_nothing_and_sends_nothing_twice(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, applies: bool
) -> None:
    def dies(double: PbxDouble, body: dict[str, Any]) -> Any:
        if applies:
            double.update(body)
        raise Died

    batch = previewed(client, canary="6")
    pbx_http.fail("ivr/update", dies, after=1)
    press(client, batch, "start")
    assert batch.state == BatchState.RUNNING
    assert batch.units.get().claimed_until is not None

    for minutes in (2, 4, 6):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
            reconcile()
            batches_kick()
            work(batch)
            if batch.state == BatchState.HALTED:
                press(client, batch, "continue", reason="One was cut off")

    assert batch.state == BatchState.FINISHED
    assert sorted(updates(pbx_http)) == NUMBERS
    assert sorted(outcomes(batch).values()) == [*([] if applies else ["not-as-asked"]), *["verified"] * (5 + applies)]
