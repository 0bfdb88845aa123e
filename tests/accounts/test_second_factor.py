"""A second factor: an app on a telephone, a security key, recovery codes."""

import base64
import html
import json
import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.db import connection
from django.test import Client

from pbxadmin.access.models import Session, User
from pbxadmin.access.roles import Role
from pbxadmin.accounts.services import second_factor_reset
from pbxadmin.audit.models import Event
from pbxadmin.ops.rotation import keys_rotate
from pbxadmin.sealed import SealBroken, stored_secrets
from pbxadmin.settings import ROLE_NAMES
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ADD, REMOVE = "/accounts/2fa/totp/activate/", "/accounts/2fa/totp/deactivate/"
CODES, NEW_CODES = "/accounts/2fa/recovery-codes/", "/accounts/2fa/recovery-codes/generate/"
SECOND, SECURITY = "/accounts/2fa/authenticate/", "/accounts/security/"


def code_for(secret: str, later: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later))


def set_up(client: Client) -> str:
    """Set up an app through its page; the secret that the app has then."""
    page = client.get(ADD).content.decode()
    secret = re.search(r'id="totp-secret">([A-Z2-7]{32})</code>', page)
    assert secret is not None
    response = client.post(ADD, {"code": code_for(secret[1])})
    assert response["Location"] == CODES
    return secret[1]


def shown_codes(client: Client, url: str = CODES) -> list[str]:
    return re.findall(r"(?:^|<pre[^>]*>)(\d{8})$", client.get(url).content.decode(), re.MULTILINE)


def sign_in(client: Client, code: str | None = None, **more: Any) -> Any:
    answer = client.post("/accounts/login/", {"login": "mara", "password": PASSWORD, **more})
    return answer if code is None else client.post(SECOND, {"code": code})


def is_in(client: Client) -> bool:
    return client.get("/customers/").status_code == 200


@pytest.fixture
def mara(client: Client) -> User:
    user = make_user("viewer", username="mara")
    client.force_login(user)
    return user


def test_after_the_password_the_app_is_asked(client: Client, mara: User) -> None:
    secret, elsewhere = set_up(client), Client()

    first = sign_in(elsewhere, next="/customers/")
    assert (first["Location"], is_in(elsewhere)) == (SECOND, False)
    second = elsewhere.post(SECOND, {"code": code_for(secret, 1)})

    assert (second["Location"], is_in(elsewhere)) == ("/customers/", True)
    event = Event.objects.filter(action="session.signed-in").latest("id")
    assert event.data["detail"] == {"by": ["password", "totp"]}


@pytest.mark.parametrize("code", ["000000", "", "abcdef", "1" * 500, "\0"])
def test_a_wrong_code_does_not_sign_in(client: Client, mara: User, code: str) -> None:
    set_up(client)
    elsewhere = Client()

    answer = sign_in(elsewhere, code)

    assert answer.status_code == 422
    assert 'data-error-for="code"' in answer.content.decode()
    assert not is_in(elsewhere)


def test_a_wrong_code_is_recorded(client: Client, mara: User) -> None:
    set_up(client)

    sign_in(Client(), "000000")

    event = Event.objects.get(action="second-factor.failed")
    assert event.data["detail"] == {"user_id": mara.pk, "user": "mara"}


def test_a_code_works_once(client: Client, mara: User) -> None:
    secret = set_up(client)
    code, one, two = code_for(secret, 1), Client(), Client()

    sign_in(one, code)
    sign_in(two, code)

    assert (is_in(one), is_in(two)) == (True, False)


def test_the_code_that_added_the_app_does_not_sign_in(client: Client, mara: User) -> None:
    secret, elsewhere = set_up(client), Client()

    answer = sign_in(elsewhere, code_for(secret))

    assert (answer.status_code, is_in(elsewhere)) == (422, False)


def test_a_code_works_once_as_long_as_it_is_right(client: Client, mara: User) -> None:
    with time_machine.travel(NOON, tick=False):
        code, one, two = code_for(set_up(client), 1), Client(), Client()
        sign_in(one, code)
    with time_machine.travel(NOON + timedelta(seconds=45), tick=False):  # the step after that of the code
        sign_in(two, code)

        assert (is_in(one), is_in(two)) == (True, False)


def test_guessing_codes_is_stopped(client: Client, mara: User) -> None:
    secret, guesser = set_up(client), Client()
    sign_in(guesser)
    for n in range(10):
        guesser.post(SECOND, {"code": f"{n:06d}"})

    answer = guesser.post(SECOND, {"code": code_for(secret, 1)})

    assert answer.status_code == 422
    assert not is_in(guesser)


def test_the_second_step_needs_the_first(client: Client, mara: User) -> None:
    secret, stranger = set_up(client), Client()

    answer = stranger.post(SECOND, {"code": code_for(secret, 1)})

    assert answer["Location"] == "/accounts/login/"
    assert not is_in(stranger)


