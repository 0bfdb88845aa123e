"""Batches through the API."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pbxadmin.access.models import User
from pbxadmin.access.roles import Role
from pbxadmin.batches.models import Batch, BatchState, BatchTarget, TargetClass
from pbxadmin.yeastar.readings import IvrSettings
from tests.factories import make_pbx, make_snapshots, make_user

from .conftest import Script

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("as_sent", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S"], ids=["with its zone", "without"])
def test_a_time_is_utc_whatever_the_zone_of_the_person(acme, as_sent):
    person = make_user(Role.MANAGER, acme)
    User.objects.filter(pk=person.pk).update(time_zone="Pacific/Auckland")
    pbx = make_pbx(acme)
    make_snapshots(pbx, IvrSettings(number="6500", name="Main", response_timeout="3"))
    until = (timezone.now() + timedelta(days=2)).replace(microsecond=0)
    asked = {"ivrs": [{"pbx": pbx.pk, "number": "6500"}], "values": {"response_timeout": 9}, "canary": 1}

    answer = Script(person).post("/batches", asked | {"keep_trying_until": until.strftime(as_sent)})

    assert answer.status_code == 201, answer.content
    assert Batch.objects.get().keep_trying_until == until


def test_the_queries_of_the_list_do_not_grow(acme):
    script = Script(make_user(Role.MANAGER, acme))
    pbx = make_pbx(acme)
    make_snapshots(pbx, IvrSettings(number="6500", name="Main", response_timeout="3"))
    asked = {"ivrs": [{"pbx": pbx.pk, "number": "6500"}], "values": {"response_timeout": 9}, "canary": 1}
    counts = []

    for _ in range(2):
        script.post("/batches", asked)
        with CaptureQueriesContext(connection) as queries:
            listed = script.get("/batches").json()["items"]
        counts.append(len(queries))

    assert [each["size"] for each in listed] == [1, 1]
    assert counts[0] == counts[1]


@pytest.fixture
def batch(acme):
    """A batch of one IVR, planned over the API, whose preview is made."""
    pbx = make_pbx(acme)
    make_snapshots(pbx, IvrSettings(number="6500", name="Main", dial_extension="off"))
    script = Script(make_user(Role.MANAGER, acme))
    asked = {"ivrs": [{"pbx": pbx.pk, "number": "6500"}], "values": {"dial_extension": True}, "canary": 1}
    planned = Batch.objects.get(pk=script.post("/batches", asked).json()["id"])
    would = {"klass": TargetClass.WOULD_CHANGE, "base": {"dial_extension": "off"}, "wanted": {"dial_extension": "on"}}
    planned.targets.update(**would, is_canary=True)
    Batch.objects.update(state=BatchState.READY, previewed_at=timezone.now())
    return script, planned


REFUSED = [  # what is asked of a batch, in which state, and how page and API are answered
    ("start", BatchState.READY, 422, 422),
    ("continue", BatchState.HALTED, 422, 422),
    ("continue", BatchState.READY, 200, 409),
    ("retry", BatchState.FINISHED, 200, 409),
    ("restore", BatchState.FINISHED, 200, 409),
]


@pytest.mark.parametrize(("asked", "state", "on_page", "over_api"), REFUSED)
def test_page_and_api_refuse_in_the_same_words(batch, client, asked, state, on_page, over_api):
    script, planned = batch
    Batch.objects.update(state=state)
    planned.targets.update(outcome="verified")
    client.force_login(script.key.holder)

    told = script.post(f"/batches/{planned.pk}/{asked}", None if asked == "restore" else {})
    page = client.post(f"/batches/{planned.pk}/{asked}/", follow=True)

    assert (page.status_code, told.status_code) == (on_page, over_api)
    sentence = next(iter(told.json().get("errors", {}).values()), [told.json()["detail"]])[0]
    assert sentence in page.content.decode()
    assert Batch.objects.count() == 1


@pytest.mark.parametrize("state", [BatchState.READY, BatchState.HALTED, BatchState.STOPPED])
def test_who_sees_a_part_of_a_batch_is_told_nothing_of_the_others(batch, bellweather, client, state):
    script, planned = batch
    theirs = planned.targets.get()
    other = make_pbx(bellweather, name="BELL-HQ")
    facts = {"customer_id": bellweather.pk, "customer_name": bellweather.name, "pbx_id": other.pk, "number": "6500"}
    would = {"klass": theirs.klass, "base": theirs.base, "wanted": theirs.wanted}
    facts |= {"place": 1, "pbx_name": "BELL-HQ", "name": "Main", "asked": {}, "left": {}}
    BatchTarget.objects.create(batch=planned, **facts, **would)
    Batch.objects.update(state=state, size=2, why="1 not verified. The last: BELL-HQ 6500. Refused.")
    client.force_login(script.key.holder)

    one, several = script.get(f"/batches/{planned.pk}").json(), script.get("/batches").json()["items"]
    whole = Script(make_user(is_superuser=True)).get(f"/batches/{planned.pk}").json()

    assert one == several[0]
    assert "BELL" not in str(one) + client.get(f"/batches/{planned.pk}/").content.decode()
    assert one["risks"] == []
    assert whole["why"].endswith("Refused.")
    assert bool(whole["risks"]) == (state == BatchState.READY)
