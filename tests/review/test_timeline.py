"""One timeline for an IVR, a PBX, a customer and a person, as far as each may see it."""

import re

import pytest
from django.utils import timezone

from ivr.models import Change, Ivr
from pbxadmin.access.services import membership_end
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from tests.factories import make_change, make_outside, make_pbx, make_user
from tests.walks import walked

pytestmark = pytest.mark.django_db


@pytest.fixture
def pbx(acme):
    pbx = make_pbx(acme, name="ACME-HQ")
    Ivr.objects.create(pbx=pbx, number="6500", name="Main", raw={}, read_at=timezone.now())
    return pbx


def change(pbx, number="6500", **more):
    said = {"customer": (pbx.customer_id, "Acme Logistics"), "pbx": (pbx.pk, pbx.name), "ivr": (number, "Main")} | more
    return record(EventAction.CHANGE_OUTCOME, outcome="verified", **said).pk


def seen(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, path
    part = answer.content.decode().partition('id="timeline"')[2]
    return [int(pk) for pk in re.findall(r'<li data-event="(\d+)"', part)]


def signed_in(client, role, customer=None, **more):
    client.force_login(make_user(role, customer, **more))
    return client


def test_an_ivr_shows_own_and_outside_changes_with_their_values(client, acme, pbx):
    fields = {"response_timeout": {"before": "3", "asked": "6", "found": "6"}}
    own, other = change(pbx, fields=fields, actor=Actor(7, "Mara")), change(pbx, "6501")
    outside = make_outside(pbx).pk
    page = signed_in(client, "viewer", acme).get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()

    assert seen(client, f"/pbxs/{pbx.pk}/ivrs/6500/") == [outside, own]
    assert re.search(r"Response timeout\s+<bdi>3 s</bdi> →\s+<bdi>6 s</bdi>", page)
    assert f'data-event="{outside}" data-tone="outside"' in page
    assert other in seen(client, f"/pbxs/{pbx.pk}/")


def test_a_renumbered_ivr_keeps_what_happened_under_its_old_number(client, acme, pbx):
    moved = make_change(pbx, number="6400")
    Change.objects.filter(pk=moved.pk).update(wanted={"number": "6500"})
    before = change(pbx, "6400", change_id=moved.pk)

    assert seen(signed_in(client, "viewer", acme), f"/timeline/?pbx={pbx.pk}&ivr=6500") == [before]


@pytest.mark.parametrize(("role", "sees_all"), [("viewer", False), ("helpdesk", False), ("auditor", True)])
def test_records_and_roles_are_for_who_reviews_the_log(client, acme, pbx, role, sees_all):
    own = change(pbx)
    edited = record(EventAction.PBX_EDITED, customer=(acme.pk, acme.name), pbx=(pbx.pk, pbx.name)).pk
    signed_in(client, role, acme)
    roles = Event.objects.filter(action="membership.granted").values_list("pk", flat=True)

    page = client.get(f"/pbxs/{pbx.pk}/").content.decode()

    assert seen(client, f"/pbxs/{pbx.pk}/")[: 1 + sees_all] == ([edited, own] if sees_all else [own])
    assert (set(roles) <= set(seen(client, f"/timeline/?customer={acme.pk}"))) is sees_all
    assert ('href="/audit/?pbx=' in page) is sees_all


def test_a_person_shows_what_they_did_and_what_was_done_to_their_access(client, acme, pbx):
    mara = make_user("helpdesk", acme, username="mara")
    signed_in(client, None, is_superuser=True)
    did = change(pbx, actor=Actor(mara.pk, "Mara"))
    membership_end(membership=mara.memberships.get())

    found = seen(client, f"/people/{mara.pk}/")

    assert [Event.objects.get(pk=pk).action for pk in found] == [
        "membership.ended",
        "change.outcome",
        "membership.granted",
    ]
    assert did in found


def test_older_ones_follow_page_by_page(client, acme, pbx, monkeypatch):
    monkeypatch.setattr("pbxadmin.review.views.timeline.PAGE_SIZE", 3)
    made = [change(pbx) for _ in range(7)]
    signed_in(client, "viewer", acme)

    def older_than(path):
        older = re.search(r'href="(/timeline/[^"]+before=\d+)"', client.get(path).content.decode())
        return older and older[1].replace("&amp;", "&")

    paths = walked(f"/timeline/?pbx={pbx.pk}&ivr=6500", older_than)

    assert [seen(client, path) for path in paths] == [made[:3:-1], made[3:0:-1], made[:1]]


def test_nobody_learns_of_another_customer(client, acme, bellweather, pbx):
    theirs = make_pbx(bellweather, name="BELL-HQ")
    person = make_user("helpdesk", bellweather)
    change(pbx)
    for role in ("viewer", "auditor", "manager"):
        signed_in(client, role, acme)
        for query in (f"pbx={theirs.pk}", f"customer={bellweather.pk}", f"person={person.pk}", "", "pbx=nonsense"):
            assert client.get(f"/timeline/?{query}").status_code == 404, (role, query)


def test_who_sees_all_customers_without_reviewing_sees_no_event_of_the_installation(client, acme, pbx):
    own = change(pbx)
    record(EventAction.REFRESH_FAILED, pbx=(pbx.pk, pbx.name))

    assert seen(signed_in(client, "helpdesk"), f"/timeline/?pbx={pbx.pk}") == [own]


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_it_takes_few_queries(client, acme, pbx, role, django_assert_max_num_queries):
    for number in range(20):
        change(pbx, change_id=number + 1)
    signed_in(client, role, acme)
    client.get("/timeline/")

    with django_assert_max_num_queries(12):
        assert len(seen(client, f"/timeline/?pbx={pbx.pk}&ivr=6500")) == 20
