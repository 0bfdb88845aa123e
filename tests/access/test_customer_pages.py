from typing import Any

import pytest
from django.test import Client

from pbxadmin.access.models import Customer, User
from pbxadmin.audit.models import Event
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> User:
    user = make_user(is_superuser=True)
    client.force_login(user)
    return user


@pytest.mark.parametrize("url", ["/customers/", "/customers/add/", "/customers/1/"])
def test_nobody_sees_customers_without_signing_in(client: Client, url: str) -> None:
    response = client.get(url)

    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={url}")


def test_the_list_shows_own_customers_only(client: Client, acme: Customer, bellweather: Customer) -> None:
    client.force_login(make_user("viewer", acme))

    page = client.get("/customers/").content.decode()

    assert "Acme Logistics" in page
    assert "Bellweather" not in page


def test_somebody_without_a_role_sees_none(client: Client, acme: Customer) -> None:
    client.force_login(make_user())

    page = client.get("/customers/").content.decode()

    assert "You have no role for any customer" in page
    assert "Acme" not in page


def test_the_list_takes_few_queries_however_long_it_is(
    client: Client, admin: User, django_assert_max_num_queries: Any
) -> None:
    for n in range(60):
        make_customer(f"Customer {n:03}")

    with django_assert_max_num_queries(9):
        page = client.get("/customers/").content.decode()

    assert "Customer 049" in page
    assert "Customer 050" not in page


@pytest.mark.parametrize(("q", "found"), [("ACME", True), ("log acme", True), ("acme clinics", False), ("%", False)])
def test_the_list_is_searched_by_words(client: Client, admin: User, acme: Customer, q: str, found: bool) -> None:
    page = client.get("/customers/", {"q": q}).content.decode()

    assert ("Acme Logistics" in page) is found


def test_another_customer_is_answered_like_one_that_does_not_exist(
    client: Client, acme: Customer, bellweather: Customer
) -> None:
    client.force_login(make_user("manager", acme))

    theirs = client.get(f"/customers/{bellweather.pk}/")
    none = client.get("/customers/4711/")
    huge = client.get("/customers/99999999999999999999/")
    renamed = client.post(f"/customers/{bellweather.pk}/rename/", {"name": "Mine"})

    assert theirs.status_code == none.status_code == huge.status_code == renamed.status_code == 404
    assert theirs.content == none.content == huge.content


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "auditor", "manager"])
def test_only_a_site_admin_adds_or_renames_a_customer(client: Client, role: str, acme: Customer) -> None:
    client.force_login(make_user(role))

    assert client.get("/customers/add/").status_code == 403
    assert client.post("/customers/add/", {"name": "Mine"}).status_code == 403
    assert client.post(f"/customers/{acme.pk}/rename/", {"name": "Mine"}).status_code == 403
    assert list(Customer.objects.values_list("name", flat=True)) == ["Acme Logistics"]
    assert "rename/" not in client.get(f"/customers/{acme.pk}/").content.decode()
    assert Event.objects.filter(action="access.denied").count() == 3


def test_a_site_admin_adds_a_customer(client: Client, admin: User) -> None:
    response = client.post("/customers/add/", {"name": " Acme Logistics ", "archived_at": "2020-01-01", "id": "7"})

    customer = Customer.objects.get()
    assert response["Location"] == f"/customers/{customer.pk}/"
    assert (customer.name, customer.archived_at) == ("Acme Logistics", None)
    event = Event.objects.get(action="customer.added")
    assert (event.chain, event.actor_id, event.customer_name) == (f"customer:{customer.pk}", admin.pk, "Acme Logistics")


@pytest.mark.parametrize("name", ["", "   ", "ACME logistics", "Ac\u202eme", "x" * 101])
def test_a_bad_name_is_shown_again_beside_its_error(client: Client, admin: User, acme: Customer, name: str) -> None:
    response = client.post("/customers/add/", {"name": name})

    assert response.status_code == 422
    assert 'data-error-for="name"' in response.content.decode()
    assert Customer.objects.count() == 1


def test_a_site_admin_renames_a_customer_and_both_names_are_kept(client: Client, admin: User, acme: Customer) -> None:
    client.post(f"/customers/{acme.pk}/rename/", {"name": "Acme Freight"})

    acme.refresh_from_db()
    assert acme.name == "Acme Freight"
    event = Event.objects.get(action="customer.edited")
    assert event.data["fields"]["name"] == {"before": "Acme Logistics", "asked": "Acme Freight"}


def test_a_new_name_that_is_taken_is_refused(
    client: Client, admin: User, acme: Customer, bellweather: Customer
) -> None:
    response = client.post(f"/customers/{acme.pk}/rename/", {"name": "bellweather CLINICS"})

    assert response.status_code == 422
    assert "There is a customer with this name already." in response.content.decode()


