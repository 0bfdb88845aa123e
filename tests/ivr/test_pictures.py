"""Pictures: how a field of an IVR moved, and the spread of a field as a door to a batch. Each with its table."""

import re

import pytest
from django.utils import timezone

from ivr.field_history import field_histories
from pbxadmin.access.roles import Role
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.yeastar.readings import IvrSettings
from tests.factories import make_change, make_customer, make_outside, make_pbx, make_snapshots, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def pbx(acme):
    pbx = make_pbx(acme)
    waits = enumerate(["9", "3", "3", "3"])
    make_snapshots(pbx, *(IvrSettings(number=f"65{n:02}", name=f"M{n}", response_timeout=wait) for n, wait in waits))
    return pbx


def outcome(pbx, outcome, **fields):
    change = make_change(pbx, status=outcome)
    record(
        EventAction.CHANGE_OUTCOME,
        outcome=outcome,
        customer=(pbx.customer_id, pbx.customer.name),
        pbx=(pbx.pk, pbx.name),
        ivr=("6500", "M0"),
        fields={name: {"before": a, "asked": b, "found": b} for name, (a, b) in fields.items()},
        change_id=change.pk,
        actor=Actor(1, "Mara Lindqvist"),
    )
    return change


def test_a_field_is_drawn_as_steps_with_own_and_outside_marks(client, pbx):
    change = outcome(pbx, "verified", response_timeout=("3", "6"), name=("Old", "New"))
    outcome(pbx, "refused", response_timeout=("6", "8"))
    make_outside(pbx, fields={"response_timeout": {"before": "6", "found": "9"}})
    client.force_login(make_user(Role.VIEWER, pbx.customer))

    page = client.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode().split('id="field-history"')[1]

    assert "<title>Response timeout moved 1 time by PBX Admin, 1 outside, between 3 s and 9 s</title>" in page
    assert page.count('class="own"') == 2  # one and the legend
    assert page.count('class="foreign"') == 2
    assert f'href="/changes/{change.pk}/"' in page
    (history,) = field_histories(pbx, "6500", timezone.now())
    assert [(move.before, move.found) for move in history.moves] == [("3", "6"), ("6", "9")]
    assert re.fullmatch(r"M0 60\.0H24\.0V36\.0H[\d.]+V12\.0H640", history.path)


def test_what_cannot_be_drawn_is_left_out(pbx):
    outcome(pbx, "verified", name=("Old", "New"))
    outcome(pbx, "verified", response_timeout=(None, "6"))
    outcome(pbx, "verified", response_timeout=("many", "6"))

    assert field_histories(pbx, "6500", timezone.now()) == []


def test_a_switch_is_drawn_between_off_and_on(pbx):
    outcome(pbx, "verified", dial_extension=("off", "on"))

    (history,) = field_histories(pbx, "6500", timezone.now())

    assert (history.lowest, history.highest) == ("Off", "On")


def test_the_spread_counts_values_and_leads_to_the_list_of_each(client, pbx):
    client.force_login(make_user(Role.MANAGER, pbx.customer))

    page = client.get("/ivrs/spread/?field=response_timeout").content.decode()
    (address,) = re.findall(r'href="/ivrs/\?(value=response_timeout%3A9)"', page)
    listed = client.get(f"/ivrs/?{address}").content.decode()

    assert "<title>3 s: 3 of 4</title>" in page
    assert re.findall(r'data-ivr="([^"]*)"', listed) == ["6500"]
    assert "Response timeout 9 s" in listed  # the chip that takes it away
    assert "Select all 1 that match" in listed


def test_the_spread_of_others_is_not_counted(client, pbx):
    client.force_login(make_user(Role.MANAGER, make_customer("Bellweather")))

    assert "No IVRs" in client.get("/ivrs/spread/").content.decode()


@pytest.mark.parametrize("value", ["name:M1", "response_timeout", "pbx__name:x", "response_timeout:"])
def test_a_value_that_makes_no_sense_narrows_nothing(client, pbx, value):
    client.force_login(make_user(Role.MANAGER, pbx.customer))

    assert len(re.findall("data-ivr=", client.get("/ivrs/", {"value": value}).content.decode())) == 4
