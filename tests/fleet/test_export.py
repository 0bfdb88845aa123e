"""The list of PBXs as a file: what the filter lets through, what an import takes, and never a secret."""

import csv
import io

import pytest
from django.test import Client

from pbxadmin.access.models import Customer
from pbxadmin.audit.models import Event
from pbxadmin.fleet.forms import PbxForm
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.record_fields import EXPORT_COLUMNS, IMPORT_COLUMNS
from pbxadmin.sealed import seal
from pbxadmin.yeastar.s_series.driver import password_digest
from tests.factories import make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db
PASSWORD = "canary-Passw0rd"


def file(client: Client, query: str = "") -> str:
    answer = client.get(f"/pbxs/?{query}&format=csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return answer.getvalue().decode()


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_the_columns_are_the_fields_of_the_form() -> None:
    assert set(IMPORT_COLUMNS) == set(PbxForm.base_fields)
    assert set(IMPORT_COLUMNS) - set(EXPORT_COLUMNS) == {"password"}


def test_every_field_that_a_person_entered_is_in_it_and_no_secret(client: Client, acme: Customer) -> None:
    pbx = make_pbx(acme, password=PASSWORD, notes='Ask "Sam",\nnot Kim', tags="leeds, vip", site="Dock 3")
    seal(pbx, "token", "canary-token")
    pbx.save()
    client.force_login(make_user("viewer", acme))

    text = file(client)

    (row,) = rows(text)
    assert (row["customer"], row["name"], row["port"]) == ("Acme Logistics", "ACME-HQ", "8088")
    assert (row["notes"], row["tags"], row["site"]) == ('Ask "Sam",\nnot Kim', "leeds, vip", "Dock 3")
    for secret in (PASSWORD, password_digest(PASSWORD), "canary-token", pbx.token.text, pbx.password_digest.text):
        assert secret not in text


def test_it_holds_the_whole_filter_and_not_only_a_page(client: Client, acme: Customer) -> None:
    for number in range(60):
        make_pbx(acme, name=f"PBX-{number:02}", tags="vip" if number else "")
    client.force_login(make_user("viewer", acme))

    assert len(rows(file(client, "tag=vip"))) == 59


def test_pbxs_of_others_are_not_in_it(client: Client, acme: Customer) -> None:
    make_pbx(acme)
    other = make_pbx(make_customer("Bellweather Clinics"), name="BELL-HQ")
    client.force_login(make_user("viewer", acme))

    assert [row["name"] for row in rows(file(client))] == ["ACME-HQ"]
    assert rows(file(client, f"customer={other.customer_id}")) == []
    assert not Event.objects.filter(customer_id=other.customer_id, action="pbxs.exported").exists()


def test_what_a_spreadsheet_would_run_is_neutral(client: Client, acme: Customer) -> None:
    make_pbx(acme, notes="=HYPERLINK(1)", main_numbers="+44 20 7946 0000")
    client.force_login(make_user("viewer", acme))

    (row,) = rows(file(client))
    assert (row["notes"], row["main_numbers"]) == ("'=HYPERLINK(1)", "'+44 20 7946 0000")


def test_the_log_says_who_took_how_many_along(client: Client, acme: Customer) -> None:
    make_pbx(acme)
    user = make_user("viewer")
    client.force_login(user)

    file(client, f"customer={acme.pk}")
    file(client, "q=acme")

    one, all_ = Event.objects.filter(action="pbxs.exported").order_by("id")
    assert (one.actor_id, one.customer_id, one.data["detail"]) == (
        user.pk,
        acme.pk,
        {"pbxs": 1, "filter": f"customer={acme.pk}"},
    )
    assert (all_.chain, all_.data["detail"]["filter"]) == ("installation", "q=acme")


def test_nobody_gets_it_without_a_sign_in(client: Client) -> None:
    assert client.get("/pbxs/?format=csv").status_code == 302
    assert Pbx.objects.count() == 0


def test_it_is_an_event_of_the_only_customer_that_somebody_sees(client: Client, acme: Customer) -> None:
    make_pbx(acme)
    client.force_login(make_user("viewer", acme))

    file(client)

    assert Event.objects.get(action="pbxs.exported").customer_id == acme.pk
