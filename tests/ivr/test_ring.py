"""Hear it: the PBX rings an extension of its own, once, and an event says what came of it."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from ivr.models import RingCall
from pbxadmin.access.models import Customer
from pbxadmin.audit.models import Event
from pbxadmin.fleet.lease import leased
from pbxadmin.fleet.models import Pbx, PbxState
from pbxadmin.yeastar.readings import IvrSettings
from tests.drills.edits import text_of
from tests.factories import make_change, make_pbx, make_snapshots, make_user
from tests.pbx_http import PbxDouble, breaks, cannot_be_reached, refused, says
from tests.waiting import Clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def pbx(acme: Customer, pbx_http: PbxDouble) -> Pbx:
    pbx = make_pbx(acme)
    make_snapshots(pbx, IvrSettings("6500", name="Main_Menu"))
    return pbx


@pytest.fixture
def helpdesk(client: Client, pbx: Pbx) -> Client:
    client.force_login(make_user("helpdesk", pbx.customer))
    return client


def ring(client: Client, pbx: Pbx, extension: str = "1002", **more: str) -> str:
    """Return what the next page says."""
    answer = client.post(f"/pbxs/{pbx.pk}/ivrs/6500/ring/", {"extension": extension, **more}, follow=True)
    return text_of(answer.content.decode())


def rings(pbx_http: PbxDouble) -> list[Any]:
    return [body for name, body in pbx_http.received if name == "ivr/dial_extension"]


def after_a_moment() -> Any:
    return time_machine.travel(timezone.now() + timedelta(seconds=11))


def test_the_pbx_rings_the_extension_and_an_event_says_so(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    said = ring(helpdesk, pbx)

    assert "ACME-HQ rings extension 1002. Pick up to hear IVR 6500." in said
    assert rings(pbx_http) == [{"ivrid": "6500", "extid": "1002"}]
    event = Event.objects.get(action="ivr.rung")
    assert (event.data["outcome"], event.data["ivr_number"]) == ("rang", "6500")
    assert event.data["detail"]["extension"] == "1002"


def test_the_extension_is_remembered_for_each_person(helpdesk: Client, pbx: Pbx) -> None:
    ring(helpdesk, pbx, "1001")
    ring(helpdesk, pbx, "9999")

    assert 'value="1001"' in helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()
    helpdesk.force_login(make_user("manager", pbx.customer))
    assert 'value="1001"' not in helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()


def test_a_receipt_offers_it_and_is_come_back_to(helpdesk: Client, pbx: Pbx) -> None:
    change = make_change(pbx)
    type(change).objects.update(base={"number": "6500", "response_timeout": "3"})
    page = helpdesk.get(change.get_absolute_url()).content.decode()
    assert f'action="/pbxs/{pbx.pk}/ivrs/6500/ring/"' in page

    assert "Change of 6500" in ring(helpdesk, pbx, next=change.get_absolute_url())
    assert "Change of 6500" not in ring(helpdesk, pbx, next="https://elsewhere.example/")


@pytest.mark.parametrize("extension", ["", "01726789012", "+49301", "10 00", "1002,1003", "all", "١٠٠٢", "*97", "1\n"])
def test_only_the_digits_of_an_extension_are_taken(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble, extension: str
) -> None:
    answer = helpdesk.post(f"/pbxs/{pbx.pk}/ivrs/6500/ring/", {"extension": extension})

    assert (answer.status_code, rings(pbx_http)) == (422, [])
    assert "Outside numbers are never called." in answer.content.decode()


def test_an_extension_that_the_pbx_does_not_list_is_not_rung(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    assert "Nothing rings. ACME-HQ has no extension 7123456." in ring(helpdesk, pbx, "7123456")
    assert rings(pbx_http) == []
    assert Event.objects.get(action="ivr.rung").data["outcome"] == "not-sent"


@pytest.mark.parametrize("fault", [says(refused("30001")), says({"status": "Success"}), breaks])
def test_without_a_good_list_of_extensions_nothing_rings(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble, fault: Any
) -> None:
    pbx_http.fail("extensionlist/query", fault)

    assert "Nothing rings." in ring(helpdesk, pbx)
    assert rings(pbx_http) == []


def test_firmware_without_that_list_rings_all_the_same(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("extensionlist/query", says(refused("10003")))

    ring(helpdesk, pbx)

    assert len(rings(pbx_http)) == 1


@pytest.mark.parametrize(
    ("fault", "outcome", "words"),
    [
        (says(refused("10004")), "refused", "A mandatory field is missing or empty (10004)."),
        (says(refused("10006")), "refused", "No such extension (10006)."),
        (says(refused("10012")), "refused", "(10012)."),
        (says(refused("30001")), "refused", "(30001)."),
        (says(refused("20006")), "refused", "(20006)."),
        (says("<html>"), "unknown", "The phone may ring or not, and this is not tried again."),
        (breaks, "unknown", "The phone may ring or not, and this is not tried again."),
        (cannot_be_reached, "not-sent", "Nothing rings."),
    ],
)
def test_what_came_of_it_is_said_and_it_is_never_tried_again(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble, fault: Any, outcome: str, words: str
) -> None:
    pbx_http.fail("ivr/dial_extension", fault)

    assert words in ring(helpdesk, pbx)
    assert RingCall.objects.filter(rang_at=None).exists() == (outcome != "unknown")
    assert (len(rings(pbx_http)), Event.objects.get(action="ivr.rung").data["outcome"]) == (1, outcome)


def test_a_refused_ring_says_nothing_about_the_pbx(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("ivr/dial_extension", says(refused("10006")))

    ring(helpdesk, pbx)

    assert Pbx.objects.get().state == PbxState.REACHABLE


def test_one_phone_of_a_pbx_rings_at_a_time(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    ring(helpdesk, pbx)
    helpdesk.force_login(make_user("manager", pbx.customer))

    assert "ACME-HQ is ringing a phone already." in ring(helpdesk, pbx, "1001")
    with after_a_moment():
        assert "rings extension 1001" in ring(helpdesk, pbx, "1001")
    assert len(rings(pbx_http)) == 2


def test_whoever_holds_the_pbx_is_named(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble, monkeypatch: Any) -> None:
    monkeypatch.setattr("pbxadmin.fleet.lease.time", Clock())

    with leased(pbx.pk, "Tom Okafor is changing IVR 6501"):
        assert "Nothing rings. This PBX is in use: Tom Okafor is changing IVR 6501" in ring(helpdesk, pbx)
    assert rings(pbx_http) == []


def test_a_person_has_five_calls_a_minute(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    for _ in range(5):
        ring(helpdesk, pbx, "9999")

    answer = helpdesk.post(f"/pbxs/{pbx.pk}/ivrs/6500/ring/", {"extension": "1002"})

    assert answer.status_code == 429
    assert "A person can have 5 calls a minute." in answer.content.decode()
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        assert "rings extension 1002" in ring(helpdesk, pbx)
    assert Event.objects.filter(action="ivr.rung").count() == 6


def test_at_another_device_nothing_rings(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    Pbx.objects.update(serial="111", other_serial="369364835218")

    assert "Another device answers at this address." in ring(helpdesk, pbx)
    assert rings(pbx_http) == []


def test_a_viewer_is_not_offered_it(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    client.force_login(make_user("viewer", pbx.customer))

    assert "data-ring" not in client.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()
    assert client.post(f"/pbxs/{pbx.pk}/ivrs/6500/ring/", {"extension": "1002"}).status_code == 403
    assert rings(pbx_http) == []
