"""An IVR that cannot be opened for an edit: the page and the API answer the same, in the same words."""

from typing import Any

import pytest
from django.test import Client

from pbxadmin.access.models import User
from pbxadmin.fleet.models import Pbx
from pbxadmin.yeastar.simulator import Fault, SimulatedPbx
from tests.api.conftest import Script
from tests.drills.edits import text_of

pytestmark = [pytest.mark.tls, pytest.mark.django_db, pytest.mark.usefixtures("short_deadlines")]

FAULTS: dict[str, tuple[Fault, dict[str, Any]]] = {
    "no connection": (Fault.CLOSE_ON_ACCEPT, {}),
    "another certificate": (Fault.OTHER_CERTIFICATE, {}),
    "no answer": (Fault.CLOSE, {"call": "ivr/query"}),
    "wrong password": (Fault.ERRNO, {"call": "login", "errno": "20003"}),
    "locked": (Fault.ERRNO, {"call": "login", "errno": "20002"}),
    "API off": (Fault.ERRNO, {"call": "login", "errno": "10003"}),
    "busy": (Fault.ERRNO, {"call": "ivr/query", "errno": "20010"}),
    "no list": (Fault.PAYLOAD, {"call": "ivr/query", "payload": {"status": "Success", "ivr": "none"}}),
    "gone": (Fault.ERRNO, {"call": "ivr/query", "errno": "10012"}),
}


@pytest.mark.parametrize(("fault", "order"), FAULTS.values(), ids=FAULTS)
def test_both_are_told_why(
    manager: Client, max_: User, pbx: Pbx, simulated_pbx: SimulatedPbx, fault: Fault, order: dict[str, Any]
) -> None:
    path = f"/pbxs/{pbx.pk}/ivrs/6500"
    told = []
    for open_it in (
        lambda: manager.get(f"{path}/edit/"),
        lambda: Script(max_).post(f"{path}/changes", {"values": {"response_timeout": 6}}),
    ):
        simulated_pbx.misbehave(fault, **order)
        told.append(open_it())
        simulated_pbx.behave()
        Pbx.objects.update(state="reachable", failures=0, paused_until=None, locked_until=None, token="")

    page, answer = told
    assert page.status_code == answer.status_code
    if page.status_code != 404:
        assert answer.json()["detail"] in text_of(page.content.decode())
