"""Table of what a PBX's state, its event and Home say after each call and each failure."""

from datetime import timedelta
from typing import Any, NamedTuple

import pytest
import requests
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone

from ivr.models import Refresh
from ivr.refresh import refresh_due, refresh_work
from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import SYSTEM
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import NEEDS_A_PERSON, Pbx, PbxState
from pbxadmin.fleet.pbx_sessions import open_pbx_session
from pbxadmin.yeastar.errors import PbxError
from tests.factories import make_pbx, make_user
from tests.pbx_http import Fault, PbxDouble, breaks, cannot_be_reached, refused, says

pytestmark = pytest.mark.django_db(transaction=True)

P_SERIES = says({"errcode": 10001, "errmsg": "INTERFACE NOT EXISTED"})
NOT_RUNNING = "The PBX's API process is not running (30003)."


class Row(NamedTuple):
    """call: fails each time with `fault`. reason: is part of the reason that pages show."""

    call: str
    fault: Fault
    state: PbxState
    reason: str


def code(errno: str) -> Fault:
    return says(refused(errno))


def hangs(pbx: PbxDouble, body: dict[str, Any]) -> Exception:
    return requests.ReadTimeout("no answer")


REFUSING, UNREACHABLE = PbxState.REFUSING, PbxState.UNREACHABLE
TABLE = {
    "login, unknown function": Row("login", code("10003"), REFUSING, "(10003)"),
    "login, API process": Row("login", code("30003"), REFUSING, NOT_RUNNING),
    "login, bad port": Row("login", code("20008"), REFUSING, "Bad port value (20008)"),
    "login, no API service": Row("login", code("20010"), REFUSING, "(20010)"),
    "login, only POST": Row("login", code("20001"), REFUSING, "(20001)"),
    "login, no such IVR": Row("login", code("10012"), REFUSING, "(10012)"),
    "login, wrong password": Row("login", code("20003"), PbxState.CREDENTIALS_REJECTED, "(20003)"),
    "login, unknown code": Row("login", code("29999"), PbxState.CREDENTIALS_REJECTED, "(29999)"),
    "login, locked": Row("login", code("20002"), PbxState.LOCKED, "(20002)"),
    "login, no connection": Row("login", cannot_be_reached, UNREACHABLE, ""),
    "login, broken": Row("login", breaks, UNREACHABLE, ""),
    "login, no answer": Row("login", hangs, UNREACHABLE, ""),
    "login, HTML": Row("login", says("<html>"), UNREACHABLE, "not JSON"),
    "login, P-Series": Row("login", P_SERIES, REFUSING, "This looks like a P-Series, which has another API."),
    "login, no token": Row("login", says({"status": "Success"}), UNREACHABLE, "gave no token"),
    "list, internal fault": Row("ivr/query", code("30001"), REFUSING, "(30001)"),
    "list, unknown function": Row("ivr/query", code("10003"), REFUSING, "(10003)"),
    "list, API process": Row("ivr/query", code("30003"), REFUSING, NOT_RUNNING),
    "list, applied too often": Row("ivr/query", code("10025"), REFUSING, "(10025)"),
    "list, unknown code": Row("ivr/query", code("29999"), REFUSING, "(29999)"),
    "list, no code": Row("ivr/query", says({"status": "Failed"}), REFUSING, "(no code)"),
    "list, P-Series": Row("ivr/query", P_SERIES, REFUSING, "This looks like a P-Series"),
    "list, broken": Row("ivr/query", breaks, UNREACHABLE, ""),
    "list, HTML": Row("ivr/query", says("<html>"), UNREACHABLE, "not JSON"),
    "list, not a list": Row("ivr/query", says({"status": "Success", "ivr": 5}), UNREACHABLE, "not a list"),
    "list, locked": Row("ivr/query", code("20002"), PbxState.LOCKED, "(20002)"),
}
EACH = pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))


@pytest.fixture
def pbx(acme: Customer) -> Pbx:
    return make_pbx(acme)


def read_by_itself(pbx: Pbx) -> None:
    """Read the PBX as the schedule does, as soon as it may."""
    at = max(filter(None, [timezone.now(), pbx.next_by_itself_at])) + timedelta(seconds=1)
    with time_machine.travel(at):
        refresh_due()
        for run in Refresh.objects.filter(finished_at=None):
            refresh_work.call(run.pk)
    pbx.refresh_from_db()


def state_events() -> list[tuple[str, str]]:
    events = Event.objects.filter(action="pbx.state-changed").order_by("id")
    return [(event.data["detail"]["was"], event.data["detail"]["state"]) for event in events]


@EACH
def test_three_readings_by_itself_that_fail(client: Client, pbx: Pbx, pbx_http: PbxDouble, row: Row) -> None:
    read_by_itself(pbx)
    for _ in range(3):
        Pbx.objects.update(token="")
        pbx_http.fail(row.call, row.fault)
        read_by_itself(pbx)

    assert (pbx.state, pbx.state in NEEDS_A_PERSON) == (row.state, True)
    assert row.reason in pbx.state_reason
    assert pbx.state_reason
    assert state_events() == [("reachable", row.state)]
    event = Event.objects.get(action="pbx.state-changed")
    assert (event.data["actor_name"], event.data["detail"]["why"]) == (SYSTEM.name, pbx.state_reason)
    client.force_login(make_user(Role.HELPDESK, pbx.customer))
    home = client.get("/").content.decode()
    assert f'data-state="{row.state}"' in home
    assert row.reason in home.replace("&#x27;", "'")


