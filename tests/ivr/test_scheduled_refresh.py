"""PBXs read by themselves: which are due, how they are spread, and how pages show what grew old."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from ivr.models import Ivr, Refresh, RefreshItem
from ivr.refresh import refresh_due, refresh_rekick, refresh_start, refresh_work, runs_forget, scheduled_work
from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import SYSTEM, Actor
from pbxadmin.audit.models import Event
from pbxadmin.fleet.lease import leased
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.fleet.services import pbx_accept_replacement
from pbxadmin.ops.tick import JOBS
from tests.factories import make_pbx, make_user
from tests.pbx_http import PbxDouble, cannot_be_reached

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pbx(acme: Customer) -> Pbx:
    return make_pbx(acme)


def work() -> None:
    """What a worker does with what the tick asked for."""
    for run in Refresh.objects.filter(finished_at=None):
        (scheduled_work if run.is_scheduled else refresh_work).call(run.pk)


def in_minutes(minutes: float) -> Any:
    return time_machine.travel(timezone.now() + timedelta(minutes=minutes))


def test_the_tick_asks_for_it() -> None:
    assert refresh_due in JOBS


def test_a_new_pbx_is_read_at_once_and_then_at_its_interval(pbx: Pbx, pbx_http: PbxDouble) -> None:
    assert refresh_due() == 1
    work()

    assert Ivr.objects.filter(pbx=pbx).count() == 1
    assert refresh_due() == 0
    with in_minutes(11):
        assert refresh_due() == 0
    with in_minutes(15.1):
        assert refresh_due() == 1


def test_a_device_that_was_accepted_is_read_at_once(pbx: Pbx, pbx_http: PbxDouble) -> None:
    refresh_due()
    work()
    pbx_http.ivrs["6500"]["ivrname"], pbx_http.serial = "Of_The_New_One", "999"
    Pbx.objects.update(other_serial="999")

    pbx_accept_replacement(pbx=Pbx.objects.get(), reason="Lightning")

    assert refresh_due() == 1
    work()
    assert Ivr.objects.get().name == "Of_The_New_One"


def test_a_run_by_itself_leaves_no_rows_behind(pbx: Pbx, pbx_http: PbxDouble) -> None:
    refresh_due()
    run = Refresh.objects.get()
    work()
    scheduled_work.call(run.pk)  # a second kick

    assert (run.asked_by_name, Refresh.objects.count(), RefreshItem.objects.count()) == (SYSTEM.name, 0, 0)
    assert pbx_http.calls().count("ivr/query") == 1


def test_readings_spread_over_time(acme: Customer) -> None:
    for number in range(30):
        make_pbx(acme, name=f"PBX-{number}")

    refresh_due()

    times = set(Pbx.objects.values_list("next_refresh_at", flat=True))
    assert len(times) == 30
    assert max(times) - min(times) > timedelta(minutes=1)
    assert max(times) <= timezone.now() + timedelta(minutes=15)


LATER = timedelta(minutes=10)
NOT_DUE: dict[str, dict[str, Any]] = {
    "disabled": {"is_enabled": False},
    "rejected": {"state": PbxState.CREDENTIALS_REJECTED},
    "locked": {"locked_until": LATER},
    "paused": {"paused_until": LATER},
    "untrusted": {"state": PbxState.UNTRUSTED},
    "another device": {"other_serial": "999"},
    "without a password": {"password_digest": ""},
    "by hand only": {"refresh_minutes": 0},
    "not yet": {"next_refresh_at": LATER},
}


@pytest.mark.parametrize("columns", NOT_DUE.values(), ids=list(NOT_DUE))
def test_what_has_to_be_left_alone_is_not_due(pbx: Pbx, pbx_http: PbxDouble, columns: dict[str, Any]) -> None:
    now = timezone.now()
    values = {name: now + value if isinstance(value, timedelta) else value for name, value in columns.items()}
    Pbx.objects.filter(pk=pbx.pk).update(**values)

    assert refresh_due() == 0
    with in_minutes(11):
        is_due_later = refresh_due() == 1

    assert is_due_later == any(isinstance(value, timedelta) for value in columns.values())
    assert pbx_http.received == []


def test_the_pbxs_of_an_archived_customer_are_left_alone(pbx: Pbx) -> None:
    Customer.objects.update(archived_at=timezone.now())

    assert refresh_due() == 0


def test_a_pbx_that_somebody_is_having_read_is_not_read_twice(pbx: Pbx, pbx_http: PbxDouble) -> None:
    refresh_start(pbxs=[pbx], actor=Actor(7, "Mara"))

    assert refresh_due() == 0


@pytest.fixture
def three(acme: Customer, monkeypatch: pytest.MonkeyPatch) -> list[Pbx]:
    """Three PBXs, which go out in two chunks."""
    monkeypatch.setattr("ivr.refresh.CHUNK", 2)
    return [make_pbx(acme, name=f"PBX-{number}") for number in range(3)]


def test_all_that_is_due_goes_out_at_once_in_chunks(three: list[Pbx]) -> None:
    assert [refresh_due(), refresh_due()] == [3, 0]
    assert sorted(run.items.count() for run in Refresh.objects.all()) == [1, 2]


def test_of_several_who_send_out_what_is_due_one_has_each_pbx(three: list[Pbx]) -> None:
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: in_own_connection(refresh_due), range(4)))

    assert sum(counts) == 3
    assert sorted(RefreshItem.objects.values_list("pbx_id", flat=True)) == [pbx.pk for pbx in three]


def in_own_connection(call: Callable[[], int]) -> int:
    try:
        return call()
    finally:
        connection.close()


def test_what_a_person_asks_for_goes_before_all_that_is_due(three: list[Pbx]) -> None:
    refresh_due()
    run = refresh_start(pbxs=three[:1], actor=Actor(7, "Mara"))

    kicks = [kick.args_kwargs["args"] for kick in DBTaskResult.objects.ready()]

    assert (len(kicks), kicks[0]) == (3, [run.pk])


def test_who_reads_a_chunk_goes_on_with_the_next(three: list[Pbx], pbx_http: PbxDouble) -> None:
    refresh_due()
    first, second = Refresh.objects.order_by("pk")

    scheduled_work.call(first.pk)
    scheduled_work.call(second.pk)  # which is over

    assert pbx_http.calls().count("ivr/query") == 3
    assert not Refresh.objects.exists()


def test_what_is_left_of_a_chunk_is_due_again(
    three: list[Pbx], pbx_http: PbxDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh_due()
    monkeypatch.setattr("ivr.bulk_reading.RUN_S", 0.0)

    scheduled_work.call(Refresh.objects.earliest("pk").pk)

    assert pbx_http.received == []
    assert Refresh.objects.count() == 2  # the other one, and one of what was left of this
    assert sorted(RefreshItem.objects.values_list("pbx_id", flat=True)) == [pbx.pk for pbx in three]


def test_a_pbx_in_somebodys_hands_is_tried_again_soon_and_not_waited_for(pbx: Pbx, pbx_http: PbxDouble) -> None:
    refresh_due()
    with leased(pbx.pk, "Tom"):
        work()

    assert (refresh_due(), Refresh.objects.count(), pbx_http.received) == (0, 0, [])
    with in_minutes(0.2):
        assert refresh_due() == 1


def test_runs_that_wait_in_the_queue_are_not_kicked_again_and_again(three: list[Pbx]) -> None:
    refresh_due()
    before = DBTaskResult.objects.count()

    with in_minutes(1):
        assert [refresh_rekick(), refresh_rekick()] == [1, 1]

    assert DBTaskResult.objects.count() == before  # any number of runs


def test_a_chunk_whose_worker_died_is_kicked_again(pbx: Pbx, pbx_http: PbxDouble) -> None:
    refresh_due()
    RefreshItem.objects.update(state="reading", claimed_until=timezone.now())

    with in_minutes(1):
        assert refresh_rekick() == 1
        work()

    assert Ivr.objects.filter(pbx=pbx).exists()


def test_a_pbx_that_is_off_is_told_once_and_not_each_time(pbx: Pbx, pbx_http: PbxDouble) -> None:
    for minutes in (0, 20, 40):
        pbx_http.fail("login", cannot_be_reached)
        with in_minutes(minutes):
            assert refresh_due() == 1
            work()

    assert Event.objects.filter(action="pbx.state-changed").count() == 1
    assert pbx_http.calls() == ["login"] * 3


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"state": PbxState.UNREACHABLE}, "unreachable"),
        ({"state": PbxState.CREDENTIALS_REJECTED}, "credentials rejected"),
        ({"is_enabled": False}, "disabled"),
        ({"state": PbxState.REACHABLE}, "not read in time"),
        ({"refresh_minutes": 60}, ""),
        ({"refresh_minutes": 0}, ""),
    ],
)
def test_what_is_older_than_twice_the_interval_is_grey_and_says_why(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, columns: dict[str, Any], why: str
) -> None:
    refresh_due()
    work()
    client.force_login(make_user(Role.VIEWER, pbx.customer))
    Pbx.objects.filter(pk=pbx.pk).update(**columns)
    pages = ("/ivrs/", "/pbxs/", f"/pbxs/{pbx.pk}/", f"/pbxs/{pbx.pk}/ivrs/", f"/pbxs/{pbx.pk}/ivrs/6500/")

    with in_minutes(31):
        found = {page: client.get(page).content.decode() for page in pages}

    for page in ("/ivrs/", "/pbxs/", f"/pbxs/{pbx.pk}/"):
        assert ("stale" in found[page]) == bool(why), page
    for page in pages:
        assert why.lower() in found[page].lower()


def test_fresh_readings_are_not_grey(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    refresh_due()
    work()
    client.force_login(make_user(Role.VIEWER, pbx.customer))

    assert "stale" not in client.get("/ivrs/").content.decode()


@pytest.mark.parametrize(("typed", "kept"), [("5", 5), ("1440", 1440), ("0", 0), ("", 15)])
def test_a_manager_says_how_often_a_pbx_is_read(client: Client, pbx: Pbx, typed: str, kept: int) -> None:
    client.force_login(make_user(Role.MANAGER, pbx.customer))

    answer = client.post(f"/pbxs/{pbx.pk}/edit/", form_of(pbx) | {"refresh_minutes": typed})

    assert answer.status_code == 302
    assert Pbx.objects.get(pk=pbx.pk).refresh_minutes == kept


@pytest.mark.parametrize("typed", ["4", "1441", "-1", "x", "7.5", "٣٠"])
def test_any_other_interval_is_refused(client: Client, pbx: Pbx, typed: str) -> None:
    client.force_login(make_user(Role.MANAGER, pbx.customer))

    answer = client.post(f"/pbxs/{pbx.pk}/edit/", form_of(pbx) | {"refresh_minutes": typed})

    assert answer.status_code == 422
    assert 'data-error-for="refresh_minutes"' in answer.content.decode()


def form_of(pbx: Pbx) -> dict[str, Any]:
    shown = ("name", "scheme", "host", "port", "api_version", "username", "trust", "fingerprint", "tls_profile")
    return {name: getattr(pbx, name) for name in shown} | {"customer": pbx.customer_id}


def test_the_run_of_a_person_is_kept_for_a_month_and_an_open_one_for_ever(pbx: Pbx, pbx_http: PbxDouble) -> None:
    refresh_start(pbxs=[pbx], actor=Actor(7, "Mara"))
    work()
    is_open = refresh_start(pbxs=[pbx], actor=Actor(7, "Mara"))

    with in_minutes(29 * 24 * 60):
        assert runs_forget() == 0
    with in_minutes(31 * 24 * 60):
        assert runs_forget() == 2  # the run and its PBX

    assert Refresh.objects.get() == is_open
