"""The list of customers, with figures of each."""

import re
from datetime import UTC, datetime

import pytest
import time_machine
from django.test import Client
from django.utils.html import strip_tags

from pbxadmin.access.models import Customer
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.readings import IvrSettings
from tests.factories import make_change, make_outside, make_pbx, make_snapshots, make_user

pytestmark = pytest.mark.django_db


def figures(client: Client, customer: Customer) -> list[str]:
    """Return the cells after the name of a customer."""
    page = client.get("/customers/").content.decode()
    row = re.search(rf'<tr data-customer="{customer.pk}".*?</tr>', page, re.DOTALL)
    assert row is not None
    return [strip_tags(cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row[0], re.DOTALL)][1:]


def test_each_customer_has_figures_of_its_own(client: Client, acme: Customer, bellweather: Customer) -> None:
    hq, depot = make_pbx(acme), make_pbx(acme, name="DEPOT")
    make_snapshots(hq, IvrSettings(number="6500", name="Main_Menu", prompt_repeat="5"))
    Pbx.objects.filter(pk=hq.pk).update(ivr_count=5, state="unreachable")
    Pbx.objects.filter(pk=depot.pk).update(ivr_count=2, state="untrusted", is_enabled=False)
    make_outside(hq)
    with time_machine.travel(datetime.now(UTC), tick=False):
        make_change(hq)
        client.force_login(make_user("viewer"))
        assert figures(client, acme) == ["2", "1 PBX", "7", "1", "just now"]
    assert figures(client, bellweather) == ["0", "", "0", "0", "none"]


def test_it_says_how_many_there_are_and_what_narrows_it(client: Client, acme: Customer, bellweather: Customer) -> None:
    client.force_login(make_user("viewer"))

    assert "data-say>2 customers</p>" in client.get("/customers/").content.decode()
    page = client.get("/customers/?q=acme").content.decode()
    assert "data-say>1 of 2 customers</p>" in page
    assert "“<bdi>acme</bdi>”" in page or "<bdi>“acme”</bdi>" in page
