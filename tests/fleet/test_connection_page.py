"""The connection test, as a manager sees it, against PBXs that answer over real TLS."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone

from pbxadmin.access.models import Customer, User
from pbxadmin.audit.models import Event
from pbxadmin.fleet.connection_test import version_difference
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.testing_rate import TooManyTests, count_connection_test
from pbxadmin.yeastar.simulator import V1_0, V1_1, V2_0, Fault, Framing, SimulatedPbx
from tests.api.conftest import Script
from tests.factories import make_pbx, make_user
from tests.yeastar.servers import AnswersAnything, RawServer, Signer, http, tls_1_0

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.tls]
STEPS = ["address", "tcp", "tls", "login", "device", "ivrs"]


@pytest.fixture
def manager(client: Client, acme: Customer) -> Client:
    client.force_login(make_user("manager", acme))
    return client


@pytest.fixture
def recorded(acme: Customer, simulated_pbx: SimulatedPbx) -> Callable[..., Pbx]:
    """Make the record of the simulated PBX."""

    def make(**values: Any) -> Pbx:
        right: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": simulated_pbx.port,
            "username": simulated_pbx.username,
            "password": simulated_pbx.password,
            "fingerprint": simulated_pbx.fingerprint,
        }
        return make_pbx(acme, **(right | values))

    return make


def steps_of(client: Client, pbx: Pbx) -> tuple[str, dict[str, str]]:
    """The page of a test, and the tone of each of its steps."""
    page = client.post(f"/pbxs/{pbx.pk}/test/").content.decode()
    return page, dict(re.findall(r'data-step="(\w+)" data-tone="(\w+)"', page))


def state(pbx: Pbx) -> str:
    return Pbx.objects.get(pk=pbx.pk).state


def test_all_six_steps_pass_and_the_pbx_is_known(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded()

    page, tones = steps_of(manager, pbx)

    assert tones == dict.fromkeys(STEPS, "ok")
    assert "All 6 steps passed." in page
    found = Pbx.objects.get()
    assert (found.state, bool(found.model), bool(found.serial), bool(found.firmware)) == ("reachable", True, True, True)
    assert found.last_contact_at is not None
    assert simulated_pbx.calls() == ["login", "deviceinfo/query", "ivr/query"]
    assert Event.objects.get(action="pbx.tested").outcome == "passed"


def test_a_new_pbx_shows_its_certificate_before_any_password_is_sent(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded(fingerprint="")

    page, tones = steps_of(manager, pbx)

    assert [tones[step] for step in STEPS] == ["ok", "ok", "warn", "calm", "calm", "calm"]
    assert "no password was sent" in page
    assert simulated_pbx.calls() == []
    offered = re.search(r'name="fingerprint" value="(\w+)"', page)
    assert offered is not None
    assert offered[1] == simulated_pbx.fingerprint

    manager.post(f"/pbxs/{pbx.pk}/pin/", {"fingerprint": offered[1]})
    _, tones = steps_of(manager, pbx)

    assert set(tones.values()) == {"ok"}


def test_another_certificate_stops_everything(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded(fingerprint="ab" * 32)

    page, tones = steps_of(manager, pbx)

    assert tones["tls"] == "warn"
    assert "not the pinned one" in page
    assert state(pbx) == "untrusted"
    assert simulated_pbx.calls() == []


def test_a_wrong_password_is_sent_once_and_not_again_until_it_is_edited(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded(password="wrong")

    page, tones = steps_of(manager, pbx)
    assert tones["login"] == "bad"
    assert state(pbx) == "credentials-rejected"
    assert "Test ACME-HQ again" not in page

    page, tones = steps_of(manager, pbx)
    assert tones["login"] == "bad"
    assert simulated_pbx.calls() == ["login"]


def test_rejected_credentials_stay_rejected_when_a_test_does_not_get_as_far_as_the_login(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded(password="wrong")
    steps_of(manager, pbx)
    simulated_pbx.misbehave(Fault.CLOSE_ON_ACCEPT, times=2)

    _, tones = steps_of(manager, pbx)
    meanwhile = state(pbx)
    manager.post(f"/pbxs/{pbx.pk}/refresh/")

    assert tones["tls"] == "bad"
    assert meanwhile == "credentials-rejected"
    assert simulated_pbx.calls() == ["login"]


def test_while_our_address_is_locked_out_a_test_tries_no_login_and_says_until_when(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded()
    simulated_pbx.misbehave(Fault.ERRNO, call="login", errno="20002")
    steps_of(manager, pbx)
    until = Pbx.objects.get().locked_until
    assert until is not None

    page, tones = steps_of(manager, pbx)

    assert tones["login"] == "bad"
    assert f"is locked until {until:%H:%M} UTC" in page
    assert "Until <time" in manager.get(f"/pbxs/{pbx.pk}/").content.decode()
    assert simulated_pbx.calls() == ["login"]
    with time_machine.travel(until):
        assert set(steps_of(manager, pbx)[1].values()) == {"ok"}


@pytest.mark.parametrize(
    ("values", "stops_at", "expected"),
    [
        ({"host": "no-such-host.invalid"}, "address", "unreachable"),
        ({"port": 1}, "tcp", "unreachable"),
        ({"trust": "system"}, "tls", "untrusted"),
        ({"scheme": "http"}, "login", "unreachable"),
    ],
)
def test_the_test_stops_at_the_first_step_that_fails(
    manager: Client, recorded: Callable[..., Pbx], values: dict[str, Any], stops_at: str, expected: str
) -> None:
    pbx = recorded(**values)

    page, tones = steps_of(manager, pbx)

    at = STEPS.index(stops_at)
    assert [tones[step] for step in STEPS[:at]] == ["ok"] * at
    assert tones[stops_at] in ("bad", "warn")
    assert {tones[step] for step in STEPS[at + 1 :]} == {"calm"} or stops_at == STEPS[-1]
    assert f"Stopped at step {at + 1} of 6." in page
    assert state(pbx) == expected
    event = Event.objects.get(action="pbx.tested")
    assert (event.outcome, event.data["detail"]["step"]) == ("failed", stops_at)


def https() -> RawServer:
    return RawServer(http(), tls=Signer().context())


def plain_http() -> RawServer:
    return AnswersAnything(Framing().page("Bad Request", status="400 Bad Request"))


def sends_on() -> RawServer:
    return RawServer(http(b"", status="302 Found", headers=["Location: https://127.0.0.1:8088/x?token=canary"]))


def without_that_version() -> RawServer:
    return RawServer(Framing().page("Not Found", status="404 Not Found"))


def old_tls() -> RawServer:
    return tls_1_0(Signer())


HTTP = {"scheme": "http"}
WRONG: dict[str, tuple[dict[str, Any], Callable[[], RawServer], str, str]] = {
    "plain HTTP to an HTTPS port": (HTTP, https, "login", "if it is one, choose HTTPS."),
    "a port that sends on": (HTTP, sends_on, "login", "redirect to https://127.0.0.1:8088, which"),
    "a version that is not there": (HTTP, without_that_version, "login", "not have this API version"),
    "HTTPS to a plain HTTP port": ({}, plain_http, "tls", "does not speak TLS"),
    "legacy where only ancient would do": ({"tls_profile": "legacy"}, old_tls, "tls", "the ancient TLS profile"),
}


@pytest.mark.parametrize(("chosen", "server", "stops_at", "sentence"), WRONG.values(), ids=WRONG)
def test_what_was_chosen_wrongly_is_named_with_what_to_choose(
    manager: Client,
    recorded: Callable[..., Pbx],
    chosen: dict[str, Any],
    server: Callable[[], RawServer],
    stops_at: str,
    sentence: str,
) -> None:
    with server() as found_there:
        pbx = recorded(port=found_there.port, **chosen)

        page, tones = steps_of(manager, pbx)

    assert tones[stops_at] == "bad"
    assert sentence in page
    found = Pbx.objects.get()
    assert (found.state, sentence in found.state_reason) == ("unreachable", True)
    assert sentence in Event.objects.get(action="pbx.tested").data["detail"]["why"]


def test_a_pbx_that_answers_nonsense_is_named_so(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    simulated_pbx.misbehave(Fault.HTML, call="ivr/query")

    _, tones = steps_of(manager, recorded())

    assert (tones["device"], tones["ivrs"]) == ("ok", "bad")


def test_a_name_with_an_address_that_is_not_the_pbx_passes_by_the_other(
    manager: Client, recorded: Callable[..., Pbx], names: dict[str, list[str]]
) -> None:
    names["pbx.test"] = ["127.0.0.2", "127.0.0.1"]

    page, tones = steps_of(manager, recorded(host="pbx.test"))

    assert tones == dict.fromkeys(STEPS, "ok")
    assert "127.0.0.2, 127.0.0.1" in page


def test_who_tests_without_end_has_to_wait(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx, settings: Any
) -> None:
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"connection_test": "2/m/key"}
    pbx = recorded()
    with time_machine.travel(datetime(2026, 11, 24, 9, tzinfo=UTC), tick=False):
        steps_of(manager, pbx)
        steps_of(manager, pbx)
        connections = simulated_pbx.connections

        answer = manager.post(f"/pbxs/{pbx.pk}/test/", follow=True)

    assert "Not tested: 2 tests a minute are enough. Wait a minute." in answer.content.decode()
    assert simulated_pbx.connections == connections
    assert Event.objects.filter(action="pbx.tested").count() == 2
    with time_machine.travel(datetime(2026, 11, 24, 9, 1, tzinfo=UTC), tick=False):
        assert steps_of(manager, pbx)[1]["address"] == "ok"


def test_pages_and_keys_of_one_person_count_together(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx, settings: Any
) -> None:
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"connection_test": "2/m/key"}
    pbx = recorded()
    person = User.objects.get(pk=manager.session["_auth_user_id"])
    with time_machine.travel(timezone.now(), tick=False):
        steps_of(manager, pbx)
        tested, too_many = (Script(person).post(f"/pbxs/{pbx.pk}/test") for _ in range(2))

    assert (tested.status_code, too_many.status_code) == (200, 429)
    assert too_many.json()["detail"] == "Not tested: 2 tests a minute are enough. Wait a minute."
    assert Event.objects.filter(action="pbx.tested").count() == 2


def test_tests_at_the_same_moment_are_all_counted(manager: Client, rf: RequestFactory, settings: Any) -> None:
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"connection_test": "2/m/key"}
    request = rf.post("/")
    request.user = User.objects.get(pk=manager.session["_auth_user_id"])

    def asked(_: int) -> bool:
        try:
            count_connection_test(request)
        except TooManyTests:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(asked, range(8)))

    assert 1 <= sum(allowed) <= 2


def test_a_disabled_pbx_is_not_contacted(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded()
    manager.post(f"/pbxs/{pbx.pk}/disable/")

    steps_of(manager, pbx)

    assert simulated_pbx.calls() == []


def test_the_password_and_the_token_stand_on_no_page_of_the_test(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded()

    page, _ = steps_of(manager, pbx)

    found = Pbx.objects.get()
    secrets = (simulated_pbx.password, found.password_digest.open(), found.token.open())
    assert not any(secret in page for secret in secrets)
    assert not any(secret in event.text for secret in secrets for event in Event.objects.all())


def detected(client: Client, pbx: Pbx) -> str:
    return client.post(f"/pbxs/{pbx.pk}/test/", {"detect": "on"}).content.decode()


def test_the_newest_version_that_answers_is_kept_and_one_button_away(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded()
    simulated_pbx.versions.add(V2_0)

    page = detected(manager, pbx)
    found = Pbx.objects.get()
    manager.post(f"/pbxs/{pbx.pk}/use-version/", {"version": "v2.0.0"})

    assert "Use v2.0.0" in page
    assert "With v2.0.0, dial outbound can be changed, number cannot. Choosing it sends nothing to the PBX." in page
    assert simulated_pbx.calls() == ["login", "deviceinfo/query", "ivr/query", "login", "logout", "logout"]
    assert (found.api_version, found.capability, found.capability_at is not None) == ("v1.0.0", "v2.0.0", True)
    assert Pbx.objects.get().api_version == "v2.0.0"
    assert Event.objects.get(action="pbx.edited").data["fields"]["api_version"]["asked"] == "v2.0.0"
    assert Event.objects.get(action="pbx.tested").data["detail"]["capability"] == "v2.0.0"


@pytest.mark.parametrize(
    ("in_use", "found", "sentence"),
    [
        (V1_0, V1_1, "v1.1.0 can change the same fields as v1.0.0."),
        (V1_0, V2_0, "With v2.0.0, dial outbound can be changed, number cannot."),
        (V2_0, V1_1, "With v1.1.0, number can be changed, dial outbound cannot."),
    ],
)
def test_the_page_says_which_fields_the_found_version_can_change(in_use: str, found: str, sentence: str) -> None:
    assert version_difference(in_use, found) == sentence


ANSWERING: dict[str, tuple[str, set[str], str, int]] = {
    "the one in use is the newest there is": (V1_0, {V1_0}, V1_0, 3),
    "an older one than the newest": (V1_0, {V1_0, V1_1}, V1_1, 3),
    "the newest is in use already": (V2_0, {V1_0, V1_1, V2_0}, V2_0, 1),
    "the one in use does not answer": (V2_0, {V1_0, V1_1}, V1_1, 2),
    "none answers": (V1_0, set(), "", 3),
}


@pytest.mark.parametrize(("in_use", "answering", "found", "logins"), ANSWERING.values(), ids=ANSWERING)
def test_each_version_is_tried_once_at_most_and_a_wrong_one_is_no_wrong_password(
    manager: Client,
    recorded: Callable[..., Pbx],
    simulated_pbx: SimulatedPbx,
    in_use: str,
    answering: set[str],
    found: str,
    logins: int,
) -> None:
    pbx = recorded(api_version=in_use)
    simulated_pbx.versions = answering

    page = detected(manager, pbx)

    assert simulated_pbx.count("login") == logins
    assert Pbx.objects.get().capability == found
    assert ("Use v" in page) == (found not in ("", in_use))
    assert (simulated_pbx.wrong_logins, state(pbx)) == (0, "reachable" if in_use in answering else "refusing")


@pytest.mark.parametrize("after", [0, 1])
def test_a_p_series_is_named(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx, after: int
) -> None:
    pbx = recorded()
    p_series = {"errcode": 10001, "errmsg": "INTERFACE NOT EXISTED"}
    simulated_pbx.misbehave(Fault.PAYLOAD, payload=p_series, call="login", after=after, times=9)

    page = detected(manager, pbx)

    assert "This looks like a P-Series, which has another API." in page
    assert simulated_pbx.count("login") == 1 + after
    assert state(pbx) == ("reachable" if after else "refusing")


@pytest.mark.parametrize("fault", [Fault.HTML, Fault.HTTP_500, Fault.EMPTY])
def test_a_web_page_in_place_of_a_version_is_a_version_that_is_not_there(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx, fault: Fault
) -> None:
    pbx = recorded()
    simulated_pbx.misbehave(fault, call="login", after=1, times=2)

    detected(manager, pbx)

    assert (Pbx.objects.get().capability, simulated_pbx.count("login")) == ("v1.0.0", 3)


def test_a_version_whose_address_is_a_404_page_is_one_that_is_not_there(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded(api_version=V2_0)
    simulated_pbx.unknown_is_404 = True

    page = detected(manager, pbx)

    assert simulated_pbx.wrong_logins == 0
    assert Pbx.objects.get().capability == V1_1
    assert "Use v1.1.0" in page


def test_a_wrong_password_is_told_with_what_to_do(manager: Client, recorded: Callable[..., Pbx]) -> None:
    pbx = recorded(password="wrong")

    page = manager.post(f"/pbxs/{pbx.pk}/test/").content.decode()

    assert (
        "Refused (20003). Not tried again until its username, password, protocol, host or port is edited: "
        "five in a row lock our address out."
    ) in page


def test_after_a_wrong_password_no_other_version_is_tried(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded(password="wrong")

    detected(manager, pbx)
    detected(manager, pbx)

    assert simulated_pbx.calls() == ["login"]
    assert state(pbx) == "credentials-rejected"


@pytest.mark.parametrize(("errno", "is_locked"), [("20003", False), ("20002", True)])
def test_a_password_refused_for_another_version_ends_the_search(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx, errno: str, is_locked: bool
) -> None:
    """The one in use goes on working, unless our address was locked out."""
    pbx = recorded()
    simulated_pbx.misbehave(Fault.ERRNO, call="login", after=1, errno=errno)

    page = detected(manager, pbx)

    assert errno in page
    assert simulated_pbx.count("login") == 2
    found = Pbx.objects.get()
    assert (found.state, found.is_locked) == ("locked" if is_locked else "reachable", is_locked)


def test_only_the_version_that_answered_can_be_chosen(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded()

    manager.post(f"/pbxs/{pbx.pk}/use-version/", {"version": "v2.0.0"})
    manager.post(f"/pbxs/{pbx.pk}/use-version/", {"version": ""})

    assert Pbx.objects.get().api_version == "v1.0.0"
    assert not Event.objects.filter(action="pbx.edited").exists()


def test_what_is_known_of_a_device_is_shown_with_its_date(
    manager: Client, recorded: Callable[..., Pbx], simulated_pbx: SimulatedPbx
) -> None:
    pbx = recorded()
    detected(manager, pbx)
    Pbx.objects.update(identity_at="2026-02-03T04:05:06Z", capability_at="2026-03-04T05:06:07Z")

    page = manager.get(f"/pbxs/{pbx.pk}/").content.decode()

    assert page.count("2026-02-03 04:05:06 UTC") == 3  # model, firmware and clock
    assert page.count("2026-03-04 05:06:07 UTC") == 1
    assert simulated_pbx.firmware in page
