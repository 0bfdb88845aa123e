import pytest

from pbxadmin.access.models import Customer
from tests.factories import make_customer

pytest_plugins = ["tests.audit_flush", "tests.deadlines", "tests.pbx_http", "tests.simulated"]


@pytest.fixture
def acme() -> Customer:
    return make_customer("Acme Logistics")


@pytest.fixture
def bellweather() -> Customer:
    return make_customer("Bellweather Clinics")
