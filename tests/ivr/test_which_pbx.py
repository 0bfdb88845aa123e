"""A change goes to the PBX that it was planned for, and is proven by that one, whatever is edited meanwhile."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from ivr.changes.apply import change_apply
from ivr.changes.plan import change_plan, change_resolve
from ivr.changes.reconcile import change_check, reconcile
from ivr.changes.restore import restoration_of, restore_plan
from ivr.forms import opened_now
from ivr.models import Change
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_accept_replacement, pbx_edit, pbx_pin
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_customer, make_pbx, make_user
from tests.pbx_http import IVR, PbxDouble, breaks

pytestmark = pytest.mark.django_db(transaction=True)
MARA = Actor(7, "Mara Lindqvist")
Status = Change.Status


def plan(pbx: Pbx, **wanted: str) -> Change:
    opened = opened_now(pbx, read_ivr(IVR, ApiVersion.V1_0), timezone.now())
    return change_plan(pbx=pbx, opened=opened, wanted=wanted or {"response_timeout": "6"}, actor=MARA)


def edit(pbx: Pbx, **values: object) -> None:
    pbx_edit(pbx=Pbx.objects.get(pk=pbx.pk), values=values)


def apply(change: Change) -> Change:
    change_apply(change=change, actor=MARA, confirmed=True)
    change.refresh_from_db()
    return change


def applied_without_being_read_back(pbx: Pbx, pbx_http: PbxDouble) -> Change:
    pbx_http.fail("ivr/query", breaks, after=1)
    change = apply(plan(pbx))
    assert change.status == Status.UNKNOWN
    pbx_http.received.clear()
    return change


# The PBX of the tests answers at https://pbx.invalid:8088, so each of these leads to it in the end.
LEADS_ELSEWHERE = {
    "another host": ({"host": "old.invalid"}, {"host": "pbx.invalid"}),
    "another port": ({"port": 8443}, {"port": 8088}),
    "another protocol": ({"scheme": "http"}, {"scheme": "https"}),
}


@pytest.mark.parametrize(("before", "after"), LEADS_ELSEWHERE.values(), ids=LEADS_ELSEWHERE)
def test_a_change_is_not_sent_to_another_address_than_it_was_planned_for(pbx_http, before, after):
    pbx = make_pbx(**before)
    change = plan(pbx)
    edit(pbx, **after)

    apply(change)

    assert change.status == Status.NOT_SENT
    assert change.sentence == (
        "The address of ACME-HQ was edited after this change was planned. Nothing was sent. Plan it again."
    )
    assert pbx_http.received == []
    event = Event.objects.get(change_id=change.pk)
    assert (event.action, event.outcome) == ("change.outcome", "not-sent")
    assert event.data["detail"]["sentence"] == change.sentence


def test_a_change_is_not_sent_by_another_api_version_than_it_was_planned_for(pbx_http):
    pbx = make_pbx()
    change = plan(pbx)
    edit(pbx, api_version="v1.1.0")

    apply(change)

    assert change.status == Status.NOT_SENT
    assert change.sentence.startswith("The API version of ACME-HQ was edited after this change was planned.")
    assert pbx_http.received == []


def test_a_change_of_one_customer_is_not_sent_to_a_pbx_that_became_anothers(pbx_http):
    pbx = make_pbx()
    change = plan(pbx)
    edit(pbx, customer=make_customer("Bellweather Clinics"))

    apply(change)

    assert change.status == Status.NOT_SENT
    assert change.sentence.startswith("ACME-HQ was moved to another customer after this change was planned.")
    assert pbx_http.received == []


def test_a_change_is_not_sent_to_a_device_that_was_accepted_after_it_was_planned(pbx_http):
    pbx = make_pbx(serial="111")
    change = plan(pbx)
    Pbx.objects.update(other_serial=pbx_http.serial)
    pbx_accept_replacement(pbx=Pbx.objects.get(), reason="Swapped by the vendor")

    apply(change)

    assert change.status == Status.NOT_SENT
    assert change.sentence.startswith("Another device was accepted as ACME-HQ after this change was planned.")
    assert pbx_http.received == []


def test_a_device_that_is_accepted_while_it_is_talked_to_is_not_unexpected_afterwards(pbx_http):
    pbx = make_pbx(serial="369364835218", other_serial="999")
    pbx_http.serial = "999"

    def is_accepted(double, body):
        pbx_accept_replacement(pbx=Pbx.objects.get(), reason="Lightning")
        return double.carry_out("deviceinfo/query", body, "0" * 32)

    pbx_http.fail("deviceinfo/query", is_accepted)

    apply(plan(pbx))

    pbx.refresh_from_db()
    assert (pbx.serial, pbx.other_serial) == ("999", "")
    assert apply(plan(pbx, response_timeout="7")).status == Status.VERIFIED


def test_what_leads_to_the_same_pbx_may_be_edited_between_plan_and_apply(pbx_http):
    pbx = make_pbx()
    change = plan(pbx)
    edit(pbx, name="ACME-HQ-1", tags="main", notes="moved to rack 4", site="Leeds", username="api2", trust="none")
    pbx_edit(pbx=Pbx.objects.get(), values={}, password="Another-Passw0rd")
    pbx_pin(pbx=Pbx.objects.get(), fingerprint="1" * 64, reason="renewed")

    assert apply(change).status == Status.VERIFIED


def test_a_serial_number_that_was_not_known_when_it_was_planned_does_not_stop_a_change(pbx_http):
    pbx = make_pbx()
    change = plan(pbx)
    apply(plan(pbx, prompt_repeat="2"))
    assert Pbx.objects.get().serial == pbx_http.serial

    assert apply(change).status == Status.VERIFIED


def test_a_form_that_was_opened_at_another_address_makes_no_change_that_is_sent(pbx_http, client: Client):
    pbx = make_pbx()
    client.force_login(make_user(Role.HELPDESK, pbx.customer))
    address = f"/pbxs/{pbx.pk}/ivrs/6500/edit/"
    form = client.get(address).context["form"]
    edit(pbx, host="other.invalid")
    typed = {"opened": form.sealed, "name": "Main_Menu", "prompt_repeat": "3", "digit_timeout": "3"}
    client.post(address, typed | {"response_timeout": "6"})

    change = apply(Change.objects.get())

    assert change.status == Status.NOT_SENT
    assert "The address of ACME-HQ was edited" in change.sentence


def test_a_conflict_found_at_one_address_is_not_resolved_at_another(pbx_http):
    pbx = make_pbx()
    change = plan(pbx)
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    apply(change)
    edit(pbx, host="other.invalid")

    resolved = apply(change_resolve(change=change, yours=["response_timeout"], actor=MARA))

    assert resolved.status == Status.NOT_SENT
    assert "The address of ACME-HQ was edited" in resolved.sentence


def test_what_was_to_be_restored_at_one_address_is_not_at_another(pbx_http):
    pbx = make_pbx()
    done = apply(plan(pbx))
    back = restoration_of(Event.objects.get(pk=done.event_id), ApiVersion.V1_0)
    change = restore_plan(pbx=pbx, back=back, form="once", actor=MARA, reason="", ticket="")
    edit(pbx, host="other.invalid")

    apply(change)

    assert change.status == Status.NOT_SENT
    assert "The address of ACME-HQ was edited" in change.sentence


def test_a_plan_of_before_the_address_was_kept_is_planned_again(pbx_http):
    change = plan(make_pbx())
    Change.objects.update(address="")

    apply(change)

    assert change.status == Status.NOT_SENT
    assert change.sentence.endswith("Nothing was sent. Plan it again.")
    assert pbx_http.received == []


def test_what_was_sent_before_the_address_was_kept_is_settled_all_the_same(pbx_http):
    change = applied_without_being_read_back(make_pbx(), pbx_http)
    Change.objects.update(address="")

    change_check(change)

    change.refresh_from_db()
    assert change.status == Status.VERIFIED


def test_another_address_proves_nothing_of_what_was_sent(pbx_http):
    pbx = make_pbx()
    change = applied_without_being_read_back(pbx, pbx_http)
    Change.objects.update(address="https://old.invalid:8088")

    why = change_check(change)

    change.refresh_from_db()
    assert (change.status, why) == (
        Status.UNKNOWN,
        "The address of ACME-HQ was edited after this change was planned.",
    )
    assert pbx_http.received == []
    assert change.check_at > timezone.now()


def test_the_device_that_it_was_sent_to_proves_it_from_its_new_address(pbx_http):
    pbx = make_pbx(serial=pbx_http.serial)
    change = applied_without_being_read_back(pbx, pbx_http)
    Change.objects.update(address="https://old.invalid:8088")

    change_check(change)

    change.refresh_from_db()
    assert change.status == Status.VERIFIED
    assert pbx_http.calls() == ["ivr/query"]


def test_a_device_that_does_not_say_who_it_is_proves_nothing_from_a_new_address(pbx_http):
    pbx = make_pbx(serial=pbx_http.serial)
    change = applied_without_being_read_back(pbx, pbx_http)
    Change.objects.update(address="https://old.invalid:8088")
    pbx_http.serial = ""

    change_check(change)

    change.refresh_from_db()
    assert change.status == Status.UNKNOWN


def test_what_was_sent_for_one_customer_is_not_read_at_the_pbx_of_another(pbx_http):
    pbx = make_pbx(serial=pbx_http.serial)
    change = applied_without_being_read_back(pbx, pbx_http)
    edit(pbx, customer=make_customer("Bellweather Clinics"))

    change_check(change)

    change.refresh_from_db()
    assert change.status == Status.UNKNOWN
    assert pbx_http.received == []


def test_another_device_at_the_address_proves_nothing_of_what_was_sent(pbx_http):
    change = applied_without_being_read_back(make_pbx(serial=pbx_http.serial), pbx_http)
    pbx_http.serial, pbx_http.tokens = "999", set()

    with time_machine.travel(timezone.now() + timedelta(seconds=11)):
        reconcile()

    change.refresh_from_db()
    assert (change.status, change.found) == (Status.UNKNOWN, None)


def test_another_device_met_while_reading_back_proves_nothing(pbx_http):
    def replaced(double, body):
        double.update(body)
        double.serial, double.tokens = "999", set()
        return {"status": "Success"}

    pbx_http.fail("ivr/update", replaced)

    change = apply(plan(make_pbx(serial=pbx_http.serial)))

    assert change.status == Status.UNKNOWN
    assert "Another device answers at the address of ACME-HQ." in change.sentence
