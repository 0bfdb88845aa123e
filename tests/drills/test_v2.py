"""API v2.0.0 from the list to the receipt: another identity, other fields, and dialling out."""

from typing import Any

import pytest
from django.test import Client

from ivr.models import Change, Ivr
from pbxadmin.access.models import User
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import V2_0, Fault, SimulatedPbx
from tests.api.conftest import Script
from tests.drills.edits import filled, planned, record_of, text_of
from tests.drills.hands import Hand
from tests.factories import make_user

pytestmark = [pytest.mark.tls, pytest.mark.django_db, pytest.mark.usefixtures("short_deadlines")]

EDIT = "/pbxs/{}/ivrs/6500/edit/"


@pytest.fixture
def pbx(simulated_pbx: SimulatedPbx) -> Pbx:
    simulated_pbx.versions = {V2_0}
    return record_of(simulated_pbx, api_version=V2_0)


@pytest.fixture
def helpdesk(pbx: Pbx) -> Client:
    client = Client()
    client.force_login(make_user("helpdesk", pbx.customer, username="mara"))
    return client


def sent(pbx: SimulatedPbx, call: str) -> list[Any]:
    return [received.body for received in pbx.received if received.call == call]


def test_the_list_is_read_with_the_word_all(manager: Client, pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    manager.post(f"/pbxs/{pbx.pk}/refresh/")

    page = manager.get(f"/pbxs/{pbx.pk}/ivrs/").content.decode()

    assert sent(simulated_pbx, "login")[0]["version"] == "2.0.0"
    assert sent(simulated_pbx, "ivr/query") == [{"number": "all"}]
    assert sorted(Ivr.objects.values_list("number", flat=True)) == sorted(simulated_pbx.ivrs)
    assert all(f'data-ivr="{number}"' in page for number in simulated_pbx.ivrs)


def test_the_form_is_that_of_this_version(manager: Client, pbx: Pbx) -> None:
    page = manager.get(EDIT.format(pbx.pk)).content.decode()

    form = filled(page, dial_outbound="on")
    assert "number" not in form
    assert 'name="dial_outbound"' in page
    assert 'data-field="number" data-value="6500"' in page
    assert "may still point to the old number. API v2.0.0 cannot change it." in text_of(page)


def test_a_change_sends_its_identity_and_what_changes(hand: Hand, pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    change = hand.plan(pbx, response_timeout="6", name="Hello")

    assert hand.apply(change).outcome == "verified"

    assert sent(simulated_pbx, "ivr/update") == [{"number": "6500", "ivrname": "Hello", "responsetimeout": "6"}]
    assert simulated_pbx.ivrs["6500"]["responsetimeout"] == "6"


def test_dialling_out_is_confirmed_in_words_of_the_risk(hand: Hand, pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    change = hand.plan(pbx, dial_outbound="on")

    unconfirmed = hand.apply(change, confirms=False)
    before = sent(simulated_pbx, "ivr/update")

    assert "make calls at your cost" in unconfirmed.text
    assert (unconfirmed.status, before) == (422, [])
    assert hand.apply(change).outcome == "verified"
    assert sent(simulated_pbx, "ivr/update") == [{"number": "6500", "dialoutboundroutes": "on"}]
    intent = Event.objects.get(action="change.sending")
    assert "at your cost" in intent.data["detail"]["confirmed"][0]


@pytest.mark.parametrize("name", ["dial_outbound", "dial_extension", "check_voicemail"])
@pytest.mark.parametrize("was", ["off", None])
def test_what_opens_an_ivr_is_confirmed_whether_it_was_off_or_not_reported(
    hand: Hand, pbx: Pbx, simulated_pbx: SimulatedPbx, name: str, was: str | None
) -> None:
    wire = {
        "dial_outbound": "dialoutboundroutes",
        "dial_extension": "dialext",
        "check_voicemail": "dialtocheckvoicemail",
    }
    simulated_pbx.ivrs["6500"][wire[name]] = "off"
    simulated_pbx.leaves_out = {wire[name]} if was is None else set()

    change = hand.plan(pbx, **{name: "on"})

    assert hand.apply(change, confirms=False).status == 422
    assert sent(simulated_pbx, "ivr/update") == []


def test_dialling_out_needs_its_right_in_the_form_and_at_apply(
    manager: Client, helpdesk: Client, pbx: Pbx, simulated_pbx: SimulatedPbx
) -> None:
    change = planned(manager, pbx, dial_outbound="on")
    page = helpdesk.get(EDIT.format(pbx.pk)).content.decode()

    forged = helpdesk.post(EDIT.format(pbx.pk), filled(page) | {"dial_outbound": "on"})
    applied = helpdesk.post(f"{change.get_absolute_url()}apply/", {"confirm": "yes"})

    assert "Dial outbound Off Your role may not change it" in text_of(page)
    assert (forged.status_code, applied.status_code) == (403, 403)
    assert Event.objects.filter(action="access.denied").count() == 2
    assert sent(simulated_pbx, "ivr/update") == []


def test_dialling_out_needs_its_right_over_the_api_too(manager: Client, pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    change = planned(manager, pbx, dial_outbound="on")
    script = Script(make_user("helpdesk", pbx.customer, username="mara"))

    forged = script.post(f"/pbxs/{pbx.pk}/ivrs/6500/changes", {"values": {"dial_outbound": True}})
    applied = script.post(f"/changes/{change.pk}/apply", {"confirm": "yes"})

    assert (forged.status_code, applied.status_code) == (403, 403)
    assert Event.objects.filter(action="access.denied").count() == 2
    assert sent(simulated_pbx, "ivr/update") == []


def test_a_field_that_the_version_cannot_write_is_refused_over_page_and_api_in_the_same_words(
    manager: Client, max_: User, pbx: Pbx, simulated_pbx: SimulatedPbx
) -> None:
    """The record was set to an older version while the form was open."""
    form = filled(manager.get(EDIT.format(pbx.pk)).content.decode()) | {"dial_outbound": "on"}
    Pbx.objects.update(api_version="v1.0.0")

    page = manager.post(EDIT.format(pbx.pk), form)
    told = Script(max_).post(f"/pbxs/{pbx.pk}/ivrs/6500/changes", {"values": {"dial_outbound": True}})

    assert (page.status_code, told.status_code) == (422, 422)
    (sentence,) = told.json()["errors"]["dial_outbound"]
    assert sentence == "API v1.0.0 cannot change it."
    assert f"Dial outbound: {sentence}" in text_of(page.content.decode())
    assert Event.objects.filter(action="access.denied").count() == 2
    assert not Change.objects.exists()
    assert sent(simulated_pbx, "ivr/update") == []


def test_a_forged_number_is_refused_and_logged(manager: Client, pbx: Pbx) -> None:
    form = filled(manager.get(EDIT.format(pbx.pk)).content.decode(), response_timeout="6")

    answer = manager.post(EDIT.format(pbx.pk), form | {"number": "6599"})

    assert answer.status_code == 422  # v2.0.0 writes no number
    assert Event.objects.get(action="access.denied").data["detail"]["field"] == "number"
    assert not Change.objects.exists()


def test_a_lost_answer_is_settled_by_reading(hand: Hand, pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    change = hand.plan(pbx, response_timeout="6")
    simulated_pbx.misbehave(Fault.CLOSE, call="ivr/update")

    assert hand.apply(change).outcome == "verified"
    assert simulated_pbx.count("ivr/update") == 1


def test_what_was_planned_for_another_version_is_not_sent(hand: Hand, pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    change = hand.plan(pbx, dial_outbound="on")
    simulated_pbx.versions = {"v1.0.0"}
    Pbx.objects.update(api_version="v1.0.0", token="")

    answer = hand.apply(change)

    assert "The API version of ACME-HQ was edited after this change was planned. Nothing was sent." in answer.text
    assert sent(simulated_pbx, "ivr/update") == []


def test_a_record_with_another_version_is_led_to_the_one_that_answers(
    manager: Client, pbx: Pbx, simulated_pbx: SimulatedPbx
) -> None:
    Pbx.objects.update(api_version="v1.0.0")
    tested = manager.post(f"/pbxs/{pbx.pk}/test/", {"detect": "on"}).content.decode()

    manager.post(f"/pbxs/{pbx.pk}/use-version/", {"version": "v2.0.0"})
    opened = manager.get(EDIT.format(pbx.pk))

    assert "Use v2.0.0" in tested
    assert opened.status_code == 200
