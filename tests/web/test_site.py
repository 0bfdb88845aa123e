"""Absolute addresses name this site as SITE_URL does, whatever Host a proxy passes."""

import html
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django_tasks_db.models import DBTaskResult

from ivr.models import Change
from pbxadmin.accounts.tasks import mail_reset_link
from pbxadmin.audit.models import Event
from tests.accounts.provider import OpenIdProvider, provider
from tests.factories import make_customer, make_pbx, make_user
from tests.ivr.test_change_pages import plan

__all__ = ["provider"]
pytestmark = pytest.mark.django_db(transaction=True)
SITE = "https://pbx.example.com:8443"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def admin(client: Client) -> Client:
    """A site admin, behind a proxy that drops the port from Host."""
    user = make_user(username="root", is_superuser=True, email="root@acme.example")
    client.defaults["HTTP_HOST"] = "localhost"
    client.force_login(user)
    return client


def on_the_receipt(client: Client) -> str:
    change = plan(make_pbx(), response_timeout="6")
    return client.get(reverse("ivr:change-receipt", args=[change.pk])).content.decode()


def on_the_page_of_a_change(client: Client) -> str:
    change = plan(make_pbx(), response_timeout="6")
    Change.objects.update(status="not-sent")
    return client.get(change.get_absolute_url()).content.decode()


def on_the_page_of_an_event(client: Client) -> str:
    make_pbx()
    return client.get(f"/audit/{Event.objects.values_list('pk', flat=True)[0]}/").content.decode()


def in_an_invitation(client: Client) -> str:
    offer = {"email": "nora@example.com", "name": "Nora Quist", "customer": make_customer().pk, "role": "viewer"}
    client.post("/people/invite/", offer)
    return str(mail.outbox[0].body)


def in_the_mail_with_a_reset_link(client: Client) -> str:
    client.post("/accounts/password/reset/", {"email": "root@acme.example"})
    mail_reset_link.call(*DBTaskResult.objects.get().args_kwargs["args"])
    return str(mail.outbox[0].body)


@pytest.mark.parametrize(
    "shown",
    [on_the_receipt, on_the_page_of_a_change, on_the_page_of_an_event, in_an_invitation, in_the_mail_with_a_reset_link],
)
@pytest.mark.parametrize(("site", "expected"), [(SITE, SITE), ("", "http://localhost")])
def test_an_address_to_keep_starts_as_the_settings_say(
    admin: Client, settings: Any, shown: Callable[[Client], str], site: str, expected: str
) -> None:
    settings.SITE_URL = site

    text = shown(admin)

    assert re.findall(r"https?://(?:localhost|pbx\.example\.com)[^/\s<\"]*", text) == [expected]


def test_single_sign_on_leads_back_to_the_site(client: Client, settings: Any, provider: OpenIdProvider) -> None:
    settings.SITE_URL = SITE

    away = client.get("/accounts/sso/login/", headers={"Host": "localhost"})

    (back,) = parse_qs(urlsplit(away["Location"]).query)["redirect_uri"]
    assert back == f"{SITE}/accounts/sso/login/callback/"


def test_a_security_key_is_bound_to_the_name_of_the_site(admin: Client, settings: Any) -> None:
    settings.SITE_URL = SITE

    page = admin.get("/accounts/2fa/webauthn/add/").content.decode()

    (bound_to,) = re.findall(r'"rp": ({.*?})', html.unescape(page))
    assert json.loads(bound_to) == {"id": "pbx.example.com", "name": "PBX Admin"}


@pytest.mark.parametrize("shown", [f"{SITE}/ivrs/?q=a", "http://localhost/ivrs/?q=a"])
def test_who_was_signed_out_comes_back_to_their_page(client: Client, settings: Any, shown: str) -> None:
    settings.SITE_URL = SITE

    answer = client.get("/ivrs/", headers=HTMX | {"Host": "localhost", "HX-Current-URL": shown})

    assert answer["HX-Redirect"] == "/accounts/login/?next=%2Fivrs%2F%3Fq%3Da"


def test_a_page_of_another_site_is_not_one_to_come_back_to(client: Client, settings: Any) -> None:
    settings.SITE_URL = SITE

    answer = client.get("/ivrs/", headers=HTMX | {"HX-Current-URL": "https://pbx.example.com/ivrs/"})

    assert answer["HX-Redirect"] == "/accounts/login/?next=%2F"


def test_the_way_to_https_leads_to_the_port_of_the_site(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT, settings.SECURE_SSL_HOST = True, "pbx.example.com:8443"

    answer = Client().get("/ivrs/?q=a", headers={"Host": "localhost"})

    assert answer["Location"] == f"{SITE}/ivrs/?q=a"


@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [
        (SITE, SITE, 422),
        (SITE, "https://pbx.example.com", 403),
        (SITE, "http://localhost", 403),
        (SITE, "null", 403),
        ("", "http://localhost", 422),
        ("", "http://localhost:8000", 403),
    ],
)
def test_a_form_counts_from_pages_of_the_site_alone(
    client: Client, settings: Any, site: str, origin: str, status: int
) -> None:
    settings.SITE_URL = site

    answer = client.post("/accounts/login/", {"login": "root"}, headers={"Host": "localhost", "Origin": origin})

    assert answer.status_code == status
    assert status == 422 or f"It did not come from a page of {site or 'http://localhost'}." in answer.content.decode()


def test_a_link_from_anywhere_opens_a_page(client: Client, settings: Any) -> None:
    settings.SITE_URL = SITE

    assert client.get("/accounts/login/", headers={"Origin": "https://wiki.example.com"}).status_code == 200
