import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from playwright.sync_api import Browser, Page

from ivr.refresh import pbx_refresh
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import SYSTEM
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import Fleet, SimulatedPbx
from tests.factories import PASSWORD, make_pbx, make_user

from .chromium import CHROMIUM, FLAGS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    return {"executable_path": CHROMIUM, "args": FLAGS, "headless": True}


@pytest.fixture(autouse=True, scope="session")
def _orm_beside_playwright() -> Iterator[None]:
    """Playwright keeps an event loop in this thread, which Django would take for asynchronous code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture
def twin(make_fleet: Callable[..., Fleet]) -> SimulatedPbx:
    """The simulated PBX that `pbx` is the record of."""
    return make_fleet().pbxs[0]


@pytest.fixture
def pbx(transactional_db: None, twin: SimulatedPbx) -> Pbx:
    """The record of a simulated PBX, read once."""
    at: dict[str, Any] = {"host": "127.0.0.1", "port": twin.port, "fingerprint": twin.fingerprint}
    pbx = make_pbx(name="ACME-HQ", username=twin.username, password=twin.password, **at)
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    pbx.refresh_from_db()
    return pbx


@pytest.fixture
def signed_in(browser: Browser, live_server: Any, pbx: Pbx) -> Iterator[Callable[..., Page]]:
    """A page of somebody who has signed in through the form."""

    def open_page(role: Role = Role.HELPDESK, **options: Any) -> Page:
        make_user(role, pbx.customer, username=role.value, first_name="Mara", last_name="Lindqvist")
        page = browser.new_context(base_url=live_server.url, **options).new_page()
        page.goto("/")
        page.get_by_label("Username").fill(role.value)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        return page

    with override_settings(DEBUG=False):
        yield open_page
