from functools import partial

import pytest
from django.test import Client

from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import SimulatedPbx
from pbxadmin.yeastar.transport import Transport
from tests.factories import make_user

from .edits import record_of

EXCHANGE_S = 0.9  # a dripped answer takes longer than that, and a busy machine less


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange may last 0.9 s, not 8: the same product, and a table that can be run."""
    monkeypatch.setattr("pbxadmin.fleet.pbx_sessions.Transport", partial(Transport, exchange_s=EXCHANGE_S))
    monkeypatch.setattr("pbxadmin.fleet.connection_test.HANDSHAKE_S", EXCHANGE_S)


@pytest.fixture
def pbx(simulated_pbx: SimulatedPbx) -> Pbx:
    return record_of(simulated_pbx)


@pytest.fixture
def manager(client: Client, pbx: Pbx) -> Client:
    client.force_login(make_user("manager", pbx.customer, username="max"))
    return client
