"""A renumbering on a PBX that says what leads to its IVRs: named before, typed, and asked for again under the lease."""

from typing import Any

import pytest
from django.test import Client

from ivr.models import Change, WayIn
from pbxadmin.access.models import Customer
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from tests.drills.edits import confirmed, filled, planned, text_of
from tests.factories import make_pbx, make_user
from tests.ivr.test_ways import QUEUE, ROUTE
from tests.pbx_http import PbxDouble, breaks, refused, says

pytestmark = pytest.mark.django_db
MAIN = "Inbound route Main (03069990001) leads to 6500 and would break. Lead it to 6599 on the PBX."
SALES = "Queue 6701 Sales leads to 6500 when nobody answers and would break. Lead it to 6599 on the PBX."


@pytest.fixture
def pbx(acme: Customer, pbx_http: PbxDouble) -> Pbx:
    return make_pbx(acme, api_version="v1.1.0")


@pytest.fixture
def manager(client: Client, pbx: Pbx) -> Client:
    client.force_login(make_user("manager", pbx.customer))
    return client


def applied(client: Client, change: Change, form: dict[str, str] | None = None) -> Any:
    answer = client.post(f"{change.get_absolute_url()}apply/", confirmed(client, change) if form is None else form)
    change.refresh_from_db()
    return answer


def text(client: Client, change: Change) -> str:
    return text_of(client.get(change.get_absolute_url()).content.decode())


def test_the_plan_names_the_route_and_the_queue_that_would_break(
    manager: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    pbx_http.routes, pbx_http.queues = [ROUTE, ROUTE | {"name": "Other", "dest": "6501"}], [QUEUE]

    plan = text(manager, planned(manager, pbx, number="6599"))

    assert MAIN in plan
    assert SALES in plan
    assert "Other" not in plan
    assert "Inbound routes that lead to the old number at some times" in plan
    assert "Keys of other IVRs and ring groups" in plan


def test_the_old_number_is_typed_and_what_breaks_is_kept_with_the_intent(
    manager: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    pbx_http.routes = [ROUTE]
    change = planned(manager, pbx, number="6599")
    form = confirmed(manager, change)

    for wrong in ({"confirm": "yes"}, form | {"typed": "6599"}, {"typed": "6500"}, form | {"seen": "0" * 16}):
        answer = applied(manager, change, wrong)
        assert (answer.status_code, change.status, "update" in str(pbx_http.calls())) == (422, "planned", False)
        assert "then type 6500. Nothing was sent." in text_of(answer.content.decode())
    applied(manager, change, form)

    assert change.status == "verified", change.sentence
    assert MAIN in Event.objects.get(action="change.sending").data["detail"]["confirmed"]
    assert f"Confirmed {MAIN}" in text_of(manager.get(change.get_absolute_url()).content.decode())
    assert f"Confirmed  {MAIN}" in manager.get(f"{change.get_absolute_url()}receipt.txt").content.decode()


def test_nothing_that_leads_there_needs_no_more_than_the_checklist(
    manager: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    change = planned(manager, pbx, number="6599")

    applied(manager, change, {"confirm": "yes"})

    assert change.status == "verified"
    assert pbx_http.side_calls()[-3:] == ["inroute/query", "queue/query", "extensionlist/query"]


def test_a_version_without_routes_has_them_on_the_checklist(manager: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    Pbx.objects.update(api_version="v1.0.0")

    plan = text(manager, planned(manager, pbx, number="6599"))

    assert "Check by hand: Inbound routes that lead to the old number: API v1.0.0 does not list them." in plan


@pytest.mark.parametrize("fault", [says(refused("30001")), says({"status": "Success", "inroutes": 7})])
def test_a_list_that_fails_is_on_the_checklist_and_holds_nothing_up(
    manager: Client, pbx: Pbx, pbx_http: PbxDouble, fault: Any
) -> None:
    for _ in range(2):
        pbx_http.fail("inroute/query", fault)
    change = planned(manager, pbx, number="6599")
    plan = text(manager, change)

    applied(manager, change)

    assert "Check by hand: Inbound routes that lead to the old number: they could not be read." in plan
    assert change.status == "verified"


def test_a_pbx_that_stops_answering_is_sent_nothing(manager: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    change = planned(manager, pbx, number="6599")
    pbx_http.fail("queue/query", breaks)

    applied(manager, change)

    assert change.status == "not-sent"
    assert "could not be asked for its queues first" in change.sentence
    assert "ivr/update" not in pbx_http.calls()


@pytest.mark.parametrize(("number", "by"), [("6701", "a queue"), ("1002", "an extension")])
def test_a_number_that_a_queue_or_an_extension_has_is_not_sent(
    manager: Client, pbx: Pbx, pbx_http: PbxDouble, number: str, by: str
) -> None:
    change = planned(manager, pbx, number=number)
    pbx_http.queues = [{"queuenumber": "6701", "failoveraction": "Hang up"}]

    applied(manager, change)

    assert change.status == "not-sent"
    assert change.sentence == f"The number {number} is already used on ACME-HQ, by {by}. Nothing was sent."
    assert "ivr/update" not in pbx_http.calls()
    assert not Event.objects.filter(action="change.sending").exists()


def test_what_leads_there_only_since_it_was_confirmed_holds_it_up(
    manager: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    change = planned(manager, pbx, number="6599")
    pbx_http.routes = [ROUTE]

    applied(manager, change)

    assert change.status == "not-sent"
    assert "Inbound route Main (03069990001) of ACME-HQ leads to 6500, which nobody confirmed." in change.sentence
    assert WayIn.objects.get().name == "Main"


def test_a_plan_is_made_also_when_they_cannot_be_read_then(manager: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    address = f"/pbxs/{pbx.pk}/ivrs/6500/edit/"
    form = filled(manager.get(address).content.decode(), number="6599")
    Pbx.objects.update(is_enabled=False)

    answer = manager.post(address, form)

    assert "Inbound routes that lead to the old number: they were not read yet." in text(
        manager, Change.objects.get(pk=int(answer["Location"].split("/")[2]))
    )


def test_other_changes_ask_for_none_of_it(manager: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    applied(manager, planned(manager, pbx, response_timeout="7"))

    assert pbx_http.side_calls() == []
