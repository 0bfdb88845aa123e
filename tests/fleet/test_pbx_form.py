import re
from typing import Any

import pytest
from django.test import Client

from pbxadmin.access.models import Customer
from pbxadmin.fleet.forms import PbxForm
from pbxadmin.fleet.inputs import HOST_HELP
from pbxadmin.fleet.models import Pbx
from tests.drills.edits import text_of
from tests.factories import make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db


def typed(customer: Customer, /, **values: Any) -> dict[str, Any]:
    return {
        "customer": customer.pk,
        "name": "ACME-HQ",
        "scheme": "https",
        "host": "pbx.example.com",
        "port": "8088",
        "api_version": "v1.0.0",
        "username": "api",
        "password": "Api-Passw0rd",
        "trust": "pin",
        "tls_profile": "modern",
    } | values


def errors(acme: Customer, /, **values: Any) -> dict[str, list[str]]:
    form = PbxForm(typed(acme, **values), user=make_user("manager", acme))
    form.is_valid()
    return {name: [str(each) for each in found] for name, found in form.errors.items()}


def test_a_plain_record_passes_with_what_was_typed(acme: Customer) -> None:
    form = PbxForm(typed(acme, host="PBX.Example.com", name=" ＡＣＭＥ-HQ "), user=make_user("manager", acme))

    assert form.is_valid(), form.errors
    entered = form.entered()
    assert (entered["customer"], entered["password"]) == (acme, "Api-Passw0rd")
    assert (entered["values"]["host"], entered["values"]["port"], entered["values"]["name"]) == (
        "pbx.example.com",
        8088,
        "ACME-HQ",
    )


@pytest.mark.parametrize("name", ["customer", "name", "host", "port", "username", "password"])
def test_what_a_record_cannot_do_without_is_asked_for(acme: Customer, name: str) -> None:
    assert list(errors(acme, **{name: ""})) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "A\u202eB"),
        ("name", "x" * 61),
        ("host", "ftp://pbx.example.com"),
        ("port", "70000"),
        ("api_version", "v3.0.0"),
        ("scheme", "ftp"),
        ("trust", "maybe"),
        ("tls_profile", "medieval"),
        ("fingerprint", "ab"),
        ("ca_certificate", "no certificate"),
        ("customer", "4711"),
        ("customer", "x"),
    ],
)
def test_a_wrong_value_is_named_beside_its_field(acme: Customer, name: str, value: str) -> None:
    assert list(errors(acme, **{name: value})) == [name]


def test_a_pasted_web_address_comes_back_taken_apart_and_is_saved_when_confirmed(
    client: Client, acme: Customer
) -> None:
    client.force_login(make_user("manager", acme))
    pasted = typed(acme, host=" https://PBX.example.com:8443/whatever?x=canary ", scheme="http")

    answer = client.post("/pbxs/add/", pasted)

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Taken apart into HTTPS, PBX.example.com and port 8443. Check these fields and save again." in text_of(page)
    assert 'value="PBX.example.com"' in page
    assert 'value="8443"' in page
    assert re.search(r'<option value="https"\s+selected', page)
    assert "canary" not in page
    assert not Pbx.objects.exists()

    again = typed(acme, host="PBX.example.com", scheme="https", port="8443")
    assert client.post("/pbxs/add/", again).status_code == 302
    pbx = Pbx.objects.get()
    assert (pbx.scheme, pbx.host, pbx.port) == ("https", "pbx.example.com", 8443)


def test_a_host_with_a_port_keeps_the_protocol_that_was_chosen(acme: Customer) -> None:
    form = PbxForm(typed(acme, host="127.0.0.1:5000", scheme="http"), user=make_user("manager", acme))

    assert not form.is_valid()
    assert form.errors["host"] == ["Taken apart into 127.0.0.1 and port 5000. Check these fields and save again."]
    assert (form["scheme"].value(), form["host"].value(), form["port"].value()) == ("http", "127.0.0.1", "5000")


def test_a_web_address_of_no_host_is_named_so_as_well(acme: Customer) -> None:
    assert HOST_HELP in errors(acme, host="https://2852039166:8088/")["host"]


@pytest.mark.parametrize("wrong", [{"port": "0"}, {"host": "https://pbx.example.com"}, {"name": ""}])
def test_a_password_that_a_page_does_not_repeat_is_asked_for_again(acme: Customer, wrong: dict[str, str]) -> None:
    user, pbx = make_user("manager", acme), make_pbx(acme)

    for record in (None, pbx):
        typed_it = PbxForm(typed(acme, **wrong), user=user, pbx=record)
        left_it = PbxForm(typed(acme, password="", **wrong), user=user, pbx=record)
        assert not typed_it.is_valid()
        assert not left_it.is_valid()
        assert "Type it again" in typed_it["password"].help_text
        assert "Type it again" not in left_it["password"].help_text


def test_a_login_in_a_web_address_is_refused_and_not_shown_again(client: Client, acme: Customer) -> None:
    client.force_login(make_user("manager", acme))

    answer = client.post("/pbxs/add/", typed(acme, host="https://api:canary@pbx.example.com:8088/"))

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Enter the address without a user name and password" in page
    assert "Fill this in." not in page
    assert "canary" not in page


def test_trust_by_an_own_authority_needs_its_certificate(acme: Customer) -> None:
    assert list(errors(acme, trust="ca")) == ["ca_certificate"]


def test_a_pin_may_come_later_from_the_test(acme: Customer) -> None:
    assert errors(acme, trust="pin", fingerprint="") == {}


def test_only_customers_whose_pbxs_the_person_manages_can_be_chosen(acme: Customer) -> None:
    other = make_customer("Bellweather Clinics")

    assert list(errors(acme, customer=other.pk)) == ["customer"]


def test_a_name_is_used_once_for_a_customer(acme: Customer) -> None:
    make_pbx(acme, name="ACME-HQ")

    assert errors(acme, name="acme-hq") == {"name": ["Acme Logistics has a PBX with this name already."]}
    assert errors(acme, name="ACME-2") == {}


def test_the_password_is_asked_for_once(acme: Customer) -> None:
    pbx = make_pbx(acme)

    form = PbxForm(typed(acme, password=""), user=make_user("manager", acme), pbx=pbx)

    assert form.is_valid(), form.errors
    assert form.entered()["password"] == ""
    assert f"Set on {pbx.password_set_at:%Y-%m-%d}" in form["password"].help_text


def test_the_customer_is_fixed_after_first_contact(acme: Customer) -> None:
    pbx, other = make_pbx(acme), make_customer("Bellweather Clinics")
    pbx.last_contact_at = pbx.created_at

    form = PbxForm(typed(other, customer=other.pk), user=make_user("manager"), pbx=pbx)

    assert form.is_valid(), form.errors
    assert "customer" not in form.fields
    assert "customer" not in form.entered()["values"]


def test_choices_that_are_not_sent_stay_what_they_are(acme: Customer) -> None:
    pbx = make_pbx(acme, trust="system", tls_profile="legacy", api_version="v1.1.0")
    data = {name: value for name, value in typed(acme).items() if name not in ("trust", "tls_profile", "api_version")}

    form = PbxForm(data, user=make_user("manager", acme), pbx=pbx)

    assert form.is_valid(), form.errors
    values = form.entered()["values"]
    assert (values["trust"], values["tls_profile"], values["api_version"]) == ("system", "legacy", "v1.1.0")
