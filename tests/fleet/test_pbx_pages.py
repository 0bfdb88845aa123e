import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from pbxadmin.access.models import Customer, User
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.readings import IvrSettings
from tests.factories import make_pbx, make_snapshots, make_user

pytestmark = pytest.mark.django_db
PASSWORD = "canary-Passw0rd"


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, 20, hour, minute, tzinfo=UTC)


@pytest.fixture
def manager(client: Client, acme: Customer) -> User:
    user = make_user("manager", acme)
    client.force_login(user)
    return user


def typed(customer: Customer, /, **values: Any) -> dict[str, Any]:
    return {
        "customer": customer.pk,
        "name": "ACME-HQ",
        "scheme": "https",
        "host": "pbx.example.com",
        "port": "8088",
        "api_version": "v1.0.0",
        "username": "api",
        "password": PASSWORD,
        "trust": "pin",
        "fingerprint": ":".join(["AB"] * 32),
        "tls_profile": "modern",
        "site": "Dock 3",
        "main_numbers": "+44 20 7946 0000",
        "notes": "Ask for Sam",
    } | values


def text(client: Client, url: str, **more: Any) -> str:
    return client.get(url, **more).content.decode()


# Who gets what: page of a PBX, its way, and the answer for somebody who may see it and not manage it.
PAGES = [
    ("get", "", 200),
    ("get", "edit/", 403),
    ("post", "edit/", 403),
    ("post", "test/", 403),
    ("post", "use-version/", 403),
    ("post", "pin/", 403),
    ("post", "disable/", 403),
    ("post", "enable/", 403),
    ("get", "delete/", 403),
    ("post", "delete/", 403),
]


@pytest.mark.parametrize(("method", "page", "status"), PAGES)
def test_every_page_of_a_pbx_asks_who_is_there(
    client: Client, acme: Customer, bellweather: Customer, method: str, page: str, status: int
) -> None:
    pbx = make_pbx(acme)
    url = f"/pbxs/{pbx.pk}/{page}"
    call: Callable[..., Any] = getattr(client, method)

    assert call(url)["Location"] == f"/accounts/login/?next={url}"
    for role in ("viewer", "helpdesk", "auditor"):
        client.force_login(make_user(role, acme))
        assert call(url).status_code == status
    client.force_login(make_user("manager", bellweather))
    assert call(url).status_code == 404
    assert call(url, headers={"HX-Request": "true"}).status_code == 404
    assert call(url).content == call(f"/pbxs/4711/{page}").content
    assert Pbx.objects.get() == pbx


@pytest.mark.parametrize("page", ["test", "use-version", "pin", "disable", "enable"])
def test_what_acts_needs_a_post(client: Client, manager: User, acme: Customer, page: str) -> None:
    pbx = make_pbx(acme)

    assert client.get(f"/pbxs/{pbx.pk}/{page}/").headers["Location"] == f"/pbxs/{pbx.pk}/"


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "auditor"])
def test_only_a_manager_adds_a_pbx(client: Client, acme: Customer, role: str) -> None:
    client.force_login(make_user(role, acme))

    assert client.get("/pbxs/add/").status_code == 403
    assert client.post("/pbxs/add/", typed(acme)).status_code == 403
    assert "/pbxs/add/" not in text(client, "/pbxs/")
    assert not Pbx.objects.exists()


def test_a_manager_adds_a_pbx_without_reaching_it(client: Client, manager: User, acme: Customer) -> None:
    response = client.post("/pbxs/add/", typed(acme))

    pbx = Pbx.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/pbxs/{pbx.pk}/")
    assert (pbx.customer, pbx.host, pbx.port, pbx.fingerprint) == (acme, "pbx.example.com", 8088, "ab" * 32)
    assert (pbx.state, pbx.site, pbx.main_numbers, pbx.notes) == (
        "never-checked",
        "Dock 3",
        "+44 20 7946 0000",
        "Ask for Sam",
    )
    assert Event.objects.get(action="pbx.added").actor_id == manager.pk


def test_a_manager_cannot_add_a_pbx_to_another_customer(client: Client, manager: User, bellweather: Customer) -> None:
    theirs = client.post("/pbxs/add/", typed(bellweather))
    nobodys = client.post("/pbxs/add/", typed(bellweather) | {"customer": "4711"})

    assert theirs.status_code == nobodys.status_code == 422
    assert "Bellweather" not in theirs.content.decode()
    assert not Pbx.objects.exists()


