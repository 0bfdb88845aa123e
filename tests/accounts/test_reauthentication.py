"""Re-authentication is demanded before dangerous things, and nothing is sent twice for it."""

from typing import Any

import pytest
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from pbxadmin.access.models import User
from pbxadmin.access.reauthentication import requires_reauthentication
from pbxadmin.audit.models import Event
from tests.factories import PASSWORD, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
PROVE = "/accounts/reauthenticate/"
MINUTE = 60
done: list[str] = []


@login_required
@requires_reauthentication
def dangerous(request: HttpRequest) -> HttpResponse:
    done.append(str(request.method))
    return HttpResponse("done")


urlpatterns = [path("dangerous/", dangerous), path("", include("pbxadmin.urls"))]


@pytest.fixture
def mara(client: Client) -> User:
    done.clear()
    user = make_user("viewer", username="mara")
    client.force_login(user)
    return user


def confirm(client: Client, back: str, password: str = PASSWORD) -> Any:
    return client.post(PROVE, {"password": password, "next": back})


def test_who_just_signed_in_is_not_asked(client: Client, mara: User, clock: Any) -> None:
    clock.shift(7 * MINUTE)

    assert client.get("/dangerous/").content == client.post("/dangerous/").content == b"done"


def test_a_page_that_was_opened_in_time_leaves_time_to_send_it(client: Client, mara: User, clock: Any) -> None:
    clock.shift(8 * MINUTE)

    assert client.get("/dangerous/").status_code == 302
    assert client.post("/dangerous/").content == b"done"


def test_who_signed_in_a_while_ago_proves_it_and_comes_to_the_page(client: Client, mara: User, clock: Any) -> None:
    clock.shift(16 * MINUTE)

    asked = client.get("/dangerous/?x=1")
    answer = confirm(client, "/dangerous/?x=1")

    assert asked["Location"] == f"{PROVE}?next=%2Fdangerous%2F%3Fx%3D1"
    assert answer["Location"] == "/dangerous/?x=1"
    assert client.get("/dangerous/?x=1").content == b"done"
    assert Event.objects.filter(action="session.confirmed", actor_id=mara.pk).count() == 1


def test_what_was_sent_too_late_is_not_done_and_the_person_is_told(client: Client, mara: User, clock: Any) -> None:
    clock.shift(16 * MINUTE)

    asked = client.post("/dangerous/", headers={"Referer": "http://testserver/customers/"})
    confirm(client, "/customers/")
    back = client.get("/customers/")

    assert asked["Location"] == f"{PROVE}?next=%2Fcustomers%2F"
    assert done == []
    assert "Nothing was done" in back.content.decode()
    assert client.post("/dangerous/").content == b"done"


def test_inside_htmx_the_whole_page_is_led_there(client: Client, mara: User, clock: Any) -> None:
    clock.shift(16 * MINUTE)

    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/customers/?q=a"}
    answer = client.post("/dangerous/", headers=headers)

    assert (answer.status_code, answer["HX-Redirect"]) == (204, f"{PROVE}?next=%2Fcustomers%2F%3Fq%3Da")
    assert done == []


def test_a_wrong_password_proves_nothing(client: Client, mara: User, clock: Any) -> None:
    clock.shift(16 * MINUTE)

    answer = confirm(client, "/dangerous/", "not this one")

    assert answer.status_code == 422
    assert client.get("/dangerous/").status_code == 302
    assert Event.objects.filter(action="session.failed").count() == 1


def test_somebody_elses_password_proves_nothing(client: Client, mara: User, clock: Any) -> None:
    make_user(username="nora", password="another good one")
    clock.shift(16 * MINUTE)

    assert confirm(client, "/dangerous/", "another good one").status_code == 422


def test_guessing_at_an_open_browser_is_slowed(client: Client, mara: User, clock: Any) -> None:
    clock.shift(16 * MINUTE)

    answers = [confirm(client, "/", f"guess {n}").status_code for n in range(11)]

    assert answers[-1] == 429


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_the_confirmation_leads_to_our_own_pages_only(client: Client, mara: User, target: str) -> None:
    assert confirm(client, target)["Location"] == "/"


def test_nobody_is_asked_who_is_not_signed_in(client: Client) -> None:
    assert client.get("/dangerous/")["Location"] == "/accounts/login/?next=/dangerous/"
    assert client.get(PROVE)["Location"] == f"/accounts/login/?next={PROVE}"
