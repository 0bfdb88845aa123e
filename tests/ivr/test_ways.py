"""What leads to an IVR: read beside the IVRs, kept with its age, and shown as far as the API says it."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from ivr.models import Ivr, Refresh, WayIn, WaysReading
from ivr.refresh import pbx_refresh, refresh_start, refresh_work
from pbxadmin.access.models import Customer
from pbxadmin.audit.context import SYSTEM
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Lease, Pbx, PbxState
from tests.drills.edits import text_of
from tests.factories import make_pbx, make_user
from tests.pbx_http import PbxDouble, breaks, refused, says

pytestmark = pytest.mark.django_db
ROUTE = {"id": "4", "name": "Main", "did": "03069990001", "trunks": "siptrunk", "desttype": "ivr", "dest": "6500"}
QUEUE = {
    "queuenumber": "6701",
    "queuename": "Sales",
    "password": "queue-secret",
    "failoveraction": "IVR",
    "failoverdest": "6500",
    "breakoutkey": "None",
}


@pytest.fixture
def pbx(acme: Customer, pbx_http: PbxDouble) -> Pbx:
    pbx_http.routes, pbx_http.queues = [ROUTE], [QUEUE]
    return make_pbx(acme, api_version="v1.1.0")


@pytest.fixture
def shown(client: Client, pbx: Pbx) -> Any:
    """Return what the page of IVR 6500 says in "What leads here"."""
    viewer = make_user("viewer", pbx.customer)

    def read() -> str:
        client.force_login(viewer)
        whole = client.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()
        return text_of(whole.split('id="ways-in"')[1].split("</section>")[0])

    return read


def read_by_itself(pbx: Pbx) -> None:
    started = refresh_start(pbxs=[pbx], actor=SYSTEM, is_scheduled=True)
    refresh_work.call(started.pk)
    assert not Refresh.objects.filter(pk=started.pk).exists()


def test_routes_and_queues_are_read_with_the_ivrs_and_shown_with_their_age(pbx: Pbx, shown: Any) -> None:
    read_by_itself(pbx)

    text = shown()

    assert "Inbound route Main (03069990001) It may lead elsewhere at some times." in text
    assert "Queue 6701 Sales When nobody answers" in text
    assert "Inbound routes: as read just now." in text
    assert "Keys of other IVRs and ring groups: this API does not show where they lead." in text


def test_they_are_read_at_a_slower_pace_of_their_own(pbx: Pbx, pbx_http: PbxDouble, settings: Any) -> None:
    read_by_itself(pbx)
    read_by_itself(pbx)
    assert pbx_http.side_calls() == ["inroute/query", "queue/query"]

    with time_machine.travel(timezone.now() + timedelta(hours=settings.WAYS_IN_HOURS)):
        read_by_itself(pbx)

    assert len(pbx_http.side_calls()) == 4


def test_whoever_reads_one_pbx_reads_them_too(pbx: Pbx, pbx_http: PbxDouble, shown: Any) -> None:
    read_by_itself(pbx)
    pbx_http.routes = []

    pbx_refresh(pbx=pbx, actor=SYSTEM)

    assert "Inbound routes: none leads here, as read just now." in shown()
    assert "Main" not in shown()


def test_a_version_without_routes_says_so_and_shows_none_that_were_read_before(pbx: Pbx, shown: Any) -> None:
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    Pbx.objects.update(api_version="v1.0.0")

    assert "Inbound routes: API v1.0.0 does not list them. Look on the PBX." in shown()
    assert "Main" not in shown()
    assert "Queue 6701 Sales" in shown()


def test_what_was_never_read_is_not_guessed(pbx: Pbx, pbx_http: PbxDouble, shown: Any) -> None:
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    WaysReading.objects.all().delete()
    WayIn.objects.all().delete()

    assert "Inbound routes: not read yet. Queues: not read yet." in shown()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (says(refused("30001")), "(30001)"),
        (says(refused("10003")), "(10003)"),
        (says({"status": "Success"}), "without a list of routes"),
        (says({"status": "Success", "inroutes": "no"}), "without a list of routes"),
        (says("<html>Not found"), "something that is not JSON"),
        (breaks, "broke after sending"),
    ],
    ids=["an error", "no such call", "no list", "a foreign shape", "a page", "no answer"],
)
def test_a_failure_is_told_and_spoils_nothing_else(
    pbx: Pbx, pbx_http: PbxDouble, shown: Any, fault: Any, words: str
) -> None:
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    pbx_http.fail("inroute/query", fault)
    pbx_http.ivrs["6500"]["ivrname"] = "Renamed"

    with time_machine.travel(timezone.now() + timedelta(hours=7)):
        pbx_refresh(pbx=pbx, actor=SYSTEM)
        text = shown()

    assert "Inbound route Main (03069990001)" in text
    assert "as read 7 h ago. They could not be read just now." in text
    assert words in text
    assert Ivr.objects.get().name == "Renamed"
    assert (Pbx.objects.get().state, Pbx.objects.get().failures) == (PbxState.REACHABLE, 0)
    assert not Event.objects.filter(action="refresh.failed").exists()


def test_after_no_answer_the_pbx_is_left_in_peace(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("inroute/query", breaks)

    read_by_itself(pbx)

    assert pbx_http.side_calls() == ["inroute/query"]
    assert [bool(reading.problem) for reading in WaysReading.objects.all()] == [True, True]


def test_an_entry_that_is_not_understood_is_counted(pbx: Pbx, pbx_http: PbxDouble, shown: Any) -> None:
    pbx_http.routes = [ROUTE, "odd", {"name": "x"}]
    pbx_http.queues = [{key: value for key, value in QUEUE.items() if key != "failoverdest"}]

    read_by_itself(pbx)

    assert "2 of them were not understood." in shown()
    assert "It leads to an IVR, and the PBX does not say to which." in shown()


def test_hostile_names_are_shown_as_what_they_are(pbx: Pbx, pbx_http: PbxDouble, client: Client, shown: Any) -> None:
    pbx_http.routes = [ROUTE | {"name": "<script>\u202e\x00" + "x" * 5000}]

    read_by_itself(pbx)

    raw = shown() and client.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()
    assert "&lt;script&gt;" in raw
    assert "\u202e" not in raw


def test_no_secret_of_a_queue_is_stored(pbx: Pbx) -> None:
    read_by_itself(pbx)

    assert "queue-secret" not in str(list(WayIn.objects.values()) + list(WaysReading.objects.values()))


def test_nothing_of_another_device_or_under_a_lost_lease_is_stored(pbx: Pbx, pbx_http: PbxDouble) -> None:
    def lose_the_lease(double: PbxDouble, body: Any) -> Any:
        Lease.objects.update(holder="somebody else")
        return double.carry_out("queue/query", body, max(double.tokens))

    pbx_http.fail("queue/query", lose_the_lease)

    pbx_refresh(pbx=pbx, actor=SYSTEM)

    assert not WaysReading.objects.exists()


def test_an_address_that_moved_says_what_still_leads_there(pbx: Pbx, pbx_http: PbxDouble, client: Client) -> None:
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    pbx_http.add("6599")
    del pbx_http.ivrs["6500"]
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    client.force_login(make_user("viewer", pbx.customer))

    answer = client.get(f"/pbxs/{pbx.pk}/ivrs/6500/")

    assert answer.status_code == 404
    assert "Inbound route Main" in text_of(answer.content.decode())
