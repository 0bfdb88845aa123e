"""What every answer carries: sign-in inside HTMX, headers, and the pages for what went wrong."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client

from tests.factories import PASSWORD, make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def viewer(client):
    client.force_login(make_user("viewer"))
    return client


def led_to(client, current_url, **more):
    answer = client.get("/ivrs/", headers={**HTMX, **({"HX-Current-URL": current_url} if current_url else {})}, **more)
    assert (answer.status_code, answer.content) == (204, b"")
    target = urlsplit(answer["HX-Redirect"])
    assert (target.scheme, target.netloc, target.path) == ("", "", "/accounts/login/")
    return parse_qs(target.query)["next"]


@pytest.mark.parametrize(
    ("current_url", "back"),
    [
        ("http://testserver/pbxs/7/ivrs/", "/pbxs/7/ivrs/"),
        ("http://testserver/ivrs/?q=a%26b&sort=-name", "/ivrs/?q=a%26b&sort=-name"),
        ("http://testserver/ivrs/#top", "/ivrs/"),
        ("http://testserver/", "/"),
        ("/changes/5/", "/changes/5/"),
    ],
)
def test_an_expired_session_in_htmx_leads_the_whole_page_to_sign_in_and_back(client, current_url, back):
    assert led_to(client, current_url) == [back]


@pytest.mark.parametrize(
    "current_url",
    [
        "",
        "https://evil.example/",
        "http://evil.example/pbxs/",
        "//evil.example/",
        "///evil.example/",
        "http:///evil.example/",
        "http:evil.example",
        "\\\\evil.example/",
        "/\\evil.example/",
        "http://testserver//evil.example/",
        "http://testserver/\\evil.example/",
        "http://testserver/\t/evil.example/",
        "http://testserver\\@evil.example/",
        "http://testserver@evil.example/",
        "http://testserver.evil.example/",
        "http://evil.example/testserver",
        "http://testserver:81/",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://testserver/pbxs/",
        "http://[",
        "http://[::1/pbxs/",
        "http://test\u212berver/",
        "http://testserver\uff0f@evil.example/",
        " http://evil.example/",
        "\x1bhttp://evil.example/",
        "pbxs/",
        "?q=1",
    ],
)
def test_sign_in_never_leads_from_there_to_a_foreign_page(client, current_url):
    assert led_to(client, current_url) == ["/"]


def test_without_htmx_an_expired_session_is_a_redirect(client):
    answer = client.get("/ivrs/?q=x")

    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/ivrs/%3Fq%3Dx")


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ("http://testserver/pbxs/?state=locked", "/pbxs/?state=locked"),
        ("http://evil.example/pbxs/", "/"),
        ("http://testserver//evil.example/", "/"),
        (None, "/ivrs/refresh/"),
    ],
)
def test_a_form_that_came_too_late_leads_back_to_its_page(client, referer, back):
    answer = client.post("/ivrs/refresh/", headers={"Referer": referer} if referer else {})

    assert answer.status_code == 302
    assert parse_qs(urlsplit(answer["Location"]).query)["next"] == [back]


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_form_that_came_too_late_is_told_after_sign_in(client, headers):
    make_user("viewer", username="mara")

    client.post("/ivrs/refresh/", headers={"Referer": "http://testserver/ivrs/", **headers})
    client.post("/accounts/login/", {"login": "mara", "password": PASSWORD})

    assert messages_on(client.get("/ivrs/")) == ["You were signed out, so nothing was done. Please enter it again."]


def test_who_only_looked_is_told_nothing_after_sign_in(client):
    make_user("viewer", username="mara")

    client.get("/ivrs/", headers=HTMX)
    client.post("/accounts/login/", {"login": "mara", "password": PASSWORD})

    assert messages_on(client.get("/ivrs/")) == []


def test_signing_out_leaves_no_word_for_the_next_who_signs_in(client):
    make_user("viewer", username="mara")
    client.post("/accounts/login/", {"login": "mara", "password": PASSWORD})

    client.post("/accounts/logout/")
    client.post("/accounts/login/", {"login": "mara", "password": PASSWORD})

    assert messages_on(client.get("/ivrs/")) == []


def messages_on(answer):
    return [str(message) for message in answer.context["messages"]]


def test_a_redirect_to_another_page_stays_one_in_htmx(client):
    make_user(username="mara")

    answer = client.post("/accounts/login/", {"login": "mara", "password": PASSWORD}, headers=HTMX)

    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_signing_out_clears_what_the_browser_kept_and_looking_at_the_page_does_not(viewer):
    assert "Clear-Site-Data" not in viewer.get("/accounts/logout/")

    answer = viewer.post("/accounts/logout/")

    assert answer["Clear-Site-Data"] == '"cache"'
    assert "Clear-Site-Data" not in viewer.get("/accounts/login/")


@pytest.mark.parametrize(
    ("path", "status", "heading"), [("/audit/", 403, "Not allowed"), ("/nowhere/", 404, "Nothing here")]
)
def test_a_problem_has_a_page_and_for_htmx_a_line(viewer, path, status, heading):
    page = viewer.get(path)
    line = viewer.get(path, headers=HTMX)

    assert (page.status_code, line.status_code) == (status, status)
    assert f"<h1>{heading}</h1>" in page.content.decode()
    assert 'aria-label="Main"' in page.content.decode()
    assert line.content.decode().strip().startswith('<div class="note" data-tone="bad">')
    assert f"<b>{heading}.</b>" in line.content.decode()


def test_a_problem_of_somebody_not_signed_in_has_a_page(client):
    answer = client.get("/nowhere/")

    assert answer.status_code == 404
    assert "<h1>Nothing here</h1>" in answer.content.decode()


def test_a_form_without_its_token_says_what_to_do(viewer):
    browser = Client(enforce_csrf_checks=True)

    answer = browser.post("/accounts/login/", {"login": "mara"})

    assert answer.status_code == 403
    assert "<h1>The form was not accepted</h1>" in answer.content.decode()
    assert ">Load the page again</a>" in answer.content.decode()


def test_what_is_not_yours_answers_like_what_is_not_there(viewer, client):
    theirs = make_pbx(make_customer("Bellweather Clinics"))
    client.force_login(make_user("manager", make_customer("Acme Logistics")))

    assert client.get(f"/pbxs/{theirs.pk}/").content == client.get("/pbxs/4711/").content


@pytest.fixture
def no_database(viewer, monkeypatch) -> Iterator[Client]:
    """Somebody signed in, and a database that cannot be opened."""
    viewer.raise_request_exception = False
    connection.close()
    name = "/nowhere/at/all.sqlite3" if connection.vendor == "sqlite" else "nowhere_at_all"
    monkeypatch.setitem(connection.settings_dict, "NAME", name)
    yield viewer
    connection.close()
    monkeypatch.undo()


@pytest.mark.django_db(transaction=True)
def test_without_database_the_failure_has_a_page_of_ours(no_database):
    answer = no_database.get("/ivrs/")

    page = answer.content.decode()
    assert answer.status_code == 500
    assert "<h1>Our fault</h1>" in page
    assert "look at Changes before you try again" in page
    assert "Traceback" not in page
    assert "OperationalError" not in page
    assert "no-store" in answer["Cache-Control"]
    assert answer["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in answer["Content-Security-Policy"]


@pytest.mark.django_db(transaction=True)
def test_without_database_htmx_gets_a_line(no_database):
    answer = no_database.get("/ivrs/", headers=HTMX)

    assert answer.status_code == 500
    assert answer.content.decode().strip().startswith('<div class="note" data-tone="bad">')


@pytest.mark.django_db(transaction=True)
def test_without_database_what_does_not_exist_fails_without_a_second_failure(no_database):
    answer = no_database.get("/nowhere/")

    assert answer.status_code == 500
    assert "<h1>Our fault</h1>" in answer.content.decode()


def test_a_stranger_host_is_refused(client):
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_a_page_that_does_not_exist_leads_to_nothing_that_needs_signing_in(client, viewer):
    seen = [each.get("/nowhere/").content.decode() for each in (viewer, Client())]

    assert [('aria-label="Main"' in page, 'id="q"' in page) for page in seen] == [(True, True), (False, False)]