def test_a_form_with_errors_comes_back_with_what_was_typed_and_never_the_password(
    client: Client, manager: User, acme: Customer
) -> None:
    response = client.post("/pbxs/add/", typed(acme, host="ftp://pbx.example.com", notes="Ask for Kim"))

    page = response.content.decode()
    assert response.status_code == 422
    assert 'data-error-for="host"' in page
    assert "ftp://pbx.example.com" in page
    assert "Ask for Kim" in page
    assert PASSWORD not in page


def test_with_htmx_only_the_form_comes_back(client: Client, manager: User, acme: Customer) -> None:
    response = client.post("/pbxs/add/", typed(acme, port="0"), headers={"HX-Request": "true"})

    page = response.content.decode()
    assert response.status_code == 422
    assert "<html" not in page
    assert 'data-error-for="port"' in page


def test_with_htmx_success_leads_to_the_pbx(client: Client, manager: User, acme: Customer) -> None:
    response = client.post("/pbxs/add/", typed(acme), headers={"HX-Request": "true"})

    assert f"/pbxs/{Pbx.objects.get().pk}/" in response["HX-Location"]


def test_fields_that_the_form_does_not_have_change_nothing(client: Client, manager: User, acme: Customer) -> None:
    extra = {
        "id": "77",
        "state": "reachable",
        "token": "x",
        "password_digest": "x",
        "is_enabled": "",
        "revision": "9",
        "serial": "x",
        "locked_until": "2030-01-01",
        "ivr_count": "5",
        "customer_id": "4711",
    }
    client.post("/pbxs/add/", typed(acme) | extra)

    pbx = Pbx.objects.get()
    assert pbx.pk != 77
    assert (pbx.state, bool(pbx.token), pbx.is_enabled, pbx.serial, pbx.ivr_count) == (
        "never-checked",
        False,
        True,
        "",
        None,
    )


def test_the_password_is_nowhere_after_it_was_typed(client: Client, manager: User, acme: Customer) -> None:
    client.post("/pbxs/add/", typed(acme))
    pbx = Pbx.objects.get()
    digest = pbx.password_digest.open()

    pages = [text(client, f"/pbxs/{pbx.pk}/{page}") for page in ("", "edit/", "delete/")] + [text(client, "/pbxs/")]
    kept = [str(value) for row in Pbx.objects.values() for value in row.values()]
    log = [event.text for event in Event.objects.all()]

    assert not any(PASSWORD in found or digest in found for found in pages + kept + log)
    assert "never shown" in pages[0]


def test_an_edit_changes_what_was_typed_and_keeps_the_password(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme, name="ACME-HQ")
    digest = pbx.password_digest.open()

    response = client.post(f"/pbxs/{pbx.pk}/edit/", typed(acme, password="", site="Dock 4"))

    pbx = Pbx.objects.get()
    assert response["Location"] == f"/pbxs/{pbx.pk}/"
    assert (pbx.site, pbx.password_digest.open()) == ("Dock 4", digest)
    assert "site" in Event.objects.get(action="pbx.edited").data["fields"]


def test_an_edit_with_errors_keeps_the_record(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme, name="ACME-HQ")

    response = client.post(f"/pbxs/{pbx.pk}/edit/", typed(acme, name="", site="Dock 4"))

    assert response.status_code == 422
    assert Pbx.objects.get().site == ""
    assert not Event.objects.filter(action="pbx.edited").exists()


def test_an_edit_that_changes_nothing_says_so(client: Client, manager: User, acme: Customer) -> None:
    client.post("/pbxs/add/", typed(acme))
    pbx = Pbx.objects.get()

    response = client.post(f"/pbxs/{pbx.pk}/edit/", typed(acme, password=""), follow=True)

    assert "Nothing was changed." in response.content.decode()
    assert not Event.objects.filter(action="pbx.edited").exists()


def test_a_new_password_ends_the_state_of_rejected_credentials(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme)
    Pbx.objects.update(state="credentials-rejected")

    client.post(f"/pbxs/{pbx.pk}/edit/", typed(acme, password="Another-1"))

    assert Pbx.objects.get().state == "never-checked"


def test_a_pbx_that_answered_stays_with_its_customer(client: Client, acme: Customer, bellweather: Customer) -> None:
    pbx = make_pbx(acme)
    Pbx.objects.update(last_contact_at=timezone.now())
    client.force_login(make_user("manager"))

    client.post(f"/pbxs/{pbx.pk}/edit/", typed(bellweather, customer=bellweather.pk))

    assert Pbx.objects.get().customer == acme


