"""A PBX with six IVRs at the HTTP edge, and a manager of its customer who is signed in."""

import pytest
from django.test import Client

from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import SYSTEM
from pbxadmin.fleet.models import Pbx
from tests.batches.job import NUMBERS
from tests.factories import make_pbx, make_user
from tests.pbx_http import PbxDouble


@pytest.fixture(autouse=True)
def no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbxadmin.batches.work.pace_keep", lambda batch, unit: None)


@pytest.fixture
def pbx(acme: Customer, pbx_http: PbxDouble) -> Pbx:
    pbx = make_pbx(acme)
    for number in NUMBERS[1:]:
        pbx_http.add(number)
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    return pbx


@pytest.fixture
def manager(acme: Customer) -> User:
    return make_user(Role.MANAGER, acme, username="mara", first_name="Mara")


@pytest.fixture
def client(client: Client, manager: User) -> Client:
    client.force_login(manager)
    return client