def test_a_recovery_code_signs_in_once(client: Client, mara: User) -> None:
    set_up(client)
    codes, one, two = shown_codes(client), Client(), Client()

    sign_in(one, codes[3])
    sign_in(two, codes[3])

    assert len(set(codes)) == 10
    assert (is_in(one), is_in(two)) == (True, False)
    assert "9 left" in one.get(SECURITY).content.decode()


def test_recovery_codes_are_shown_once_and_can_be_downloaded_then(client: Client, mara: User) -> None:
    set_up(client)

    page = client.get(CODES).content.decode()
    download = re.search(r'href="data:text/plain;charset=utf-8,([^"]+)"', page)

    assert download is not None
    assert re.fullmatch(r"(\d{8}%0A){10}", download[1])
    again = client.get(CODES).content.decode()
    assert "They were shown already" in again
    assert not re.search(r"\d{8}", again)


def test_new_recovery_codes_replace_the_old_ones(client: Client, mara: User) -> None:
    set_up(client)
    old = shown_codes(client)

    client.post(NEW_CODES)
    new, elsewhere = shown_codes(client), Client()
    sign_in(elsewhere, old[0])

    assert not set(old) & set(new)
    assert not is_in(elsewhere)
    assert Event.objects.filter(action="second-factor.codes").count() == 2


def test_recovery_codes_alone_cannot_be_made(client: Client, mara: User) -> None:
    answer = client.post(NEW_CODES)

    assert answer.status_code == 422
    assert "Add one first" in answer.content.decode()


def test_without_the_right_code_the_app_is_not_switched_on(client: Client, mara: User) -> None:
    client.get(ADD)

    answer = client.post(ADD, {"code": "000000"})

    assert answer.status_code == 422
    assert not Authenticator.objects.exists()