def test_changing_only_the_case_of_a_name_is_possible(client: Client, admin: User, acme: Customer) -> None:
    client.post(f"/customers/{acme.pk}/rename/", {"name": "ACME Logistics"})

    acme.refresh_from_db()
    assert acme.name == "ACME Logistics"


def test_a_rename_needs_a_post(client: Client, admin: User, acme: Customer) -> None:
    assert client.get(f"/customers/{acme.pk}/rename/").headers["Location"] == f"/customers/{acme.pk}/"


@pytest.mark.parametrize(("role", "shown"), [("manager", True), ("auditor", True), ("helpdesk", False)])
def test_people_are_shown_to_those_who_manage_or_review_them(
    client: Client, acme: Customer, bellweather: Customer, role: str, shown: bool
) -> None:
    make_user("helpdesk", acme, username="mara")
    make_user("helpdesk", bellweather, username="beatrix")
    make_user("manager", username="maximilian")
    client.force_login(make_user(role, acme))

    page = client.get(f"/customers/{acme.pk}/").content.decode()

    assert ("mara" in page) is shown
    assert ("maximilian" in page) is shown
    assert "beatrix" not in page


def test_names_are_escaped(client: Client, admin: User) -> None:
    client.post("/customers/add/", {"name": "<script>alert(1)</script>"})

    assert "<script>alert" not in client.get("/customers/").content.decode()


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "auditor", "manager"])
def test_only_a_site_admin_archives_or_brings_back(client: Client, role: str, acme: Customer) -> None:
    client.force_login(make_user(role, acme))
    url = f"/customers/{acme.pk}"

    answers = [client.get(f"{url}/archive/"), client.post(f"{url}/archive/", {"name": acme.name})]
    answers.append(client.post(f"{url}/unarchive/"))

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert "archive/" not in client.get(f"{url}/").content.decode()
    assert Customer.objects.get().archived_at is None


def test_a_customer_that_is_not_visible_cannot_be_archived(
    client: Client, acme: Customer, bellweather: Customer
) -> None:
    client.force_login(make_user("manager", acme))

    for path in ("archive", "unarchive"):
        assert client.post(f"/customers/{bellweather.pk}/{path}/", {"name": bellweather.name}).status_code == 404
    assert Customer.objects.get(pk=bellweather.pk).archived_at is None


@pytest.mark.parametrize("name", ["", "Acme", "acme logistics", "Bellweather Clinics"])
def test_archiving_asks_for_the_name(
    client: Client, admin: User, acme: Customer, bellweather: Customer, name: str
) -> None:
    response = client.post(f"/customers/{acme.pk}/archive/", {"name": name})

    assert response.status_code == 422
    assert 'data-error-for="name"' in response.content.decode()
    assert not Customer.objects.exclude(archived_at=None).exists()


def test_an_archived_customer_stays_readable_and_can_be_brought_back(
    client: Client, admin: User, acme: Customer
) -> None:
    theirs = Client()
    theirs.force_login(make_user("manager", acme))

    client.post(f"/customers/{acme.pk}/archive/", {"name": "Acme Logistics", "archived_at": "1999-01-01"})

    page = theirs.get(f"/customers/{acme.pk}/").content.decode()
    assert "its history stays readable" in page
    assert "Add PBX" not in page
    assert f'<option value="{acme.pk}"' not in theirs.get(f"/pbxs/add/?customer={acme.pk}").content.decode()
    assert Customer.objects.get().archived_at.year > 1999

    client.post(f"/customers/{acme.pk}/unarchive/")

    assert "Add PBX" in theirs.get(f"/customers/{acme.pk}/").content.decode()
    events = Event.objects.filter(chain=f"customer:{acme.pk}", action__contains="archived").order_by("id")
    assert [(event.action, event.actor_id) for event in events] == [
        ("customer.archived", admin.pk),
        ("customer.unarchived", admin.pk),
    ]


def test_archiving_twice_is_one_event(client: Client, admin: User, acme: Customer) -> None:
    for _ in range(2):
        client.post(f"/customers/{acme.pk}/archive/", {"name": "Acme Logistics"})

    assert Event.objects.filter(action="customer.archived").count() == 1


def test_bringing_back_needs_a_post(client: Client, admin: User, acme: Customer) -> None:
    assert client.get(f"/customers/{acme.pk}/unarchive/").headers["Location"] == f"/customers/{acme.pk}/"


def test_forms_need_a_token() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user(is_superuser=True))

    assert client.post("/customers/add/", {"name": "Acme"}).status_code == 403
    assert not Customer.objects.exists()
