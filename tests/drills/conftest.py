import pytest
from django.test import Client

from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import SimulatedPbx
from tests.astray import environment_leads_astray  # noqa: F401
from tests.factories import make_user

from .edits import record_of


@pytest.fixture
def pbx(simulated_pbx: SimulatedPbx) -> Pbx:
    return record_of(simulated_pbx)


@pytest.fixture
def manager(client: Client, pbx: Pbx) -> Client:
    client.force_login(make_user("manager", pbx.customer, username="max"))
    return client
