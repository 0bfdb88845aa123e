"""Reason and ticket: one rule for every way to plan a change."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from ivr.changes.plan import change_plan
from ivr.forms import opened_now
from ivr.models import Change
from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import Actor
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_pbx, make_user
from tests.pbx_http import IVR, PbxDouble

pytestmark = pytest.mark.django_db(transaction=True)
MARA = Actor(7, "Mara Lindqvist")


@pytest.fixture
def pbx(client: Client) -> Pbx:
    pbx = make_pbx()
    client.force_login(make_user(Role.HELPDESK, pbx.customer))
    return pbx


def rules(**columns: str) -> None:
    Customer.objects.update(**columns)


def plan(pbx: Pbx, **more: Any) -> Change:
    opened = opened_now(pbx, read_ivr(IVR, ApiVersion.V1_0), timezone.now())
    fresh = Pbx.objects.select_related("customer").get(pk=pbx.pk)
    return change_plan(pbx=fresh, opened=opened, wanted={"response_timeout": "6"}, actor=MARA, **more)


def edit(client: Client, pbx: Pbx, **posted: str) -> Any:
    page = client.get(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")
    opened = page.context["form"].sealed
    shown = {"number": "6500", "name": "Main_Menu", "prompt_repeat": "3", "digit_timeout": "3"}
    return client.post(
        f"/pbxs/{pbx.pk}/ivrs/6500/edit/", {**shown, "opened": opened, "response_timeout": "6", **posted}
    )


def test_the_change_service_itself_refuses_a_plan_without_what_is_asked_for(pbx: Pbx) -> None:
    rules(reason_rule="required", ticket_rule="required", ticket_pattern="INC-#")

    with pytest.raises(ValidationError) as caught:
        plan(pbx, ticket="CHG-1")

    assert sorted(caught.value.message_dict) == ["reason", "ticket"]
    assert not Change.objects.exists()
    assert plan(pbx, ticket="INC-1", reason="hangs up").ticket == "INC-1"


def test_the_form_says_it_beside_the_field_and_keeps_what_was_typed(
    client: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    rules(ticket_rule="required", ticket_pattern="INC-#")

    answer = edit(client, pbx, ticket="CHG-1")

    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'data-error-for="ticket"' in page
    assert 'value="CHG-1"' in page
    assert "such as INC-4711" in page
    assert edit(client, pbx, ticket="INC-1").status_code == 302
    assert Change.objects.get().ticket == "INC-1"


def test_what_is_not_asked_for_is_not_shown_and_not_taken(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    rules(reason_rule="off", ticket_rule="off")

    page = client.get(f"/pbxs/{pbx.pk}/ivrs/6500/edit/").content.decode()
    edit(client, pbx, ticket="INC-1", reason="Tom said so")

    assert "For the record" not in page
    assert (Change.objects.get().ticket, Change.objects.get().reason) == ("", "")


def test_a_conflict_resolved_after_the_rules_became_stricter_asks_for_a_new_edit(
    client: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    change = plan(pbx)
    live = change.base | {"response_timeout": "9"}
    Change.objects.filter(pk=change.pk).update(status=Change.Status.CONFLICT, live=live)
    rules(ticket_rule="required")

    answer = client.post(f"/changes/{change.pk}/resolve/", {"response_timeout": "yours"})

    assert answer.status_code == 422
    assert "wants a ticket for each change. Edit the IVR again." in answer.content.decode()
    assert Change.objects.count() == 1
