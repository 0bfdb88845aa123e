import pytest
from django.test import Client
from hypothesis import HealthCheck, settings

from pbxadmin.access.models import Customer
from tests.factories import make_customer
from tests.markup import reading

# A busy machine draws and runs examples slowly; that is no property of ours.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

pytest_plugins = [
    "tests.connections",
    "tests.deadlines",
    "tests.flush",
    "tests.pbx_http",
    "tests.shares",
    "tests.simulated",
]


@pytest.fixture(autouse=True)
def pages_as_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on how the lines of a template are broken."""
    monkeypatch.setattr(Client, "request", reading(Client.request))


@pytest.fixture
def acme() -> Customer:
    return make_customer("Acme Logistics")


@pytest.fixture
def bellweather() -> Customer:
    return make_customer("Bellweather Clinics")
