"""Restore and accept: what an event offers, what is refused, and that it is a change like any other."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from ivr.changes.apply import change_apply
from ivr.changes.plan import change_plan
from ivr.forms import opened_now
from ivr.models import Change
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_customer, make_pbx, make_user
from tests.pbx_http import PbxDouble, cannot_be_reached, says

pytestmark = pytest.mark.django_db(transaction=True)
MARA = Actor(7, "Mara Lindqvist")
Status = Change.Status


@pytest.fixture
def pbx(pbx_http: PbxDouble) -> Pbx:
    pbx = make_pbx()
    read(pbx)
    return Pbx.objects.select_related("customer").get()


@pytest.fixture
def helpdesk(client: Client, pbx: Pbx) -> Client:
    client.force_login(make_user(Role.HELPDESK, pbx.customer, first_name="Tom", last_name="Okafor"))
    return client


def read(pbx: Pbx) -> None:
    pbx_refresh(pbx=Pbx.objects.get(pk=pbx.pk), actor=MARA)


def applied(pbx: Pbx, pbx_http: PbxDouble, number: str = "6500", **wanted: str) -> Event:
    """The event of a change that was carried out."""
    opened = opened_now(pbx, read_ivr(pbx_http.ivrs[number], ApiVersion.V1_0), timezone.now())
    change = change_plan(pbx=pbx, opened=opened, wanted=wanted, actor=MARA)
    change_apply(change=change, actor=MARA, confirmed=True)
    return Event.objects.get(change_id=change.pk, action="change.outcome")


def outside(pbx: Pbx, pbx_http: PbxDouble, **fields: str) -> Event:
    """The event of what somebody changed on the PBX."""
    pbx_http.ivrs["6500"] |= fields
    read(pbx)
    return Event.objects.get(action="ivr.changed-outside")


def restore(client: Client, event: Event, **posted: str) -> Any:
    return client.post(f"/changes/restore/{event.pk}/", {"form": "1", **posted})


def test_a_change_is_restored_by_a_new_plan_that_goes_the_whole_way(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    event = applied(pbx, pbx_http, response_timeout="6", name="New")

    page = helpdesk.get(f"/changes/restore/{event.pk}/").content.decode()
    answer = restore(helpdesk, event, reason="callers complain")
    plan = Change.objects.get(status=Status.PLANNED)
    helpdesk.post(f"/changes/{plan.pk}/apply/")

    plan.refresh_from_db()
    assert 'data-field="response_timeout"' in page
    assert answer.headers["Location"] == f"/changes/{plan.pk}/"
    assert (plan.status, plan.wanted) == (Status.VERIFIED, {"response_timeout": "3", "name": "Main_Menu"})
    assert (plan.reason, plan.planned_by_name) == ("callers complain", "Tom Okafor")
    assert pbx_http.ivrs["6500"]["responsetimeout"] == "3"


def test_opening_and_planning_send_nothing(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    event = applied(pbx, pbx_http, response_timeout="6")
    pbx_http.received.clear()

    helpdesk.get(f"/changes/restore/{event.pk}/")
    restore(helpdesk, event)

    assert pbx_http.calls() == ["ivr/query", "ivr/query"]


def test_a_restore_is_applied_from_the_page_that_shows_it_and_sent_once(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    event = applied(pbx, pbx_http, response_timeout="6")
    pbx_http.received.clear()

    page = helpdesk.get(f"/changes/restore/{event.pk}/").content.decode()
    for _ in range(2):
        answer = restore(helpdesk, event, apply="yes", reason="callers complain")

    change = Change.objects.latest("pk")
    assert "Apply on ACME-HQ" in page
    assert answer.headers["Location"] == f"/changes/{change.pk}/"
    assert change.reason == "callers complain"
    assert (change.status, change.wanted) == (Status.VERIFIED, {"response_timeout": "3"})
    assert pbx_http.calls().count("ivr/update") == 1


def test_a_restore_that_opens_something_to_callers_is_confirmed_on_its_plan(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    pbx_http.ivrs["6500"]["dialext"] = "on"
    read(pbx)
    event = applied(pbx, pbx_http, dial_extension="off")
    pbx_http.received.clear()

    page = helpdesk.get(f"/changes/restore/{event.pk}/").content.decode()
    answer = restore(helpdesk, event, apply="yes")

    plan = Change.objects.get(status=Status.PLANNED)
    assert "Apply on" not in page
    assert "Review change on ACME-HQ" in page
    assert answer.headers["Location"] == f"/changes/{plan.pk}/"
    assert "ivr/update" not in pbx_http.calls()


def test_a_second_click_gives_the_same_plan_and_another_page_another(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    event = applied(pbx, pbx_http, response_timeout="6")

    first, second, other = restore(helpdesk, event), restore(helpdesk, event), restore(helpdesk, event, form="2")

    assert first.headers["Location"] == second.headers["Location"] != other.headers["Location"]


def test_an_outside_change_is_restored(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    event = outside(pbx, pbx_http, promptrepeat="1")

    assert restore(helpdesk, event).status_code == 302
    assert Change.objects.get().wanted == {"prompt_repeat": "3"}


def test_what_moved_since_is_not_offered_and_a_forged_post_is_refused(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    event = applied(pbx, pbx_http, response_timeout="6")
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"

    page = helpdesk.get(f"/changes/restore/{event.pk}/")
    forged = restore(helpdesk, event)

    assert (page.status_code, forged.status_code) == (409, 409)
    assert 'data-conflict="response_timeout"' in page.content.decode()
    assert "9 s" in page.content.decode()
    assert "Review change" not in page.content.decode()
    assert Change.objects.count() == 1


def test_an_edit_of_another_field_since_is_no_hindrance(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    event = applied(pbx, pbx_http, response_timeout="6")
    pbx_http.ivrs["6500"]["promptrepeat"] = "1"

    assert restore(helpdesk, event).status_code == 302


def test_what_was_restored_once_is_not_offered_again(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    event = applied(pbx, pbx_http, response_timeout="6")
    applied(pbx, pbx_http, response_timeout="3")

    assert restore(helpdesk, event).status_code == 409


def test_an_ivr_that_is_gone_is_not_restored(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    event = applied(pbx, pbx_http, response_timeout="6")
    pbx_http.add("6600")
    del pbx_http.ivrs["6500"]

    answer = restore(helpdesk, event)

    assert answer.status_code == 409
    assert "is not on ACME-HQ any more" in answer.content.decode()


def test_a_pbx_that_is_away_says_so(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    event = applied(pbx, pbx_http, response_timeout="6")
    pbx_http.tokens.clear()
    pbx_http.fail("login", cannot_be_reached)

    assert helpdesk.get(f"/changes/restore/{event.pk}/").status_code == 503


def test_an_event_that_left_nothing_is_refused(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("ivr/update", says({"status": "Failed", "errno": "30001"}))
    refused = applied(pbx, pbx_http, response_timeout="6")
    pbx_http.add("6501")
    read(pbx)
    appeared = Event.objects.get(action="ivr.appeared")

    assert [restore(helpdesk, event).status_code for event in (refused, appeared)] == [409, 409]
    assert Change.objects.count() == 1


def test_a_field_that_the_api_cannot_write_stays_and_the_page_says_so(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    event = outside(pbx, pbx_http, promptrepeat="1", prompt="[New]")

    page = helpdesk.get(f"/changes/restore/{event.pk}/").content.decode()
    restore(helpdesk, event)

    assert "Prompt stays as it is. API v1.0.0 cannot change it." in page
    assert Change.objects.get().wanted == {"prompt_repeat": "3"}


def test_a_renumbering_is_restored_by_who_may_renumber(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    event = applied(pbx, pbx_http, number="6500", name="New")
    event = renumbered(pbx, pbx_http)
    client.force_login(make_user(Role.HELPDESK, pbx.customer))
    refused = restore(client, event)
    client.force_login(make_user(Role.MANAGER, pbx.customer))

    restore(client, event)
    plan = Change.objects.get(status=Status.PLANNED)
    client.post(f"/changes/{plan.pk}/apply/", {"confirm": "yes"})

    plan.refresh_from_db()
    assert refused.status_code == 403
    assert (plan.number, plan.wanted, plan.status) == ("6510", {"number": "6500"}, Status.VERIFIED)
    assert list(pbx_http.ivrs) == ["6500"]


def renumbered(pbx: Pbx, pbx_http: PbxDouble) -> Event:
    opened = opened_now(pbx, read_ivr(pbx_http.ivrs["6500"], ApiVersion.V1_0), timezone.now())
    change = change_plan(pbx=pbx, opened=opened, wanted={"number": "6510"}, actor=MARA)
    change_apply(change=change, actor=MARA, confirmed=True)
    return Event.objects.get(change_id=change.pk, action="change.outcome")


def test_it_obeys_the_customers_rules(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    event = applied(pbx, pbx_http, response_timeout="6")
    Customer.objects.update(ticket_rule="required")

    answer = restore(helpdesk, event)

    assert answer.status_code == 422
    assert 'data-error-for="ticket"' in answer.content.decode()
    assert restore(helpdesk, event, ticket="INC-1").status_code == 302


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.AUDITOR, 403), (None, 404)])
def test_who_may_not_edit_may_not_restore(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, role: Role | None, status: int
) -> None:
    event = applied(pbx, pbx_http, response_timeout="6")
    customer = pbx.customer if role else make_customer("Bell")
    client.force_login(make_user(role or Role.MANAGER, customer))

    assert restore(client, event).status_code == status
    assert client.get(f"/changes/restore/{event.pk}/").status_code == status


def test_an_outside_change_is_accepted_once_with_a_note(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    event = outside(pbx, pbx_http, promptrepeat="1")

    for _ in range(2):
        helpdesk.post(f"/outside/{event.pk}/accept/", {"note": "The vendor did it"})

    said = Event.objects.get(action="ivr.outside-accepted").data
    page = helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()
    assert (said["actor_name"], said["reason"], said["detail"]["event"]) == (
        "Tom Okafor",
        "The vendor did it",
        event.pk,
    )
    assert "Accepted by" in page
    assert f"/outside/{event.pk}/accept/" not in page


def test_pages_of_the_event_the_ivr_and_the_receipt_offer_it(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    client.force_login(make_user(is_superuser=True))
    event = outside(pbx, pbx_http, promptrepeat="1")
    outcome = applied(pbx, pbx_http, response_timeout="6")

    paths = (f"/audit/{event.pk}/", f"/pbxs/{pbx.pk}/ivrs/6500/")
    pages = {path: client.get(path).content.decode() for path in paths}
    receipt = client.get(f"/changes/{outcome.change_id}/").content.decode()

    for page in pages.values():
        assert f"/changes/restore/{event.pk}/" in page
        assert f"/outside/{event.pk}/accept/" in page
    assert f"/changes/restore/{outcome.pk}/" in receipt


def test_nobody_is_offered_to_restore_what_they_may_not_change(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    """That callers dial out is for managers to change, on a PBX that lets it be changed."""
    event = outside(pbx, pbx_http, dialoutboundroutes="on")
    Pbx.objects.update(api_version="v2.0.0")
    offered = {}

    for role in (Role.HELPDESK, Role.MANAGER):
        client.force_login(make_user(role, pbx.customer))
        for path in (f"/pbxs/{pbx.pk}/ivrs/6500/", "/outside/"):
            offered[role, path] = f"/changes/restore/{event.pk}/" in client.get(path).content.decode()

    assert offered == {key: key[0] == Role.MANAGER for key in offered}


def test_a_receipt_of_what_left_nothing_does_not_offer_it(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    client.force_login(make_user(is_superuser=True))
    pbx_http.faults["ivr/update"] = [says({"status": "Success"})]
    outcome = applied(pbx, pbx_http, response_timeout="6")

    receipt = client.get(f"/changes/{outcome.change_id}/").content.decode()

    assert outcome.outcome == "not-as-asked"
    assert "Plan again" in receipt
    assert "Restore" not in receipt


def test_an_auditor_accepts_and_does_not_restore(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    event = outside(pbx, pbx_http, promptrepeat="1")
    client.force_login(make_user(Role.AUDITOR, pbx.customer))
    page = client.get(f"/audit/{event.pk}/").content.decode()

    answer = client.post(f"/outside/{event.pk}/accept/")

    assert f"/changes/restore/{event.pk}/" not in page
    assert answer.headers["Location"] == f"/audit/{event.pk}/"
    assert Event.objects.filter(action="ivr.outside-accepted").count() == 1


def test_accepting_is_for_outside_changes_and_those_who_work_there(
    client: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    event = outside(pbx, pbx_http, promptrepeat="1")
    outcome = applied(pbx, pbx_http, response_timeout="6")
    client.force_login(make_user(Role.VIEWER, pbx.customer))

    assert client.post(f"/outside/{event.pk}/accept/").status_code == 403
    assert client.post(f"/outside/{outcome.pk}/accept/").status_code == 404
    assert client.get(f"/outside/{event.pk}/accept/").headers["Location"] == f"/pbxs/{pbx.pk}/ivrs/6500/"
