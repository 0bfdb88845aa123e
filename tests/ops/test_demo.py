"""What a new user of the demo meets."""

import pytest

from pbxadmin.fleet.models import Pbx
from pbxadmin.ops.demo import COUNTRIES, PEOPLE, keep_record, kept_passwords, sign_ins
from pbxadmin.yeastar.simulator.seed import SITES
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


def test_the_site_and_tags_of_a_pbx_are_those_of_its_name():
    simulated = {"scheme": "https", "port": 8088, "username": "api", "password": "x", "fingerprint": "0" * 64}

    keep_record(make_customer(), simulated | {"name": "ACME-Hamburg-2"}, 4)

    pbx = Pbx.objects.get()
    assert (pbx.site, pbx.tag_list) == ("Hamburg, Germany", ["germany", "vip"])


def test_every_place_that_a_simulated_pbx_is_named_for_is_known():
    assert set(SITES) == set(COUNTRIES)


def test_everybody_has_a_line_to_sign_in_with_below_what_they_are(settings, tmp_path):
    settings.DATA_DIR = tmp_path

    lines = list(sign_ins(passwords := kept_passwords()))

    assert lines[0] == "All customers: site admin, manager, auditor"
    assert f"mara / {passwords['mara']}" in lines[lines.index("Acme Logistics: manager, helpdesk, viewer") :]
    assert sum(" / " in line for line in lines) == len(PEOPLE)
