"""The receipt: where it stands in the log, its ticket's link, and the form that may be handed on."""

import re

import pytest
from django.test import Client
from django.utils import timezone

from ivr.changes.apply import change_apply
from ivr.changes.plan import change_plan
from ivr.forms import opened_now
from ivr.models import Change
from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_pbx, make_user
from tests.pbx_http import IVR, PbxDouble, breaks

pytestmark = pytest.mark.django_db(transaction=True)
MARA = Actor(7, "Mara Lindqvist")


@pytest.fixture
def planned(client: Client) -> Change:
    pbx = make_pbx()
    Customer.objects.update(ticket_link="https://tickets.example.com/{ticket}")
    client.force_login(make_user(Role.VIEWER, pbx.customer))
    opened = opened_now(pbx, read_ivr(IVR, ApiVersion.V1_0), timezone.now())
    wanted, ticket = {"response_timeout": "6"}, "INC 4411/a"
    return change_plan(pbx=pbx, opened=opened, wanted=wanted, actor=MARA, reason="Tom asked", ticket=ticket)


def apply(change: Change) -> None:
    change_apply(change=change, actor=MARA)
    change.refresh_from_db()


def test_a_receipt_names_its_place_in_the_chain_and_links_its_ticket(
    client: Client, planned: Change, pbx_http: PbxDouble
) -> None:
    apply(planned)

    text = client.get(f"/changes/{planned.pk}/receipt.txt").content.decode()
    page = client.get(f"/changes/{planned.pk}/").content.decode()

    event = Event.objects.get(pk=planned.event_id)
    place = f"event {event.pk}, number {event.sequence} in chain customer:{planned.customer_id}"
    link = "https://tickets.example.com/INC%204411%2Fa"
    assert f"Record     {place}\n" in text
    assert f"Ticket     INC 4411/a\n           {link}\n" in text
    assert "Reason     Tom asked\n" in text
    # The time first: after a name that is written from right to left its parts would change places.
    assert re.search(r"^Applied    [\d-]{10} [\d:]{8} UTC, Mara Lindqvist$", text, re.MULTILINE)
    assert place in page
    assert f'href="{link}"' in page


@pytest.mark.parametrize("fails", [False, True])
def test_the_form_for_the_customer_names_none_of_ours(
    client: Client, planned: Change, pbx_http: PbxDouble, fails: bool
) -> None:
    if fails:
        pbx_http.fail("ivr/query", breaks, after=1)
    apply(planned)

    text = client.get(f"/changes/{planned.pk}/receipt.txt?for=customer").content.decode()

    outcome = "UNKNOWN" if fails else "VERIFIED"
    for said in ("Response timeout 3 s → 6 s", f"Outcome    {outcome}", "Ticket     INC 4411/a", "Record     event"):
        assert said in text
    for hidden in ("Mara", "Tom", "http", "pbx.invalid", "testserver", "example.com"):
        assert hidden not in text
    assert "?for=customer" in client.get(f"/changes/{planned.pk}/").content.decode()


def test_a_plan_has_no_place_in_the_log_yet(client: Client, planned: Change) -> None:
    assert "Record" not in client.get(f"/changes/{planned.pk}/receipt.txt").content.decode()


def test_what_never_left_us_was_tried_and_not_applied(client: Client, planned: Change, pbx_http: PbxDouble) -> None:
    pbx_http.fail("ivr/query", breaks)
    apply(planned)

    text = client.get(f"/changes/{planned.pk}/receipt.txt").content.decode()

    assert "Outcome    NOT SENT" in text
    assert "Tried by   Mara Lindqvist\n" in text
    assert "Applied" not in text
