"""A PBX that is not ours: small, over plain HTTP, one connection at a time, and with its own way to say everything."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from pbxadmin.access.models import User
from pbxadmin.access.roles import Role
from pbxadmin.fleet.models import Pbx
from tests.factories import make_pbx, make_user

from .edits import filled
from .hands import hand_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.tls]


class AnotherPbx:
    """Numbers as numbers, switches in capitals, one IVR without a list, one token at a time, HTTP/1.0, no lengths."""

    def __init__(self, host: str) -> None:
        self.ivr: dict[str, Any] = {
            "ivrnumber": 6500,
            "ivrname": "Main_Menu",
            "prompt": "[Default]",
            "promptrepeat": 3,
            "responsetimeout": 3,
            "digittimeout": "03",
            "dialext": "OFF",
            "dialtocheckvoicemail": False,
            "keypresses": [{"key": 0}],
        }
        self.token = ""
        self.knows_itself = True
        self.calls: list[str] = []
        pbx = self

        class Server(HTTPServer):
            address_family = 10 if ":" in host else 2

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.connection.settimeout(3)
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                answer = pbx.answer(urlsplit(self.path), json.loads(body or b"{}"))
                self.wfile.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/html\r\n\r\n" + json.dumps(answer).encode())

            def log_message(self, *args: Any) -> None:
                pass

        self.server = Server((host, 0), Handler)
        self.server.timeout = 3
        self.port = self.server.server_port

    def answer(self, url: Any, body: dict[str, Any]) -> dict[str, Any]:
        name = url.path.split("/", 3)[3]
        self.calls.append(name)
        if name == "login":
            self.token = str(uuid.uuid4())
            return {"status": "Success", "token": self.token, "transport": "tcp"}
        if parse_qs(url.query).get("token") != [self.token]:
            return {"status": "Failure", "errno": 20004}
        if name == "ivr/query":
            return {"status": "Success", "ivr": self.ivr, "total": 1}
        if name == "ivr/update":
            self.ivr |= {key: value for key, value in body.items() if key != "ivrid"}
            return {"status": "Success"}
        if self.knows_itself:
            return {"status": "Success", "deviceinfo": {"devicename": "S20", "firmwarever": "99.x-beta"}}
        return {"status": "Failure", "errno": 10003}


@pytest.fixture
def another(request: pytest.FixtureRequest) -> Iterator[AnotherPbx]:
    pbx = AnotherPbx(getattr(request, "param", "127.0.0.1"))
    thread = Thread(target=pbx.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield pbx
    pbx.server.shutdown()
    thread.join()
    pbx.server.server_close()


@pytest.fixture
def recorded(another: AnotherPbx, client: Client) -> Callable[..., Pbx]:
    def make(**values: Any) -> Pbx:
        host, _ = another.server.server_address[:2]
        right = {"scheme": "http", "host": host, "port": another.port, "fingerprint": ""}
        pbx = make_pbx(**(right | values))
        client.force_login(make_user(Role.MANAGER, pbx.customer))
        return pbx

    return make


@pytest.mark.parametrize(
    ("by", "another"), [("page", "127.0.0.1"), ("page", "::1"), ("api", "::1")], indirect=["another"]
)
def test_an_edit_is_verified(
    client: Client, another: AnotherPbx, recorded: Callable[..., Pbx], settings: Any, by: str
) -> None:
    settings.PBX_NETWORKS = ["127.0.0.0/8", "::1/128"]
    pbx = recorded()
    hand = hand_of(by, client, User.objects.get())

    answer = hand.apply(hand.plan(pbx, response_timeout="7"))

    assert (answer.outcome, another.ivr["responsetimeout"]) == ("verified", "7")
    assert [call for call in another.calls if call == "ivr/update"] == ["ivr/update"]


def test_its_values_are_shown_as_any_others(client: Client, another: AnotherPbx, recorded: Callable[..., Pbx]) -> None:
    pbx = recorded()
    client.post(f"/pbxs/{pbx.pk}/refresh/")

    page = client.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()

    shown = dict(re.findall(r'data-field="(\w+)" data-value="([^"]*)"', page))
    assert shown["response_timeout"] == shown["digit_timeout"] == "3"
    assert shown["dial_extension"] == shown["check_voicemail"] == "off"
    assert shown["dial_outbound"] == ""


@pytest.mark.parametrize("knows_itself", [True, False])
def test_the_connection_test_passes(
    client: Client, another: AnotherPbx, recorded: Callable[..., Pbx], knows_itself: bool
) -> None:
    another.knows_itself = knows_itself
    pbx = recorded()

    page = client.post(f"/pbxs/{pbx.pk}/test/").content.decode()

    tones = dict(re.findall(r'data-step="(\w+)" data-tone="(\w+)"', page))
    assert set(tones.values()) == {"ok"}, tones
    assert Pbx.objects.get(pk=pbx.pk).state == "reachable"


@pytest.mark.parametrize("by", ["page", "api"])
def test_a_token_that_somebody_elses_login_ended_is_renewed_once(
    client: Client, another: AnotherPbx, recorded: Callable[..., Pbx], by: str
) -> None:
    pbx = recorded()
    hand = hand_of(by, client, User.objects.get())
    change = hand.plan(pbx, dial_extension="on")
    another.token = "somebody-else"

    answer = hand.apply(change)

    assert (answer.outcome, another.ivr["dialext"]) == ("verified", "on")


NAMES = ["two\nlines", "  blanks  ", "", "<b>\"&'", "\u202eevil", "menü 📞", "9" * 5000]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_only_the_pbx_could_have_made_keeps_nobody_from_another_field(
    client: Client, another: AnotherPbx, recorded: Callable[..., Pbx], name: str
) -> None:
    another.ivr["ivrname"] = name
    pbx = recorded()
    address = f"/pbxs/{pbx.pk}/ivrs/6500/edit/"
    in_one_line = re.sub("[\r\n]", "", name)  # what a browser makes of it

    answer = client.post(address, filled(client.get(address).content.decode(), prompt_repeat="2", name=in_one_line))
    client.post(f"{answer['Location']}apply/")

    assert (another.ivr["ivrname"], another.ivr["promptrepeat"]) == (name, "2")


@pytest.mark.parametrize("name", NAMES)
def test_a_script_sees_such_a_name_too_and_changes_another_field(
    client: Client, another: AnotherPbx, recorded: Callable[..., Pbx], name: str
) -> None:
    another.ivr["ivrname"] = name
    pbx = recorded()
    hand = hand_of("api", client, User.objects.get())

    answer = hand.apply(hand.plan(pbx, prompt_repeat="2"))

    assert answer.outcome == "verified"
    assert (another.ivr["ivrname"], another.ivr["promptrepeat"]) == (name, "2")


@pytest.mark.parametrize("by", ["page", "api"])
@pytest.mark.parametrize("value", ["9" * 5000, -1, 3.5, "abc", "", [], {"a": 1}, True, "٣"])
def test_a_value_that_is_none_is_shown_and_can_be_mended(
    client: Client, another: AnotherPbx, recorded: Callable[..., Pbx], value: Any, by: str
) -> None:
    another.ivr["responsetimeout"] = value
    pbx = recorded()
    hand = hand_of(by, client, User.objects.get())
    client.post(f"/pbxs/{pbx.pk}/refresh/")
    assert hand.shows(f"/pbxs/{pbx.pk}/ivrs/6500")

    change = hand.plan(pbx, response_timeout="5")
    assert hand.shows(f"/changes/{change.pk}")

    assert hand.apply(change).outcome == "verified"
    assert another.ivr["responsetimeout"] == "5"
    assert hand.shows("/changes")