def test_a_record_of_an_archived_customer_is_read_only(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme)
    Customer.objects.update(archived_at=timezone.now())

    assert client.get(f"/pbxs/{pbx.pk}/").status_code == 200
    assert client.post(f"/pbxs/{pbx.pk}/edit/", typed(acme)).status_code == 403
    assert client.post(f"/pbxs/{pbx.pk}/disable/").status_code == 403


def test_a_pbx_is_disabled_and_enabled_again(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme)

    client.post(f"/pbxs/{pbx.pk}/disable/")
    assert not Pbx.objects.get().is_enabled
    assert "Disabled" in text(client, f"/pbxs/{pbx.pk}/")

    client.post(f"/pbxs/{pbx.pk}/enable/")
    assert Pbx.objects.get().is_enabled
    actions = list(Event.objects.filter(action__startswith="pbx.").order_by("id").values_list("action", flat=True))
    assert actions == ["pbx.added", "pbx.disabled", "pbx.enabled"]


@pytest.mark.parametrize("name", ["", "acme-hq", "ACME", "ACME-HQ2"])
def test_deleting_asks_for_the_name(client: Client, manager: User, acme: Customer, name: str) -> None:
    pbx = make_pbx(acme, name="ACME-HQ")

    response = client.post(f"/pbxs/{pbx.pk}/delete/", {"name": name})

    assert response.status_code == 422
    assert Pbx.objects.filter(pk=pbx.pk).exists()


def test_a_deleted_pbx_is_gone_and_its_events_stay(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme, name="ACME-HQ")

    assert client.get(f"/pbxs/{pbx.pk}/delete/").status_code == 200
    response = client.post(f"/pbxs/{pbx.pk}/delete/", {"name": " ACME-HQ "})

    assert response["Location"] == "/pbxs/"
    assert client.get(f"/pbxs/{pbx.pk}/").status_code == 404
    assert list(Event.objects.filter(pbx_name="ACME-HQ").order_by("id").values_list("action", flat=True)) == [
        "pbx.added",
        "pbx.deleted",
    ]


def test_pinning_trusts_the_certificate_that_was_shown(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme, trust="none", fingerprint="")

    response = client.post(f"/pbxs/{pbx.pk}/pin/", {"fingerprint": ":".join(["AB"] * 32)})

    pbx.refresh_from_db()
    assert "Test connection of" in response.content.decode()  # it goes on by itself
    assert Event.objects.filter(action="pbx.tested").count() == 1
    assert (pbx.trust, pbx.fingerprint) == ("pin", "ab" * 32)
    assert Event.objects.filter(action="pbx.pinned").count() == 1


@pytest.mark.parametrize("fingerprint", ["", "ab", "zz" * 32])
def test_only_a_fingerprint_can_be_pinned(client: Client, manager: User, acme: Customer, fingerprint: str) -> None:
    pbx = make_pbx(acme, fingerprint="cd" * 32)

    assert client.post(f"/pbxs/{pbx.pk}/pin/", {"fingerprint": fingerprint}).status_code == 400

    pbx.refresh_from_db()
    assert pbx.fingerprint == "cd" * 32


def rows(page: str) -> list[str]:
    """The names of the PBXs in a list, in order."""
    return re.findall(r'<tr data-pbx="\d+".*?<bdi>(.*?)</bdi>', page)


def test_the_list_shows_own_pbxs_with_their_state(
    client: Client, manager: User, acme: Customer, bellweather: Customer
) -> None:
    pbx = make_pbx(acme, name="ACME-HQ")
    make_pbx(bellweather, name="BELL-1")

    page = text(client, "/pbxs/")

    assert rows(page) == ["ACME-HQ"]
    assert f'data-pbx="{pbx.pk}" data-state="never-checked"' in page
    assert "Bellweather" not in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["ACME-2", "ACME-HQ"]),
        ("?q=hq", ["ACME-HQ"]),
        ("?q=dock+ACME", ["ACME-2"]),
        ("?q=7946", ["ACME-2"]),
        ("?q=logistics", ["ACME-2", "ACME-HQ"]),
        ("?q=bell", []),
        ("?state=unreachable", ["ACME-2"]),
        ("?state=reachable", []),
        ("?state=nonsense", []),
        ("?customer=4711", []),
        ("?customer=x", []),
        ("?cursor=nonsense", ["ACME-2", "ACME-HQ"]),
    ],
)
def test_the_list_is_narrowed_by_its_address(
    client: Client, manager: User, acme: Customer, bellweather: Customer, query: str, found: list[str]
) -> None:
    make_pbx(acme, name="ACME-HQ")
    second = make_pbx(acme, name="ACME-2", site="Dock 3", main_numbers="+44 20 7946 0000")
    Pbx.objects.filter(pk=second.pk).update(state="unreachable", state_reason="No answer within 4 s.")
    make_pbx(bellweather, name="BELL-1")

    assert rows(text(client, f"/pbxs/{query}")) == found
    assert rows(text(client, f"/pbxs/{query}", headers={"HX-Request": "true"})) == found


