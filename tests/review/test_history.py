"""What the log says of an IVR, a PBX, a customer and a person, on their own pages."""

import re

import pytest
from django.utils import timezone

from ivr.models import Ivr
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import record
from tests.factories import make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def pbx(acme):
    return make_pbx(acme)


@pytest.fixture
def auditor(client, acme):
    client.force_login(make_user("auditor", acme))
    return client


def listed(client, query):
    answer = client.get(f"/audit/history/?{query}", headers=HTMX)
    assert answer.status_code == 200
    return [int(pk) for pk in re.findall(r'href="/audit/(\d+)/"', answer.content.decode())]


def test_it_is_the_newest_of_the_same_filter_as_the_log(auditor, acme, pbx):
    customer, named = (acme.pk, acme.name), (pbx.pk, pbx.name)
    made = [
        record(EventAction.CHANGE_OUTCOME, customer=customer, pbx=named, ivr=("6500", "Main")).pk for _ in range(10)
    ]
    other = record(
        EventAction.CHANGE_OUTCOME, customer=customer, pbx=named, ivr=("6501", "Other"), actor=Actor(7, "Mara")
    ).pk

    assert listed(auditor, f"pbx={pbx.pk}&ivr=6500") == made[:1:-1]
    assert listed(auditor, f"pbx={pbx.pk}") == [other, *made[:2:-1]]
    assert listed(auditor, f"customer={acme.pk}") == [other, *made[:2:-1]]
    assert listed(auditor, "actor=7") == [other]
    assert "No events yet" in auditor.get("/audit/history/?actor=999", headers=HTMX).content.decode()


def test_nobody_learns_of_another_customers_events(auditor, acme):
    theirs = make_customer("Bellweather Clinics")
    record(EventAction.PBX_EDITED, customer=(theirs.pk, theirs.name), pbx=(9, "BELL-HQ"), actor=Actor(7, "Mara"))
    record(EventAction.SESSION_SIGNED_IN, actor=Actor(7, "Mara"))

    for query in (f"customer={theirs.pk}", "pbx=9", "actor=7"):
        assert listed(auditor, query) == []


@pytest.mark.parametrize("role", ["viewer", "helpdesk", "manager"])
def test_who_may_not_review_gets_none_and_is_offered_none(client, acme, pbx, role):
    client.force_login(make_user(role, acme))

    assert client.get(f"/audit/history/?pbx={pbx.pk}", headers=HTMX).status_code == 403
    for page in (f"/pbxs/{pbx.pk}/", f"/customers/{acme.pk}/"):
        assert "/audit/" not in client.get(page).content.decode()


def test_without_htmx_it_leads_to_the_log(auditor):
    assert auditor.get("/audit/history/?pbx=5&ivr=6500")["Location"] == "/audit/?pbx=5&ivr=6500"


def test_pages_of_what_it_is_about_load_it_and_lead_to_the_log(auditor, acme, pbx):
    Ivr.objects.create(pbx=pbx, number="*98", name="Main", raw={}, read_at=timezone.now())

    for page, query in (
        (f"/pbxs/{pbx.pk}/", f"pbx={pbx.pk}"),
        (f"/pbxs/{pbx.pk}/ivrs/*98/", f"pbx={pbx.pk}&amp;ivr=%2A98"),
        (f"/customers/{acme.pk}/", f"customer={acme.pk}"),
    ):
        content = auditor.get(page).content.decode()
        assert f'hx-get="/audit/history/?{query}" hx-trigger="load"' in content, page
        assert f'href="/audit/?{query}">All events' in content


def test_the_page_of_a_person_does_too(client):
    client.force_login(make_user(is_superuser=True))
    person = make_user("helpdesk")

    assert f'href="/audit/?actor={person.pk}">All events' in client.get(f"/people/{person.pk}/").content.decode()
