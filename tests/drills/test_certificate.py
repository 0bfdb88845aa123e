"""Another certificate than the pinned one: nothing is sent, until somebody who may accepts it and says why."""

import pytest
from django.test import Client

from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.templatetags.fleet import fingerprint
from pbxadmin.yeastar.simulator import ALWAYS, Fault, SimulatedPbx
from tests.drills.edits import planned
from tests.factories import make_user

pytestmark = [pytest.mark.tls, pytest.mark.django_db, pytest.mark.usefixtures("short_deadlines")]


def signed_in(pbx: Pbx, role: str) -> Client:
    client = Client()
    client.force_login(make_user(role, pbx.customer, username=role))
    return client


def offered(page: str) -> str:
    return page.split('name="fingerprint" value="')[1].split('"')[0]


def test_another_certificate_gets_no_byte_of_any_page(pbx: Pbx, simulated_pbx: SimulatedPbx) -> None:
    manager = signed_in(pbx, "manager")
    change = planned(manager, pbx, response_timeout="6")
    simulated_pbx.misbehave(Fault.OTHER_CERTIFICATE, times=ALWAYS)
    received = simulated_pbx.bytes_received

    pages = [
        manager.get(f"/pbxs/{pbx.pk}/ivrs/6500/edit/"),
        manager.post(f"{change.get_absolute_url()}apply/", follow=True),
        manager.post(f"/pbxs/{pbx.pk}/refresh/", follow=True),
        manager.post(f"/pbxs/{pbx.pk}/test/", {"detect": "on"}),
    ]

    assert simulated_pbx.bytes_received == received
    assert all("not the pinned one" in page.content.decode() for page in pages)
    assert Pbx.objects.get().state == "untrusted"


def test_both_certificates_are_shown_and_the_new_one_is_accepted_with_a_reason(
    pbx: Pbx, simulated_pbx: SimulatedPbx
) -> None:
    manager, helpdesk = signed_in(pbx, "manager"), signed_in(pbx, "helpdesk")
    simulated_pbx.misbehave(Fault.OTHER_CERTIFICATE, times=ALWAYS)
    page = manager.post(f"/pbxs/{pbx.pk}/test/").content.decode()
    new = offered(page)

    by_helpdesk = helpdesk.post(f"/pbxs/{pbx.pk}/pin/", {"fingerprint": new, "reason": "swapped"})
    manager.post(f"/pbxs/{pbx.pk}/pin/", {"fingerprint": new})
    before = Pbx.objects.get().fingerprint
    manager.post(f"/pbxs/{pbx.pk}/pin/", {"fingerprint": new, "reason": "swapped by the vendor"})

    assert fingerprint(new) in page
    assert fingerprint(simulated_pbx.fingerprint) in page
    assert (by_helpdesk.status_code, before) == (403, simulated_pbx.fingerprint)
    assert Pbx.objects.get().fingerprint == new != simulated_pbx.fingerprint
    event = Event.objects.get(action="pbx.pinned").data
    assert (event["reason"], event["fields"]["fingerprint"]["before"]) == ("swapped by the vendor", before)
    assert manager.get(f"/pbxs/{pbx.pk}/ivrs/6500/edit/").status_code == 200