@EACH
def test_a_session_of_a_person_that_fails(pbx: Pbx, pbx_http: PbxDouble, row: Row) -> None:
    read_by_itself(pbx)
    Pbx.objects.update(token="")
    pbx_http.fail(row.call, row.fault)

    with pytest.raises(PbxError), open_pbx_session(pbx, "A test", insist=True) as held:
        held.client.query_ivrs()

    pbx.refresh_from_db()
    assert pbx.state == row.state
    assert row.reason in pbx.state_reason
    assert state_events() == [("reachable", row.state)]


@pytest.mark.parametrize("call", ["login", "ivr/query"])
def test_the_end_is_told_once_too(pbx: Pbx, pbx_http: PbxDouble, call: str) -> None:
    pbx_http.fail(call, code("30003"))
    for _ in range(3):
        read_by_itself(pbx)

    assert (pbx.state, pbx.state_reason) == (PbxState.REACHABLE, "")
    assert state_events() == [("never-checked", "refusing"), ("refusing", "reachable")]


def test_the_first_contact_is_no_news(pbx: Pbx, pbx_http: PbxDouble) -> None:
    read_by_itself(pbx)

    assert (pbx.state, state_events()) == (PbxState.REACHABLE, [])


def test_the_last_code_is_the_reason(pbx: Pbx, pbx_http: PbxDouble) -> None:
    for errno in ("30003", "20010"):
        pbx_http.fail("login", code(errno))
        read_by_itself(pbx)

    assert "(20010)" in pbx.state_reason
    assert state_events() == [("never-checked", "refusing")]


def test_a_missing_ivr_is_an_answer(pbx: Pbx, pbx_http: PbxDouble, client: Client) -> None:
    client.force_login(make_user(Role.HELPDESK, pbx.customer))

    client.get(f"/pbxs/{pbx.pk}/ivrs/6599/edit/")

    pbx.refresh_from_db()
    assert pbx.state == PbxState.REACHABLE


def test_stale_values_say_what_the_pbx_answers(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    read_by_itself(pbx)
    client.force_login(make_user(Role.VIEWER, pbx.customer))
    for _ in range(3):
        pbx_http.fail("ivr/query", code("30003"))
        read_by_itself(pbx)

    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        pages = {page: client.get(page).content.decode() for page in ("/ivrs/", "/pbxs/", f"/pbxs/{pbx.pk}/")}

    for page, html in pages.items():
        said = html.replace("&#x27;", "'")
        assert "The PBX's API process is not running (30003)." in said, page
        assert ("1 h ago" if page == "/pbxs/" else "refusing: The PBX's API") in said, page  # which has a State


def test_the_state_of_a_pbx_that_was_edited_meanwhile_is_no_news(pbx: Pbx, pbx_http: PbxDouble) -> None:
    def edited_meanwhile(double: PbxDouble, body: dict[str, Any]) -> Any:
        Pbx.objects.update(revision=7)
        connection.close()  # of the thread that reads
        return refused("30003")

    pbx_http.fail("login", edited_meanwhile)
    read_by_itself(pbx)

    assert (pbx.state, state_events()) == (PbxState.NEVER_CHECKED, [])


SET_UP: dict[str, tuple[dict[str, Any], PbxState, str]] = {
    "nothing is pinned": ({"fingerprint": ""}, PbxState.UNTRUSTED, "No certificate is pinned for this PBX."),
    "no CA": ({"trust": "ca", "ca_certificate": ""}, PbxState.UNTRUSTED, "The CA certificate for this PBX is missing."),
    "a port that is closed now": ({"port": 8089}, UNREACHABLE, "may not connect to the port"),
}


@pytest.mark.parametrize(("columns", "state", "reason"), SET_UP.values(), ids=SET_UP)
def test_a_record_that_cannot_be_used_says_so(
    pbx: Pbx, pbx_http: PbxDouble, settings: Any, columns: dict[str, Any], state: PbxState, reason: str
) -> None:
    settings.PBX_PORTS = [range(8088, 8089)]
    read_by_itself(pbx)
    Pbx.objects.update(**columns)
    pbx.refresh_from_db()
    before = len(pbx_http.received)
    for _ in range(2):
        read_by_itself(pbx)

    assert (pbx.state, len(pbx_http.received)) == (state, before)
    assert reason in pbx.state_reason
    assert state_events() == [("reachable", state)]


def test_a_password_that_does_not_open_says_so(pbx: Pbx, pbx_http: PbxDouble, settings: Any) -> None:
    settings.PBX_KEYS = [b"n" * 32]
    for _ in range(2):
        read_by_itself(pbx)

    assert (pbx.state, pbx_http.received) == (UNREACHABLE, [])
    assert "does not open" in pbx.state_reason
    assert state_events() == [("never-checked", "unreachable")]
