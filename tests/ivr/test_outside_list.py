"""The list of what changed without us: who sees what, what is open, and decisions that leave the list in place."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from ivr.models import Change, Ivr, OutsideChange
from ivr.outside_visits import visit_note
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import SYSTEM
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import Batch
from pbxadmin.batches.work import batch_work
from pbxadmin.fleet.models import Pbx
from tests.factories import make_outside, make_pbx, make_user
from tests.pbx_http import PbxDouble

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pbx(acme: Customer, pbx_http: PbxDouble) -> Pbx:
    pbx = make_pbx(acme)
    pbx_http.add("6501")
    read(pbx)
    return pbx


def read(pbx: Pbx) -> None:
    pbx_refresh(pbx=Pbx.objects.get(pk=pbx.pk), actor=SYSTEM)


def moved(pbx: Pbx, pbx_http: PbxDouble, number: str = "6500", **fields: str) -> int:
    """Change something on the PBX, read it, and return the id of the event."""
    pbx_http.ivrs[number].update(fields or {"promptrepeat": "1"})
    read(pbx)
    return OutsideChange.objects.filter(pbx_id=pbx.pk, number=number)[0].pk


def state_of(pk: int) -> str:
    return OutsideChange.objects.get(pk=pk).state


def as_role(client: Client, role: Role, customer: Customer) -> Client:
    client.force_login(make_user(role, customer))
    return client


def listed(client: Client, query: str = "") -> list[int]:
    page = client.get(f"/outside/{query}").content.decode()
    return [int(pk) for pk in re.findall(r'data-outside="(\d+)"', page)]


def test_each_role_sees_its_own_and_decides_what_it_may(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, bellweather: Customer
) -> None:
    other = make_outside(make_pbx(bellweather, name="BELL-HQ")).pk
    event = moved(pbx, pbx_http)
    found = {}
    for role in Role:
        page = as_role(client, role, pbx.customer).get("/outside/").content.decode()
        assert f'data-outside="{event}"' in page
        assert f'data-outside="{other}"' not in page
        assert "BELL" not in page
        found[role] = [offer for offer in ("/accept/", "/changes/restore/", "/outside/restore/") if offer in page]

    assert found == {
        Role.VIEWER: [],
        Role.HELPDESK: ["/accept/", "/changes/restore/"],
        Role.AUDITOR: ["/accept/"],
        Role.MANAGER: ["/accept/", "/changes/restore/", "/outside/restore/"],
    }


def test_filters_narrow_it(client: Client, pbx: Pbx, pbx_http: PbxDouble, acme: Customer) -> None:
    repeat, dials = moved(pbx, pbx_http), moved(pbx, pbx_http, "6501", dialoutboundroutes="on")
    del pbx_http.ivrs["6501"]
    read(pbx)
    gone = OutsideChange.objects.latest("event_id").pk
    as_role(client, Role.VIEWER, acme)
    today = timezone.now().date()

    assert listed(client) == [gone, dials, repeat]
    assert listed(client, "?state=open") == [gone, repeat]
    assert listed(client, "?state=decided") == [dials]
    assert listed(client, "?kind=vanished") == [gone]
    assert listed(client, "?field=dial_outbound&kind=changed") == [dials]
    assert listed(client, f"?pbx={pbx.pk}&ivr=6500") == [repeat]
    assert listed(client, f"?customer={acme.pk + 1}") == []
    assert listed(client, f"?from={today + timedelta(days=1)}") == []
    assert listed(client, f"?to={today}&kind=changed") == [dials, repeat]
    assert listed(client, "?from=nonsense&kind=nonsense") == [gone, dials, repeat]


def test_one_is_accepted_in_its_place(client: Client, pbx: Pbx, pbx_http: PbxDouble, acme: Customer) -> None:
    first, second = moved(pbx, pbx_http), moved(pbx, pbx_http, "6501")
    as_role(client, Role.HELPDESK, acme)
    address = f"/outside/{first}/accept/"

    row = client.post(address, {"list": "state=open"}, headers={"HX-Request": "true", "HX-Target": f"outside-{first}"})
    back = client.post(f"/outside/{second}/accept/", {"list": "state=open&cursor=x"})

    assert row.content.decode().strip().startswith("<tr")
    assert f'data-outside="{first}" data-state="accepted"' in row.content.decode()
    assert re.search(r'id="open-outside"\s+hx-swap-oob="true"\s+data-open="1"', row.content.decode()), (
        "also in the rail"
    )
    assert back["Location"] == "/outside/?state=open&cursor=x"
    assert (state_of(first), state_of(second)) == ("accepted", "accepted")
    assert listed(client, "?state=open") == []


def test_many_are_accepted_with_one_note(client: Client, pbx: Pbx, pbx_http: PbxDouble, acme: Customer) -> None:
    chosen = [moved(pbx, pbx_http), moved(pbx, pbx_http, "6501")]
    as_role(client, Role.AUDITOR, acme)

    answer = client.post("/outside/accept/?state=open", {"event": chosen, "note": "Told by phone."})

    assert answer["Location"] == "/outside/?state=open"
    accepted = Event.objects.filter(action="ivr.outside-accepted")
    assert [event.data["reason"] for event in accepted] == ["Told by phone."] * 2
    assert client.post("/outside/accept/", {"event": [chosen[0], 987654]}).status_code == 404


def test_it_is_closed_by_what_overrides_or_restores_it_and_opens_when_it_holds_again(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, acme: Customer
) -> None:
    first = moved(pbx, pbx_http, promptrepeat="1")
    second = moved(pbx, pbx_http, promptrepeat="5")
    assert (state_of(first), state_of(second)) == ("overridden", "open")

    value = pbx_http.ivrs["6500"].pop("promptrepeat")
    read(pbx)
    assert state_of(second) == "overridden"
    pbx_http.ivrs["6500"]["promptrepeat"] = value
    read(pbx)
    assert state_of(second) == "open"

    as_role(client, Role.HELPDESK, acme)
    client.post(f"/changes/restore/{second}/", {"form": "1"})
    change = Change.objects.get()
    client.post(f"/changes/{change.pk}/apply/")
    assert pbx_http.ivrs["6500"]["promptrepeat"] == "1"
    assert state_of(second) == "restored"
    assert "Restored" in client.get("/outside/").content.decode()


def test_many_are_restored_in_a_batch(client: Client, pbx: Pbx, pbx_http: PbxDouble, acme: Customer) -> None:
    chosen = [moved(pbx, pbx_http), moved(pbx, pbx_http, "6501", responsetimeout="9")]
    chosen.append(moved(pbx, pbx_http, "6501", digittimeout="8"))
    decided = moved(pbx, pbx_http, "6500", digittimeout="9")
    as_role(client, Role.MANAGER, acme)
    client.post(f"/outside/{decided}/accept/")

    page = client.post("/outside/restore/", {"event": [*chosen, decided]}).content.decode()
    assert "ACME-HQ 6500: it is decided already." in page
    assert "Response timeout 9 s → 3 s" in page
    pace = {"canary": "3", "pbxs_at_once": "4", "halt_after": "3"}
    answer = client.post("/outside/restore/", {"event": chosen, "reason": "Not agreed.", **pace})

    batch = Batch.objects.get()
    assert answer["Location"] == f"/batches/{batch.pk}/"
    asked = {target.number: target.asked for target in batch.targets.all()}
    assert asked == {
        "6500": {"prompt_repeat": "3"},
        "6501": {"response_timeout": "3", "digit_timeout": "3"},
    }
    batch_work.call(batch.pk)
    client.post(f"/batches/{batch.pk}/start/")
    batch_work.call(batch.pk)
    assert pbx_http.ivrs["6501"]["digittimeout"] == "3"
    assert [state_of(pk) for pk in (*chosen, decided)] == ["restored"] * 3 + ["accepted"]


def test_since_your_last_visit(client: Client, pbx: Pbx, acme: Customer) -> None:
    person = make_user(Role.VIEWER, acme)
    client.force_login(person)
    monday = timezone.now()
    with time_machine.travel(monday - timedelta(days=3), tick=False) as clock:
        seen = make_outside(pbx).pk
        assert listed(client, "?visit=on") == [seen]
        clock.shift(timedelta(minutes=50))
        assert listed(client, "?visit=on") == [seen]
        clock.shift(timedelta(minutes=10))
        new = make_outside(pbx, "6501").pk
    with time_machine.travel(monday, tick=False) as clock:
        client.force_login(person)
        assert listed(client, "?visit=on") == [new]
        clock.shift(timedelta(minutes=5))
        assert listed(client, "?visit=on") == [new]
        assert visit_note(person.pk) == monday - timedelta(days=3) + timedelta(minutes=49)


def test_it_takes_as_many_queries_however_many_there_are(
    client: Client, pbx: Pbx, acme: Customer, django_assert_max_num_queries: Any
) -> None:
    pbxs = [make_pbx(acme, name=f"ACME-{place}") for place in range(20)]
    for each in (*pbxs, *pbxs, *pbxs):
        Ivr.objects.get_or_create(pbx=each, number="6500", defaults={"prompt_repeat": "5", "read_at": timezone.now()})
        make_outside(each)
    as_role(client, Role.MANAGER, acme)
    listed(client)

    with django_assert_max_num_queries(13):
        assert len(listed(client)) == 50


def test_the_rail_and_other_pages_lead_to_it(client: Client, pbx: Pbx, pbx_http: PbxDouble, acme: Customer) -> None:
    moved(pbx, pbx_http)
    as_role(client, Role.HELPDESK, acme)

    home = client.get("/").content.decode()
    assert 'data-open="1"' in home
    assert 'href="/outside/?state=open"' in home
    assert f'href="/outside/?pbx={pbx.pk}&amp;ivr=6500"' in client.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()
    assert f"/outside/?customer={acme.pk}&amp;pbx={pbx.pk}" in client.get(f"/pbxs/{pbx.pk}/").content.decode()
    assert f'href="/outside/?customer={acme.pk}"' in client.get(f"/customers/{acme.pk}/").content.decode()
    pbx.is_enabled = False
    pbx.save()
    assert "data-open=" not in client.get("/").content.decode()
