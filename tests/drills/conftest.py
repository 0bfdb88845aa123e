import pytest
from django.test import Client

from pbxadmin.access.models import User
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import SimulatedPbx
from tests.astray import environment_leads_astray  # noqa: F401
from tests.factories import make_user

from .edits import record_of
from .hands import Hand, hand_of


@pytest.fixture
def pbx(simulated_pbx: SimulatedPbx) -> Pbx:
    return record_of(simulated_pbx)


@pytest.fixture
def max_(pbx: Pbx) -> User:
    return make_user("manager", pbx.customer, username="max")


@pytest.fixture
def manager(client: Client, max_: User) -> Client:
    client.force_login(max_)
    return client


@pytest.fixture(params=["page", "api"])
def hand(request: pytest.FixtureRequest, manager: Client, max_: User) -> Hand:
    """A manager over the pages, and a script with a key of the same manager."""
    return hand_of(request.param, manager, max_)