def test_the_picture_of_the_secret_is_an_image_the_policy_allows(client: Client, mara: User) -> None:
    page = client.get(ADD).content.decode()

    found = re.search(r'<img class="qr" src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert found is not None
    assert b"<svg" in base64.b64decode(found[1])


def test_removing_the_app_takes_the_recovery_codes_with_it(client: Client, mara: User) -> None:
    set_up(client)

    client.post(REMOVE)

    assert not Authenticator.objects.exists()
    removed = [event.data["detail"]["kind"] for event in Event.objects.filter(action="second-factor.removed")]
    assert sorted(removed) == ["recovery_codes", "totp"]


def test_what_happens_to_factors_is_recorded_without_their_secrets(client: Client, mara: User) -> None:
    secret = set_up(client)
    codes = shown_codes(client)

    text = " ".join(event.text for event in Event.objects.all())

    assert '"kind":"totp"' in text
    assert not any(word in text for word in (secret, *codes))


@pytest.mark.parametrize("url", [ADD, REMOVE, CODES, NEW_CODES, "/accounts/2fa/webauthn/add/"])
def test_factors_are_changed_after_reauthentication_only(client: Client, mara: User, clock: Any, url: str) -> None:
    set_up(client)
    before = list(Authenticator.objects.values())
    clock.shift(16 * 60)

    answers = [client.get(url), client.post(url, {"code": "1"})]

    assert all(answer["Location"].startswith("/accounts/reauthenticate/?next=") for answer in answers)
    assert list(Authenticator.objects.values()) == before


def test_a_code_reauthenticates_too(client: Client, mara: User, clock: Any) -> None:
    secret = set_up(client)
    clock.shift(16 * 60)

    answer = client.post("/accounts/2fa/reauthenticate/", {"code": code_for(secret), "next": REMOVE})

    assert answer["Location"] == REMOVE
    assert client.get(REMOVE).status_code == 200


def test_secrets_are_sealed_in_the_database(client: Client, mara: User) -> None:
    page = client.get(ADD).content.decode()
    secret = re.search(r"[A-Z2-7]{32}", page)
    assert secret is not None
    waiting = [json.dumps(session.get_decoded()) for session in Session.objects.all()]

    set_up(client)
    codes = shown_codes(client)

    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM mfa_authenticator")
        rows = [str(row[0]) for row in cursor.fetchall()]
    assert len(rows) == 2
    assert all('"v1.' in row for row in rows)
    assert not any(word in row for row in rows for word in codes)
    assert not any(secret[0] in text for text in waiting)


def test_a_factor_moved_to_another_user_does_not_open(client: Client, mara: User) -> None:
    secret = set_up(client)
    nora = make_user("viewer", username="nora")

    Authenticator.objects.update(user=nora)

    factor = Authenticator.objects.get(user=nora, type=Authenticator.Type.TOTP)
    with pytest.raises(SealBroken):
        factor.wrap().validate_code(code_for(secret, 1))


def test_keys_are_rotated_for_factors_too(client: Client, mara: User, settings: Any) -> None:
    secret = set_up(client)
    codes = shown_codes(client)
    old = settings.PBX_KEYS

    settings.PBX_KEYS = [b"n" * 32, *old]
    done = keys_rotate()
    settings.PBX_KEYS = [b"n" * 32]

    assert done.is_whole
    assert len({kept.place for kept in stored_secrets()}) == 1
    for code in (code_for(secret, 1), codes[0]):
        elsewhere = Client()
        sign_in(elsewhere, code)
        assert is_in(elsewhere)


def test_factors_of_somebody_who_lost_theirs_are_reset(client: Client, mara: User) -> None:
    set_up(client)

    assert second_factor_reset(user=mara) == 1

    assert not is_in(client)
    sign_in(client)
    assert is_in(client)
    event = Event.objects.get(action="second-factor.reset")
    assert event.data["detail"] == {"user_id": mara.pk, "user": "mara", "factors": 1}


def test_nobody_touches_the_keys_of_others(client: Client, mara: User) -> None:
    nora = make_user(username="nora")
    key = Authenticator.objects.create(user=nora, type="webauthn", data={"name": "Blue", "credential": {}})

    answers = [ask(f"/accounts/2fa/webauthn/keys/{key.pk}/remove/") for ask in (client.get, client.post)]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert Authenticator.objects.filter(pk=key.pk).exists()


@pytest.mark.parametrize(
    "credential",
    ["", "x", "5", "null", "[]", "{}", '{"id": 5}', '{"id":"a","rawId":"a","type":"public-key","response":{}}'],
)
def test_what_no_browser_sends_is_refused(client: Client, mara: User, credential: str) -> None:
    url = "/accounts/2fa/webauthn/add/"
    client.get(url)

    answer = client.post(url, {"name": "Blue", "credential": credential})

    assert answer.status_code == 422
    assert not Authenticator.objects.exists()


def test_the_options_for_a_key_stand_in_an_attribute(client: Client, mara: User) -> None:
    page = client.get("/accounts/2fa/webauthn/add/").content.decode()

    found = re.search(r'data-options="([^"]+)"', page)
    assert found is not None
    options = json.loads(html.unescape(found[1]))["publicKey"]
    assert options["rp"] == {"id": "testserver", "name": "PBX Admin"}
    assert options["user"]["name"] == "mara"


@pytest.fixture
def demanded(settings: Any) -> None:
    settings.SECOND_FACTOR_FOR = ["manager", "site-admin"]


def member(role: str | None, **fields: Any) -> Client:
    client = Client()
    client.force_login(make_user(role, **fields))
    return client


ASKED = {
    "a page": lambda client: client.get("/customers/"),
    "home": lambda client: client.get("/"),
    "a file": lambda client: client.get("/ivrs/?format=csv"),
    "a form": lambda client: client.post("/ivrs/refresh/"),
    "what does not exist": lambda client: client.get("/pbxs/4711/"),
}


@pytest.mark.parametrize("what", ASKED)
def test_whose_role_asks_for_a_second_factor_is_led_to_set_it_up(demanded: None, what: str) -> None:
    manager = member("manager")

    answer = ASKED[what](manager)

    assert (answer.status_code, answer["Location"], answer.content) == (302, SECURITY, b"")
    assert "Your role asks for a second factor" in manager.get(SECURITY).content.decode()


def test_inside_htmx_the_whole_page_is_led_to_the_set_up(demanded: None) -> None:
    answer = member("manager").get("/ivrs/", headers={"HX-Request": "true"})

    assert (answer.status_code, answer["HX-Redirect"], answer.content) == (204, SECURITY, b"")


def test_with_a_second_factor_everything_opens_until_it_is_removed(demanded: None) -> None:
    manager = member("manager")

    set_up(manager)
    assert is_in(manager)
    assert "Your role asks" not in manager.get(SECURITY).content.decode()

    manager.post(REMOVE)
    assert manager.get("/customers/")["Location"] == SECURITY


def test_others_are_not_asked(demanded: None) -> None:
    assert is_in(member("helpdesk"))
    assert is_in(member(None))


def test_site_admins_are_asked_only_when_the_setting_says_so(settings: Any) -> None:
    admin = member(None, is_superuser=True)
    assert settings.SECOND_FACTOR_FOR == []
    assert is_in(admin)

    settings.SECOND_FACTOR_FOR = ["site-admin"]

    assert not is_in(admin)


def test_who_is_led_to_the_set_up_can_sign_out(demanded: None) -> None:
    manager = member("manager")

    manager.post("/accounts/logout/")

    assert "_auth_user_id" not in manager.session


def test_a_role_that_has_ended_asks_for_nothing(demanded: None) -> None:
    assert is_in(member("manager", ends_on=date(2020, 1, 1)))


def test_every_role_can_be_asked_for_a_second_factor() -> None:
    assert set(ROLE_NAMES) == {*Role.values, "site-admin"}


def test_whoever_is_asked_for_the_password_again_types_it_at_once(client: Client, mara: User) -> None:
    client.force_login(mara)

    page = client.get("/accounts/reauthenticate/?next=/").content.decode()

    assert re.search(r'<input type="password"[^>]*autofocus', page)
