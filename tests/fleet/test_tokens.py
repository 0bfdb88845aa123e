"""Tokens are given back when a record has no use for them any more, and logins ask for no event reports."""

from collections.abc import Callable

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import SYSTEM
from pbxadmin.fleet.lease import leased
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_delete, pbx_edit, pbx_switch
from tests.factories import make_pbx, make_user
from tests.pbx_http import PbxDouble, cannot_be_reached

pytestmark = pytest.mark.django_db(transaction=True)

ENDS: dict[str, Callable[[Pbx], object]] = {
    "disabled": lambda pbx: pbx_switch(pbx=pbx, enabled=False),
    "deleted": lambda pbx: pbx_delete(pbx=pbx),
    "password edited": lambda pbx: pbx_edit(pbx=pbx, values={}, password="another"),
    "user edited": lambda pbx: pbx_edit(pbx=pbx, values={"username": "api2"}),
    "address edited": lambda pbx: pbx_edit(pbx=pbx, values={"host": "elsewhere.invalid"}),
}


@pytest.fixture
def pbx(acme: Customer, pbx_http: PbxDouble) -> Pbx:
    """A PBX that was read, so that it holds a token of ours."""
    pbx = make_pbx(acme)
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    pbx_http.received.clear()
    return Pbx.objects.get()


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_token_is_given_back(pbx: Pbx, pbx_http: PbxDouble, end: Callable[[Pbx], object]) -> None:
    end(pbx)

    assert pbx_http.calls() == ["logout"]
    assert pbx_http.tokens == set()
    assert not Pbx.objects.exclude(token="").exists()


def test_an_edit_of_something_else_keeps_it(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_edit(pbx=pbx, values={"notes": "Second floor"})
    pbx_switch(pbx=pbx, enabled=True)

    assert pbx_http.calls() == []
    assert Pbx.objects.exclude(token="").exists()


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_pbx_that_does_not_answer_hinders_nobody(pbx: Pbx, pbx_http: PbxDouble, end: Callable[[Pbx], object]) -> None:
    pbx_http.fail("logout", cannot_be_reached)

    end(pbx)

    assert not Pbx.objects.exclude(token="").exists()


def test_nothing_is_sent_while_somebody_else_talks_to_it(pbx: Pbx, pbx_http: PbxDouble) -> None:
    with leased(pbx.pk, "Mara is editing IVR 6500"):
        pbx_switch(pbx=pbx, enabled=False)

    assert pbx_http.calls() == []


def test_nothing_is_sent_inside_a_transaction(pbx: Pbx, pbx_http: PbxDouble) -> None:
    with transaction.atomic():
        pbx_edit(pbx=pbx, values={"username": "api2"})

    assert pbx_http.calls() == []


def test_an_old_token_is_left_alone(pbx: Pbx, pbx_http: PbxDouble) -> None:
    Pbx.objects.update(token_at=timezone.now().replace(year=2020))

    pbx_switch(pbx=Pbx.objects.get(), enabled=False)

    assert pbx_http.calls() == []


def test_disabling_on_the_page_gives_it_back(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    client.force_login(make_user(Role.MANAGER, pbx.customer))

    client.post(f"/pbxs/{pbx.pk}/disable/")

    assert pbx_http.calls() == ["logout"]


@pytest.mark.parametrize(("port", "sent"), [(None, "9"), (9999, "9999")])
def test_the_port_for_event_reports(
    acme: Customer, pbx_http: PbxDouble, settings: object, port: int | None, sent: str
) -> None:
    if port:
        settings.PBX_REPORT_PORT = port  # type: ignore[attr-defined]
    pbx_refresh(pbx=make_pbx(acme), actor=SYSTEM)

    assert dict(pbx_http.received)["login"]["port"] == sent
