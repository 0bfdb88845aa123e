"""Credentials, certificates, the API version and deleting ask for re-authentication; looking and testing do not."""

from datetime import UTC, datetime

import pytest

from pbxadmin.fleet.models import Pbx
from tests.factories import make_pbx, make_user

pytestmark = pytest.mark.django_db
PROVE = "/accounts/reauthenticate/?next="


@pytest.fixture
def manager(client, time_machine):
    """A manager who signed in a while ago."""
    time_machine.move_to(datetime.now(UTC))
    client.force_login(make_user("manager"))
    time_machine.shift(16 * 60)
    return client


@pytest.mark.parametrize("what", ["edit", "pin", "accept", "use-version", "delete"])
def test_a_pbx_is_not_changed_without_it(manager, what):
    pbx = make_pbx()

    answer = manager.post(f"/pbxs/{pbx.pk}/{what}/", {}, headers={"Referer": f"http://testserver/pbxs/{pbx.pk}/"})

    assert (answer.status_code, answer["Location"]) == (302, f"{PROVE}%2Fpbxs%2F{pbx.pk}%2F")


@pytest.mark.parametrize("address", ["{}/edit/", "{}/delete/", "import/"])
def test_pages_that_change_pbxs_ask_for_it_when_they_open(manager, address):
    url = f"/pbxs/{address.format(make_pbx().pk)}"

    assert manager.get(url)["Location"].startswith(PROVE)


def test_a_pbx_is_not_deleted_nor_talked_to_by_another_version_without_it(manager):
    pbx = make_pbx(capability="v2.0.0")

    manager.post(f"/pbxs/{pbx.pk}/use-version/", {"version": "v2.0.0"})
    manager.post(f"/pbxs/{pbx.pk}/delete/", {"name": pbx.name})

    assert Pbx.objects.get().api_version == "v1.0.0"


def test_looking_at_a_pbx_does_not_ask(manager):
    assert manager.get(f"/pbxs/{make_pbx().pk}/").status_code == 200
    assert manager.get("/pbxs/add/").status_code == 200