def test_another_customers_filter_looks_like_one_that_does_not_exist(
    client: Client, manager: User, bellweather: Customer
) -> None:
    make_pbx(bellweather, name="BELL-1")

    def page(customer: int) -> str:
        shown = text(client, f"/pbxs/?customer={customer}", headers={"HX-Request": "true"})
        return re.sub(r'(csrfmiddlewaretoken" value=|customer=)"?\w+', r"\1", shown)

    assert page(bellweather.pk) == page(4711)
    assert "No PBX matches" in page(4711)


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("", ["A", "B", "C"]),
        ("-name", ["C", "B", "A"]),
        ("state", ["B", "C", "A"]),
        ("ivrs", ["C", "A", "B"]),
        ("contact", ["A", "C", "B"]),
        ("nonsense", ["A", "B", "C"]),
    ],
)
def test_the_list_is_sorted_by_its_columns(
    client: Client, manager: User, acme: Customer, sort: str, order: list[str]
) -> None:
    """By state: what needs attention first. What was never reached comes last."""
    for name, state, ivrs, hour in (("A", "reachable", 5, 3), ("B", "untrusted", None, None), ("C", "locked", 9, 2)):
        contact = hour and at(hour)
        pbx = make_pbx(acme, name=name)
        Pbx.objects.filter(pk=pbx.pk).update(state=state, ivr_count=ivrs, last_contact_at=contact)

    page = text(client, f"/pbxs/?sort={sort}")

    assert rows(page) == order
    assert len(re.findall("aria-sort", page)) == 1


def test_the_list_says_how_many_there_are_and_how_many_need_attention(
    client: Client, manager: User, acme: Customer, bellweather: Customer
) -> None:
    for name in ("HULL", "LEEDS"):
        Pbx.objects.filter(pk=make_pbx(acme, name=name).pk).update(state="unreachable")
    make_pbx(acme, name="YORK")
    make_pbx(bellweather, name="BELL-HULL")

    assert "data-say>3 PBXs · 2 need attention</p>" in text(client, "/pbxs/")
    assert "data-say>1 of 3 PBXs · 1 needs attention</p>" in text(client, "/pbxs/?q=hull")
    assert "data-say>1 of 3 PBXs</p>" in text(client, "/pbxs/?q=york")


def test_a_long_list_comes_in_pages_at_the_same_cost(
    client: Client, manager: User, acme: Customer, django_assert_max_num_queries: Any
) -> None:
    for n in range(60):
        make_pbx(acme, name=f"PBX-{n:03}")

    with django_assert_max_num_queries(10):
        first = text(client, "/pbxs/")

    assert rows(first) == [f"PBX-{n:03}" for n in range(50)]
    cursor = first.split("cursor=")[1].split('"')[0].split("&")[0]
    assert rows(text(client, f"/pbxs/?cursor={cursor}")) == [f"PBX-{n:03}" for n in range(50, 60)]


@pytest.mark.parametrize(
    ("of_pbx", "of_customer", "said"),
    [
        ({}, {}, "every 15 min, next at 09:15:00"),
        ({"locked_until": at(9, 40)}, {}, "every 15 min, next at 09:40:00"),
        ({"refresh_minutes": 0}, {}, "never"),
        ({"state": "untrusted"}, {}, "not now: untrusted"),
        ({"state": "credentials-rejected"}, {}, "not now: credentials rejected"),
        ({"other_serial": "1"}, {}, "not now: another device answers"),
        ({"is_enabled": False}, {}, "not now: disabled"),
        ({}, {"archived_at": at(8)}, "not now: its customer is archived"),
    ],
)
@time_machine.travel(at(9), tick=False)
def test_a_pbx_says_when_it_is_read_by_itself_or_why_not(
    client: Client, acme: Customer, of_pbx: dict[str, Any], of_customer: dict[str, Any], said: str
) -> None:
    client.force_login(make_user("viewer", acme))
    pbx = make_pbx(acme, next_refresh_at=at(9, 15))
    Pbx.objects.update(**of_pbx)
    if of_customer:
        Customer.objects.update(**of_customer)

    page = client.get(f"/pbxs/{pbx.pk}/").content.decode()

    words = re.sub("<[^>]+>", "", page.split("Read by itself</dt><dd>")[1].split("</dd>")[0])
    assert words == said


