"""What a new user of the demo meets."""

import pytest

from pbxadmin.access.models import Customer
from pbxadmin.fleet.models import Pbx
from pbxadmin.ops.demo.fleet import COUNTRIES, record_keep
from pbxadmin.ops.demo.people import CUSTOMERS, PEOPLE, customers_keep, kept_passwords, people_keep, sign_ins
from pbxadmin.yeastar.simulator.seed import PREFIXES, SITES
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


def test_the_site_and_tags_of_a_pbx_are_those_of_its_name():
    simulated = {"scheme": "https", "port": 8088, "username": "api", "password": "x", "fingerprint": "0" * 64}

    record_keep({"ACME": make_customer()}, simulated | {"name": "ACME-Hamburg-2"}, 4)

    pbx = Pbx.objects.get()
    assert (pbx.site, pbx.tag_list) == ("Hamburg, Germany", ["germany", "vip"])


def test_every_place_and_customer_that_a_simulated_pbx_is_named_for_is_known():
    assert set(SITES) == set(COUNTRIES)
    assert set(PREFIXES) == set(CUSTOMERS)


def test_people_and_customers_are_added_once():
    passwords = {each.username: f"{each.username}-secret" for each in PEOPLE}
    people_keep(customers_keep(), passwords)
    people = people_keep(customers_keep(), {})

    assert list(people) == [each.username for each in PEOPLE]
    assert Customer.objects.count() == len(CUSTOMERS)
    assert people["admin"].is_superuser
    assert [each.role for each in people["mara"].memberships.all()] == ["helpdesk"]


def test_everybody_has_a_line_to_sign_in_with_below_what_they_are(settings, tmp_path):
    settings.DATA_DIR = tmp_path

    lines = list(sign_ins(passwords := kept_passwords()))

    assert lines[0] == "All customers: site admin, manager, auditor"
    assert f"mara / {passwords['mara']}" in lines[lines.index("Acme Logistics: manager, helpdesk, viewer") :]
    assert sum(" / " in line for line in lines) == len(PEOPLE)
