"""Every answer, whatever it is, says how it may be used: its policy, its frame, its cache, its sender."""

import gzip
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path

from tests.factories import PASSWORD, make_customer, make_pbx, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
HTMX = {"HX-Request": "true"}


def crash(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


urlpatterns = [path("crash/", crash), path("", include("pbxadmin.urls"))]
handler400 = "pbxadmin.web.views.bad_request"
handler403 = "pbxadmin.web.views.forbidden"
handler404 = "pbxadmin.web.views.not_found"
handler429 = "pbxadmin.web.views.too_many"
handler500 = "pbxadmin.web.views.server_error"


@pytest.fixture
def viewer() -> Client:
    cache.clear()
    viewer = Client(raise_request_exception=False)
    viewer.force_login(make_user("viewer", make_customer("Acme Logistics")))
    return viewer


def too_often(client: Client) -> Any:
    return [client.post("/accounts/password/reset/", {"email": "a@b.example"}) for _ in range(11)][-1]


ANSWERS = {
    "page": (200, lambda client: client.get("/ivrs/")),
    "fragment": (200, lambda client: client.get("/ivrs/", headers=HTMX)),
    "file": (200, lambda client: client.get("/ivrs/?format=csv")),
    "sign-in page": (200, lambda client: Client().get("/accounts/login/")),
    "reset page": (200, lambda client: Client().get("/accounts/password/reset/")),
    "own account": (200, lambda client: client.get("/accounts/security/")),
    "secret of an app": (200, lambda client: client.get("/accounts/2fa/totp/activate/")),
    "health": (200, lambda client: client.get("/healthz")),
    "readiness": (503, lambda client: client.get("/readyz")),
    "redirect to sign-in": (302, lambda client: Client().get("/ivrs/")),
    "redirect of htmx": (204, lambda client: Client().get("/ivrs/", headers=HTMX)),
    "redirect after a form": (302, lambda client: client.post("/accounts/security/sign-out-others/")),
    "redirect to the slash": (301, lambda client: client.get("/customers")),
    "stranger's host": (400, lambda client: client.get("/", headers={"Host": "evil.example"})),
    "forbidden": (403, lambda client: client.get("/audit/")),
    "forged form": (403, lambda client: Client(enforce_csrf_checks=True).post("/accounts/login/", {"login": "x"})),
    "not found": (404, lambda client: client.get("/pbxs/4711/")),
    "no such page": (404, lambda client: client.get("/nowhere/")),
    "no such file": (404, lambda client: client.get("/static/nothing.css")),
    "wrong method": (405, lambda client: client.post("/ivrs/")),
    "form with errors": (422, lambda client: Client().post("/accounts/login/", {"login": "x", "password": "y"})),
    "too often": (429, too_often),
    "crash": (500, lambda client: client.get("/crash/")),
    "crash in htmx": (500, lambda client: client.get("/crash/", headers=HTMX)),
    "sign-out": (302, lambda client: client.post("/accounts/logout/")),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_is_private_and_cannot_be_framed_or_made_to_run_anything(viewer: Client, what: str) -> None:
    status, ask = ANSWERS[what]

    answer = ask(viewer)

    assert answer.status_code == status
    assert "no-store" in answer["Cache-Control"]
    assert {"Cookie", "HX-Request"} <= {name.strip() for name in answer["Vary"].split(",")}
    check_safety(answer)


@pytest.mark.parametrize("path", ["/", "/healthz", "/pbxs/", "/audit/", "/nowhere/", "/static/nothing.css"])
def test_head_is_answered_like_get_without_a_body(viewer: Client, path: str) -> None:
    heads, got = viewer.head(path), viewer.get(path)

    assert (heads.status_code, heads.content) == (got.status_code, b"")
    assert heads["Content-Type"] == got["Content-Type"]
    check_safety(heads)


def check_safety(answer: Any) -> None:
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    rules = dict(rule.strip().partition(" ")[::2] for rule in answer["Content-Security-Policy"].split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["form-action"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in answer["Content-Security-Policy"]


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_static_file_is_as_safe_and_may_be_kept(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "app.0123456789ab.css").write_text("body {}")
    (tmp_path / "app.0123456789ab.css.gz").write_bytes(gzip.compress(b"body {}"))

    with override_settings(STATIC_ROOT=str(tmp_path), MIDDLEWARE=settings.MIDDLEWARE):
        answer = Client().get("/static/app.0123456789ab.css", headers={"Accept-Encoding": encoding})

    answer.close()
    assert answer.status_code == 200
    check_safety(answer)
    assert "no-store" not in answer["Cache-Control"]
    assert not {"Set-Cookie", "Access-Control-Allow-Origin"} & answer.headers.keys()


@pytest.mark.parametrize("what", ["page", "not found", "crash", "redirect to sign-in"])
def test_over_https_browsers_are_told_to_stay_there(viewer: Client, what: str, settings: Any) -> None:
    settings.SECURE_HSTS_SECONDS = 31_536_000
    paths = {"page": "/ivrs/", "not found": "/nowhere/", "crash": "/crash/", "redirect to sign-in": "/ivrs/"}
    client = Client(raise_request_exception=False) if what == "redirect to sign-in" else viewer

    answer = client.get(paths[what], secure=True)

    assert answer["Strict-Transport-Security"] == "max-age=31536000"


def test_the_way_to_https_is_safe_too(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True

    answer = Client().get("/ivrs/?q=a")

    assert (answer.status_code, answer["Location"]) == (301, "https://testserver/ivrs/?q=a")
    check_safety(answer)


@pytest.mark.parametrize("what", ["crash", "stranger's host"])
def test_an_error_says_nothing_of_what_is_inside(viewer: Client, what: str) -> None:
    page = ANSWERS[what][1](viewer).content.decode()

    assert "<h1>" in page
    assert not re.search(r"Traceback|on purpose|RuntimeError|DisallowedHost|evil\.example", page)


def test_a_page_that_was_asked_too_often_has_our_look(viewer: Client) -> None:
    page = too_often(Client()).content.decode()

    assert "<h1>Too often</h1>" in page
    assert 'href="/static/pbxadmin/app.css"' in page


def test_after_sign_out_no_page_is_shown_again(viewer: Client) -> None:
    pbx = make_pbx(make_customer("Bellweather Clinics"))
    client = Client()
    client.force_login(make_user("viewer", pbx.customer))
    shown = client.get(f"/pbxs/{pbx.pk}/")

    answer = client.post("/accounts/logout/")

    assert "no-store" in shown["Cache-Control"]
    assert answer["Clear-Site-Data"] == '"cache"'
    assert client.get(f"/pbxs/{pbx.pk}/").status_code == 302


SPELLINGS = [
    "https://evil.example/",
    "http://evil.example",
    "//evil.example/",
    "///evil.example/",
    "////evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "\\/evil.example/",
    "/\t/evil.example/",
    "/\n/evil.example/",
    "\t//evil.example/",
    " //evil.example/",
    "\x00//evil.example/",
    "\x1b//evil.example/",
    "https:evil.example",
    "https:/evil.example",
    "http:///evil.example/",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "//testserver@evil.example/",
    "https://testserver.evil.example/",
    "https://evil.example#@testserver/",
    "https://evil.example\\@testserver/",
    "//evil%E3%80%82example/",
    "%2f%2fevil.example/",
    "http://localhost/",
    "evil.example",
    "/a\r\nSet-Cookie: a=b",
    "/\u2028/evil.example",
]
WAYS = {
    "sign-in": lambda target: sign_in(Client(), target),
    "sign-in page of who is in": lambda target: inside().get("/accounts/login/", {"next": target}),
    "sign-out": lambda target: inside().post("/accounts/logout/", {"next": target}),
    "sign-out by query": lambda target: inside().post(f"/accounts/logout/?{query(target)}"),
    "re-authentication": lambda target: inside().post(
        "/accounts/reauthenticate/", {"password": PASSWORD, "next": target}
    ),
    "re-authentication by query": lambda target: inside().post(
        f"/accounts/reauthenticate/?{query(target)}", {"password": PASSWORD}
    ),
}


def query(target: str) -> str:
    return urlencode({"next": target})


def inside() -> Client:
    client = Client()
    sign_in(client, "/")
    return client


def sign_in(client: Client, target: str) -> Any:
    return client.post("/accounts/login/", {"login": "mara", "password": PASSWORD, "next": target})


@pytest.mark.parametrize("way", WAYS)
def test_no_spelling_leads_to_a_foreign_page(way: str) -> None:
    make_user(username="mara")
    led = {}

    for target in SPELLINGS:
        cache.clear()
        led[target] = WAYS[way](target)

    assert len(SPELLINGS) >= 25
    found = {target: (answer.status_code, answer.headers.get("Location")) for target, answer in led.items()}
    assert found == dict.fromkeys(SPELLINGS, (302, "/"))


@pytest.mark.parametrize("target", ["/ivrs/?q=a%20b&sort=-name", "/pbxs/7/ivrs/6500/", "/ivrs/?q=Ünal", "/"])
@pytest.mark.parametrize("way", WAYS)
def test_our_own_pages_are_led_to(way: str, target: str) -> None:
    cache.clear()
    make_user(username="mara")

    assert WAYS[way](target)["Location"] in (target, target.replace("Ü", "%C3%9C"))