@pytest.mark.parametrize("of_pbx", [{}, {"state": "untrusted"}, {"other_serial": "1"}, {"is_enabled": False}])
def test_what_is_said_of_reading_by_itself_is_what_is_done(acme: Customer, of_pbx: dict[str, Any]) -> None:
    pbx = make_pbx(acme, **of_pbx)

    assert Pbx.objects.due(timezone.now()).exists() == (not pbx.why_not_by_itself)


def test_names_from_people_and_devices_are_escaped(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme, name="<b>HQ</b>", site="<script>x</script>", notes="<img src=x>")
    Pbx.objects.update(model="<script>m</script>", state_reason="<script>r</script>")

    for url in ("/pbxs/", f"/pbxs/{pbx.pk}/", f"/pbxs/{pbx.pk}/edit/", f"/pbxs/{pbx.pk}/delete/"):
        page = text(client, url)
        assert not any(tag in page for tag in ("<b>HQ", "<script>x", "<img src=x>", "<script>m", "<script>r"))


def test_an_empty_list_says_what_goes_here(client: Client, manager: User) -> None:
    page = text(client, "/pbxs/")

    assert "No PBXs yet" in page
    assert 'href="/pbxs/add/"' in page


def test_plain_http_is_warned_of_for_as_long_as_it_lasts(client: Client, manager: User, acme: Customer) -> None:
    pbx = make_pbx(acme, scheme="http")

    assert "Not encrypted" in text(client, "/pbxs/")
    assert "anyone on the way can read" in text(client, f"/pbxs/{pbx.pk}/")


def test_the_only_customer_is_chosen_already(
    client: Client, manager: User, acme: Customer, bellweather: Customer
) -> None:
    assert f'<option value="{acme.pk}" selected>' in text(client, "/pbxs/add/")

    client.force_login(make_user("manager"))
    assert "selected>Acme" not in text(client, "/pbxs/add/")


def test_the_page_of_a_pbx_shows_its_ivrs_and_what_ends_it_comes_last(
    client: Client, manager: User, acme: Customer
) -> None:
    pbx = make_pbx(acme)
    assert "Not read yet." in text(client, f"/pbxs/{pbx.pk}/")
    named = (IvrSettings(number=str(6500 + n), name=f"Menu_{n}", response_timeout="3") for n in range(14))
    make_snapshots(pbx, *named)

    page = text(client, f"/pbxs/{pbx.pk}/")

    assert re.findall(r'data-ivr="(\d+)"', page) == [str(6500 + n) for n in range(12)]
    assert f'href="/pbxs/{pbx.pk}/ivrs/6500/"' in page
    assert "All 14 IVRs" in page
    assert page.index("data-ivr") < page.index('id="health"') < page.index("Disable or delete")


def test_what_is_not_there_keeps_the_account_menu(client: Client, manager: User) -> None:
    page = text(client, "/pbxs/4711/")

    assert "Nothing here" in page
    assert 'href="/accounts/logout/"' in page
    assert "csrfmiddlewaretoken" not in page


@pytest.mark.parametrize(
    ("known", "other", "is_told"),
    [
        ({}, {"host": "PBX.example.com"}, True),
        ({}, {"host": "pbx.example.com", "port": 9088}, False),
        ({"serial": "369B1"}, {"serial": "369B1"}, True),
        ({"serial": "369B1"}, {"serial": "111A1", "other_serial": "369B1"}, True),
        ({"serial": ""}, {"serial": ""}, False),
    ],
)
def test_a_second_record_of_one_device_is_told(
    client: Client, manager: User, acme: Customer, known: dict[str, Any], other: dict[str, Any], is_told: bool
) -> None:
    """Two records do not wait for each other, so two requests could reach a PBX at one time."""
    pbx = make_pbx(acme, host="pbx.example.com")
    Pbx.objects.filter(pk=pbx.pk).update(**known)
    second = make_pbx(acme, name="ACME-Twin")
    Pbx.objects.filter(pk=second.pk).update(**other)

    page = text(client, pbx.get_absolute_url())

    assert ("data-same-device" in page, second.get_absolute_url() in page) == (is_told, is_told)


def test_a_second_record_that_one_may_not_see_is_not_told(
    client: Client, manager: User, acme: Customer, bellweather: Customer
) -> None:
    pbx = make_pbx(acme, host="pbx.example.com")
    make_pbx(bellweather, name="BELL-Twin", host="pbx.example.com")

    assert "data-same-device" not in text(client, pbx.get_absolute_url())
