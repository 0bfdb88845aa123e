import pytest
from hypothesis import HealthCheck, settings

from pbxadmin.access.models import Customer
from tests.factories import make_customer

# A busy machine draws and runs examples slowly; that is no property of ours.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

pytest_plugins = ["tests.audit_flush", "tests.deadlines", "tests.pbx_http", "tests.simulated"]


@pytest.fixture
def acme() -> Customer:
    return make_customer("Acme Logistics")


@pytest.fixture
def bellweather() -> Customer:
    return make_customer("Bellweather Clinics")
