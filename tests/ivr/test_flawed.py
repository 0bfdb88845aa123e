"""Lists with rows that are not clear about their IVR: what is shown, what they prove, and what can be changed."""

from typing import Any

import pytest
from django.test import Client

from ivr.models import Ivr
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import SYSTEM
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from tests.factories import make_pbx, make_user
from tests.pbx_http import IVR, PbxDouble, refused, says

pytestmark = pytest.mark.django_db(transaction=True)

OTHER = IVR | {"ivrnumber": "6501", "ivrname": "Night"}
TWICE = [IVR, OTHER, IVR | {"responsetimeout": "9"}]
NUMBERLESS = [IVR, {"ivrname": "Lost"}]


@pytest.fixture
def pbx(acme: Customer) -> Pbx:
    return make_pbx(acme)


@pytest.fixture
def helpdesk(client: Client, acme: Customer) -> Client:
    client.force_login(make_user(Role.HELPDESK, acme))
    return client


def read(pbx: Pbx, pbx_http: PbxDouble, ivrs: list[dict[str, str]]) -> None:
    pbx_http.fail("ivr/query", says({"status": "Success", "ivr": ivrs}))
    pbx_refresh(pbx=pbx, actor=SYSTEM)


def kept() -> dict[str, tuple[str | None, bool]]:
    """Return the response timeout of each snapshot and whether it is flawed, by number."""
    return {ivr.number: (ivr.response_timeout, bool(ivr.flaw)) for ivr in Ivr.objects.order_by("number")}


def told() -> list[tuple[str, str]]:
    events = Event.objects.filter(action__startswith="ivr.").order_by("id")
    return [(event.action, event.data["ivr_number"]) for event in events]


def test_the_others_are_read_and_the_flawed_one_keeps_its_last_clear_values(pbx: Pbx, pbx_http: PbxDouble) -> None:
    read(pbx, pbx_http, [IVR, OTHER])
    at = Ivr.objects.get(number="6500").read_at

    read(pbx, pbx_http, [TWICE[0], OTHER | {"responsetimeout": "7"}, TWICE[2]])

    assert kept() == {"6500": ("3", True), "6501": ("7", False)}
    assert Ivr.objects.get(number="6500").read_at == at
    assert told() == [("ivr.changed-outside", "6501")]


def test_what_was_changed_meanwhile_is_told_when_it_is_clear_again(pbx: Pbx, pbx_http: PbxDouble) -> None:
    read(pbx, pbx_http, [IVR, OTHER])
    read(pbx, pbx_http, TWICE)

    read(pbx, pbx_http, [TWICE[2], OTHER])

    assert kept() == {"6500": ("9", False), "6501": ("3", False)}
    assert told() == [("ivr.changed-outside", "6500")]


def test_a_flaw_that_ends_is_no_change(pbx: Pbx, pbx_http: PbxDouble) -> None:
    for ivrs in ([IVR, OTHER], TWICE, TWICE, [IVR, OTHER]):
        read(pbx, pbx_http, ivrs)

    assert kept() == {"6500": ("3", False), "6501": ("3", False)}
    assert told() == []


@pytest.mark.parametrize("ivrs", [[TWICE[0], TWICE[2]], NUMBERLESS], ids=["twice", "without a number"])
def test_a_flawed_list_proves_nothing_about_others(pbx: Pbx, pbx_http: PbxDouble, ivrs: list[dict[str, str]]) -> None:
    read(pbx, pbx_http, [IVR, OTHER])

    read(pbx, pbx_http, ivrs)

    assert "6501" in kept()
    assert told() == []


def test_one_without_a_number_comes_and_goes_without_an_event(pbx: Pbx, pbx_http: PbxDouble) -> None:
    read(pbx, pbx_http, [IVR])
    read(pbx, pbx_http, NUMBERLESS)
    assert kept() == {"": (None, True), "6500": ("3", False)}

    read(pbx, pbx_http, [IVR])

    assert kept() == {"6500": ("3", False)}
    assert told() == []


def test_one_that_is_new_and_flawed_has_appeared(pbx: Pbx, pbx_http: PbxDouble) -> None:
    read(pbx, pbx_http, [OTHER])

    read(pbx, pbx_http, TWICE)
    read(pbx, pbx_http, [IVR, OTHER])

    assert told() == [("ivr.appeared", "6500")]
    assert kept()["6500"] == ("3", False)


def test_pages_show_the_flaw_and_offer_no_edit(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    read(pbx, pbx_http, [*TWICE, {"ivrname": "Lost"}])

    listed = helpdesk.get("/ivrs/").content.decode()
    page = helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()

    assert listed.count("Not clear") == 2
    assert "Lost" in listed
    assert "The PBX lists number 6500 more than once, with different values." in page
    assert "ivrs/6500/edit/" not in page
    assert "ivrs/6501/edit/" in helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6501/").content.decode()


def test_a_flawed_ivr_cannot_be_opened_for_editing(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    read(pbx, pbx_http, [IVR, OTHER])
    pbx_http.fail("ivr/query", says({"status": "Success", "ivr": [TWICE[0], TWICE[2]]}))

    answer = helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")

    assert "more than once, with different values" in answer.content.decode()
    assert "ivr/update" not in pbx_http.calls()
    pbx.refresh_from_db()
    assert pbx.state == "reachable"


def test_a_pbx_that_says_it_has_none_is_believed_the_second_time(pbx: Pbx, pbx_http: PbxDouble) -> None:
    read(pbx, pbx_http, [IVR, OTHER])
    found: list[Any] = []
    for _ in range(2):
        pbx_http.fail("ivr/query", says(refused("10012")))
        assert pbx_refresh(pbx=pbx, actor=SYSTEM) == 0
        pbx.refresh_from_db()
        found.append((pbx.state, pbx.ivr_count, len(kept()), told()))

    gone = [("ivr.vanished", "6500"), ("ivr.vanished", "6501")]
    assert found == [("reachable", 0, 2, []), ("reachable", 0, 0, gone)]


def test_none_and_some_and_none_again_drops_nothing(pbx: Pbx, pbx_http: PbxDouble) -> None:
    read(pbx, pbx_http, [IVR])
    for answer in (refused("10012"), {"status": "Success", "ivr": [IVR]}, refused("10012")):
        pbx_http.fail("ivr/query", says(answer))
        pbx_refresh(pbx=pbx, actor=SYSTEM)

    assert (list(kept()), told()) == (["6500"], [])


def test_a_byte_that_is_no_text_is_shown_and_flagged(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    read(pbx, pbx_http, [IVR | {"ivrname": "M\ufffdnchen"}])

    page = helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()

    assert "M\ufffdnchen" in page
    assert "The PBX holds bytes that are not UTF-8" in page
