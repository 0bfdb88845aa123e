"""Many at once, and many PBXs: one login for all, one caller at a time, and a dead PBX that slows nobody else."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from ivr.models import Change
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.pbx_sessions import open_pbx_session
from pbxadmin.fleet.services import pbx_edit
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.simulator import ALWAYS, Fault, Fleet, SimulatedPbx
from tests.drills.edits import filled, record_of
from tests.drills.hands import Hand
from tests.factories import make_user

pytestmark = [pytest.mark.tls, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("short_deadlines")]


def read(pbx: Pbx) -> str:
    """What a worker does: read one IVR, with what it knew of the PBX when it began."""
    try:
        with open_pbx_session(pbx, "a worker", wait_s=60, seconds=60) as pbx_session:
            return pbx_session.client.query_ivr("6500").name or ""
    except PbxError as error:
        return type(error).__name__
    finally:
        connection.close()


def by_ten(pbx: Pbx) -> list[str]:
    with ThreadPoolExecutor(10) as pool:
        return list(pool.map(read, [Pbx.objects.get(pk=pbx.pk) for _ in range(10)]))


def test_ten_workers_make_one_login_and_never_two_calls_at_once(pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    found = by_ten(pbx)

    assert found == ["Main_Menu"] * 10
    assert (simulated_pbx.count("login"), simulated_pbx.max_in_flight) == (1, 1)


def test_ten_workers_try_a_wrong_password_once(pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    simulated_pbx.password = "changed on the PBX"

    found = by_ten(pbx)

    assert sorted(found) == ["PbxHeldBack"] * 9 + ["PbxLoginRefused"]
    assert simulated_pbx.calls() == ["login"]


def test_editing_the_connection_drops_the_token(pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    read(pbx)
    pbx_edit(pbx=Pbx.objects.get(), values={"tls_profile": "legacy"})

    read(pbx)

    assert simulated_pbx.count("login") == 2


def test_of_two_people_with_the_same_ivr_open_one_is_sent_and_the_other_chooses(
    hand: Hand, pbx: Pbx, simulated_pbx: SimulatedPbx
) -> None:
    first = hand.plan(pbx, response_timeout="6")
    second = hand.plan(pbx, response_timeout="9")

    def apply_one(change: Change) -> tuple[int, str]:
        try:
            return hand.apply(change)[:2]
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(apply_one, (first, second)))

    assert sorted(answers) == [(200, "verified"), (409, "conflict")]
    assert simulated_pbx.count("ivr/update") == 1


def apply(client: Client, address: str) -> int:
    try:
        return client.post(f"{address}apply/").status_code
    finally:
        connection.close()


def test_a_form_that_is_sent_twice_is_one_change(manager: Client, pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    address = f"/pbxs/{pbx.pk}/ivrs/6500/edit/"
    form = filled(manager.get(address).content.decode(), response_timeout="6")

    led_to = {manager.post(address, form)["Location"] for _ in range(2)}
    for place in (*led_to, *led_to):
        apply(manager, place)

    assert len(led_to) == 1
    assert simulated_pbx.count("ivr/update") == 1
    assert Event.objects.filter(action="change.sending").count() == 1


def test_a_dead_pbx_is_paused_and_slows_no_page_of_another(client: Client, fleet: Fleet) -> None:
    dead = record_of(fleet.pbxs[0], name="ACME-Dead")
    alive = record_of(fleet.pbxs[1], name="ACME-Alive", customer=dead.customer)
    client.force_login(make_user("manager", dead.customer))
    fleet.pbxs[0].misbehave(Fault.SILENT_ON_ACCEPT, times=ALWAYS)
    for _ in range(3):
        client.post(f"/pbxs/{dead.pk}/refresh/")
    connections = fleet.pbxs[0].connections

    started = time.monotonic()
    refused = client.get(f"/pbxs/{dead.pk}/ivrs/6500/edit/")
    opened = client.get(f"/pbxs/{alive.pk}/ivrs/6500/edit/")
    page = client.get(f"/pbxs/{dead.pk}/")
    took = time.monotonic() - started

    assert (refused.status_code, opened.status_code) == (503, 200)
    assert "Paused until" in page.content.decode()
    assert fleet.pbxs[0].connections == connections == 3
    assert took < 6
    fleet.pbxs[0].behave()
    client.post(f"/pbxs/{dead.pk}/test/")
    assert Pbx.objects.get(pk=dead.pk).paused_until is None
