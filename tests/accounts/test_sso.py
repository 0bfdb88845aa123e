"""Single sign-on, against a provider over real HTTP."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.test import Client

from pbxadmin.access.models import User
from pbxadmin.audit.models import Event
from tests.factories import PASSWORD, make_user

from .provider import OpenIdProvider, new_key, provider

__all__ = ["provider"]
pytestmark = pytest.mark.django_db
START, BACK = "/accounts/sso/login/", "/accounts/sso/login/callback/"


@pytest.fixture
def mara() -> User:
    user = make_user("viewer", username="mara", email="Mara@acme.example", password=None)
    user.set_unusable_password()
    user.save()
    return user


def back_from(client: Client, start: str = START) -> str:
    """Go to the provider as a browser does; the address of ours that it leads back to."""
    away = client.get(start)
    assert away.status_code == 302, away.content.decode()
    there = requests.get(away["Location"], allow_redirects=False, timeout=5)
    url = urlsplit(there.headers["Location"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"http://testserver{BACK}"
    return f"{url.path}?{url.query}"


def sign_in(client: Client, start: str = START) -> Any:
    return client.get(back_from(client, start))


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_a_person_is_known_by_their_verified_address_and_from_then_on_by_the_link(
    client: Client, provider: OpenIdProvider, mara: User
) -> None:
    first = sign_in(client, f"{START}?next=/customers/")
    assert (first.status_code, first["Location"]) == (302, "/customers/")
    client.logout()

    provider.person |= {"email": "mara.new@acme.example", "email_verified": False}
    sign_in(client)

    assert client.session["_auth_user_id"] == str(mara.pk)
    assert SocialAccount.objects.values_list("user", "uid").get() == (mara.pk, "p-1")
    events = Event.objects.filter(actor_id=mara.pk, action__in=("session.linked", "session.signed-in"))
    assert [event.action for event in events.order_by("id")] == ["session.linked", *["session.signed-in"] * 2]
    assert events[0].data["detail"] == {"by": ["sso"]}


def test_no_token_of_the_provider_is_kept(client: Client, provider: OpenIdProvider, mara: User) -> None:
    provider.person |= {"phone_number": "+44 1", "groups": ["all"]}

    sign_in(client)

    assert not SocialToken.objects.exists()
    kept = SocialAccount.objects.get().extra_data
    assert kept == {"id_token": {"sub": "p-1", "email": "mara@acme.example", "email_verified": True}}


@pytest.mark.parametrize(
    ("person", "words"),
    [
        ({"email": "nobody@acme.example"}, "Nobody here has the e-mail address nobody@acme.example"),
        ({"email_verified": False}, "did not say that your e-mail address is verified"),
        ({"email_verified": "false"}, "did not say that your e-mail address is verified"),
        ({"email": None}, "did not say that your e-mail address is verified"),
        ({"email": "gone@acme.example"}, "Nobody here"),
        ({"email": "<b>x</b>@acme.example"}, "&lt;b&gt;x&lt;/b&gt;@acme.example"),
    ],
)
def test_whom_we_do_not_know_is_refused_in_plain_words(
    client: Client, provider: OpenIdProvider, mara: User, person: dict[str, Any], words: str
) -> None:
    make_user(username="gone", email="gone@acme.example", is_active=False)
    provider.person |= person
    people = User.objects.count()

    answer = sign_in(client)

    assert answer.status_code == 403
    assert words in answer.content.decode()
    assert not is_in(client)
    assert (User.objects.count(), SocialAccount.objects.count()) == (people, 0)
    assert Event.objects.get(action="session.failed").data["detail"]["by"] == "sso"


def test_addresses_count_without_the_providers_word_only_where_the_setting_says_so(
    client: Client, provider: OpenIdProvider, mara: User, settings: Any
) -> None:
    settings.OIDC_TRUST_EMAIL = True
    provider.person["email_verified"] = None

    sign_in(client)

    assert is_in(client)


def test_what_the_token_does_not_say_is_asked_of_the_provider(
    client: Client, provider: OpenIdProvider, mara: User
) -> None:
    provider.claims = {"email": None, "email_verified": None}

    sign_in(client)

    assert is_in(client)
    assert "/userinfo" in provider.asked


def test_a_disabled_person_stays_out_though_linked(client: Client, provider: OpenIdProvider, mara: User) -> None:
    sign_in(client)
    client.logout()
    User.objects.update(is_active=False)

    sign_in(client)

    assert not is_in(client)


WRONG: dict[str, dict[str, Any]] = {
    "signed by a stranger": {"signing_key": "new"},
    "not signed": {"algorithm": "none"},
    "signed with a secret": {"algorithm": "HS256"},
    "of another issuer": {"claims": {"iss": "https://evil.example"}},
    "for another client": {"claims": {"aud": "another"}},
    "too old": {"claims": {"exp": 1}},
    "without an end": {"claims": {"exp": None}},
    "of nobody": {"claims": {"sub": None}},
    "with somebody else's page": {"claims": {"email": None}, "userinfo": {"sub": "p-2", "email": "mara@acme.example"}},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_token_is_refused_that_is(client: Client, provider: OpenIdProvider, mara: User, what: str) -> None:
    for name, value in WRONG[what].items():
        setattr(provider, name, new_key() if value == "new" else value)

    answer = sign_in(client)

    assert answer.status_code == 403
    assert "gave no usable answer" in answer.content.decode()
    assert not is_in(client)


def test_an_answer_works_once_and_only_in_the_browser_that_asked(
    client: Client, provider: OpenIdProvider, mara: User
) -> None:
    back, stranger = back_from(client), Client()

    stolen = stranger.get(back)
    client.get(back)
    client.logout()
    again = client.get(back)

    assert (stolen.status_code, again.status_code) == (403, 403)
    assert not is_in(stranger)
    assert not is_in(client)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("error=access_denied", "You ended the sign-in at Acme sign-in"),
        ("error=server_error", "gave no usable answer"),
        ("code=made-up", "gave no usable answer"),
        ("", "gave no usable answer"),
    ],
)
def test_a_sign_in_that_did_not_work_out_is_told(
    client: Client, provider: OpenIdProvider, mara: User, query: str, words: str
) -> None:
    state = parse_qs(urlsplit(client.get(START)["Location"]).query)["state"][0]

    answer = client.get(f"{BACK}?state={state}&{query}")

    assert answer.status_code == 403
    assert words in answer.content.decode()
    assert not is_in(client)


def test_a_provider_that_is_away_is_told(client: Client, provider: OpenIdProvider, settings: Any) -> None:
    provider.server.shutdown()
    provider.server.server_close()

    answer = client.get(START)

    assert answer.status_code == 403
    assert "gave no usable answer" in answer.content.decode()


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_single_sign_on_leads_to_our_own_pages_only(
    client: Client, provider: OpenIdProvider, mara: User, target: str
) -> None:
    assert sign_in(client, f"{START}?next={target}")["Location"] == "/"


def test_a_link_cannot_be_planted_in_an_open_session(client: Client, provider: OpenIdProvider, mara: User) -> None:
    client.force_login(make_user("viewer", username="nora", email="nora@acme.example"))

    sign_in(client, f"{START}?process=connect")

    assert SocialAccount.objects.get().user == mara


def test_the_second_factor_is_asked_after_it(client: Client, provider: OpenIdProvider, mara: User) -> None:
    mara.authenticator_set.create(type="webauthn", data={"name": "Blue", "credential": {}})

    answer = sign_in(client)

    assert answer["Location"] == "/accounts/2fa/authenticate/"
    assert not is_in(client)


def test_who_has_no_password_proves_it_at_the_provider(
    client: Client, provider: OpenIdProvider, mara: User, clock: Any
) -> None:
    sign_in(client)
    clock.shift(16 * 60)

    asked = client.get("/accounts/reauthenticate/?next=/customers/")
    away = client.get(asked["Location"])
    answer = sign_in(client, asked["Location"])

    assert parse_qs(urlsplit(away["Location"]).query)["prompt"] == ["login"]
    assert answer["Location"] == "/customers/"
    assert client.get("/accounts/2fa/totp/activate/").status_code == 200


def test_the_sign_in_page_offers_it_where_it_is_set_up(client: Client, provider: OpenIdProvider, settings: Any) -> None:
    page = client.get("/accounts/login/?next=/ivrs/%3Fq%3Da%26b").content.decode()
    assert f'href="{START}?next=%2Fivrs%2F%3Fq%3Da%26b"' in page
    assert "Acme sign-in" in page

    settings.OIDC_SERVER_URL = ""

    assert START not in client.get("/accounts/login/").content.decode()
    assert client.get(START).status_code == client.get(BACK).status_code == 404


def test_passwords_go_on_working_beside_it(client: Client, provider: OpenIdProvider) -> None:
    make_user(username="nora")

    client.post("/accounts/login/", {"login": "nora", "password": PASSWORD})

    assert is_in(client)
