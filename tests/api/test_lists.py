"""Lists of the API: what a page shows, page by page, in as many queries as the page."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_end
from pbxadmin.api.services import api_key_revoke
from pbxadmin.audit.context import SYSTEM
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.policies.services import policy_add
from pbxadmin.review import exports
from pbxadmin.yeastar.readings import IvrSettings
from tests.factories import make_outside, make_pbx, make_snapshots, make_user

from .conftest import Script

pytestmark = pytest.mark.django_db


@pytest.fixture
def script(acme) -> Script:
    return Script(make_user(Role.AUDITOR, acme))


def with_ivrs(acme, pbxs=3, ivrs=4):
    for place in range(pbxs):
        pbx = make_pbx(acme, name=f"ACME-{place}", tags="vip" if place else "")
        make_snapshots(
            pbx,
            *(
                IvrSettings(
                    number=f"65{place}{number}", name=f"Menu_{number}", response_timeout="3", dial_extension="on"
                )
                for number in range(ivrs)
            ),
        )


def test_values_are_plain_json(acme, script):
    pbx = make_pbx(acme)
    make_snapshots(pbx, IvrSettings(number="6500", name="Main", response_timeout="3", digit_timeout="soon"))

    said = script.get("/ivrs").json()["items"][0]

    assert said["values"]["response_timeout"] == 3
    assert said["values"]["digit_timeout"] == "soon"  # what the PBX holds, as it is
    assert said["values"]["dial_extension"] is None
    assert (said["pbx"], said["customer"], said["number"]) == ("ACME-HQ", "Acme Logistics", "6500")


def test_pages_lead_to_each_other(acme, script):
    with_ivrs(acme)

    first = script.get("/ivrs?limit=5&sort=number")
    numbers, answer = [each["number"] for each in first.json()["items"]], first
    for _ in range(2):
        link = re.search(r'<http://testserver/api/v1([^>]*)>; rel="next"', answer["Link"])
        assert link
        answer = script.get(link[1])
        numbers += [each["number"] for each in answer.json()["items"]]

    assert not answer.json()["next"]
    assert len(numbers) == 12
    assert numbers == sorted(numbers)
    assert answer.json()["previous"]


def test_filters_are_those_of_the_page(acme, script):
    with_ivrs(acme)

    assert len(script.get("/ivrs?tag=vip").json()["items"]) == 8
    assert [each["number"] for each in script.get("/ivrs?q=6512").json()["items"]] == ["6512"]
    assert [each["name"] for each in script.get("/pbxs?q=ACME-1").json()["items"]] == ["ACME-1"]


@pytest.mark.parametrize("path", ["/ivrs", "/pbxs", "/customers", "/changes", "/outside", "/violations", "/events"])
def test_the_queries_of_a_list_do_not_grow(acme, script, path):
    with_ivrs(acme, pbxs=1, ivrs=2)
    make_outside(Pbx.objects.get(), "6500", ivr=("6500", "Menu_0"))
    script.get(path)
    few = queries_of(script, path)
    with_ivrs_more(acme)

    assert queries_of(script, path) == few
    assert few <= 12


def with_ivrs_more(acme):
    for place in range(5):
        pbx = make_pbx(acme, name=f"MORE-{place}", tags="vip,old")
        make_snapshots(pbx, *(IvrSettings(number=f"7{place}{number}", name="M") for number in range(3)))
        make_outside(pbx, f"7{place}0", ivr=(f"7{place}0", "M"))


def queries_of(script: Script, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert script.get(path).status_code == 200
    return len(queries)


def test_two_hundred_at_most(acme, script):
    with_ivrs(acme, pbxs=3, ivrs=80)

    assert len(script.get("/ivrs?limit=9999").json()["items"]) == 200


def test_an_unchanged_answer_is_not_sent_again(acme, script):
    with_ivrs(acme)
    first = script.get("/ivrs")

    again = script.get("/ivrs", If_None_Match=first["ETag"])

    assert again.status_code == 304
    assert again.content == b""


def test_the_log_streams_as_json_lines(acme, script):
    lines = b"".join(script.get("/events.jsonl").streaming_content).decode().splitlines()

    assert lines[-1].startswith('{"count": ')
    assert all(line.startswith('{"id":') for line in lines[:-1])


def test_who_reviews_no_log_reads_none(acme):
    viewer = Script(make_user(Role.VIEWER, acme))

    assert viewer.get("/events").status_code == 403
    assert viewer.get("/checkpoints").status_code == 403


def test_checkpoints_are_for_who_reviews_everything(acme, script):
    from pbxadmin.audit.checkpoints import checkpoint_make

    checkpoint_make("test")
    admin = Script(make_user(is_superuser=True))

    assert script.get("/checkpoints").status_code == 403
    said = admin.get("/checkpoints").json()
    assert said["items"][0]["line"].startswith("{")
    assert admin.get(f"/checkpoints?after={said['items'][-1]['number']}").json()["items"] == []


def test_violations_and_outside_changes_are_listed(acme, script):
    pbx = make_pbx(acme)
    make_snapshots(pbx, IvrSettings(number="6500", name="Main_Menu", response_timeout="3", prompt_repeat="5"))
    outside = make_outside(pbx)
    values = {"title": "Five", "reason": "", "severity": "low", "field": "response_timeout", "comparison": "is"}
    policy_add(customer=acme, values=values | {"value": "5", "tag": ""}, actor=SYSTEM)

    found = script.get("/outside").json()["items"][0]
    broken = script.get("/violations").json()["items"][0]

    assert (found["id"], found["number"], found["state"]) == (outside.pk, "6500", "open")
    assert found["lines"] == [{"field": "prompt_repeat", "before": 1, "asked": None, "found": 5}]
    assert (broken["policy"], broken["value"], broken["accepted_until"]) == ("Five", 3, None)


def test_an_outside_change_is_accepted_once(acme):
    helper = Script(make_user(Role.HELPDESK, acme))
    event = make_outside(make_pbx(acme))

    answers = [helper.post(f"/outside/{event.pk}/accept", {"note": "meant so"}).json() for _ in range(2)]

    assert answers == [{"accepted": True}, {"accepted": False}]


def test_the_next_reading_of_a_pbx_is_one_call(acme, pbx_http):
    helper = Script(make_user(Role.HELPDESK, acme))
    pbx = make_pbx(acme)

    assert helper.post(f"/pbxs/{pbx.pk}/refresh").json() == {"ivrs": 1}
    assert helper.get(f"/pbxs/{pbx.pk}/ivrs/6500/live").json()["values"]["response_timeout"] == 3
    assert helper.get(f"/pbxs/{pbx.pk}/ivrs/6500").json()["number"] == "6500"
    assert helper.get(f"/pbxs/{pbx.pk}/ivrs/9999").status_code == 404


@pytest.mark.parametrize("ends", ["key", "role"])
def test_a_stream_ends_with_the_key_and_with_the_role_and_the_log_says_that_it_is_not_whole(
    acme, script, monkeypatch, ends
):
    monkeypatch.setattr(exports, "WINDOW", 1)
    with_ivrs(acme)
    for number in range(3):
        make_outside(Pbx.objects.first(), f"650{number}")
    stream = script.get("/events.jsonl").streaming_content
    began = next(stream)

    if ends == "key":
        api_key_revoke(key=script.key)
    else:
        membership_end(membership=script.key.holder.memberships.get())

    assert (bool(began), list(stream)) == (True, [])
    assert Event.objects.get(action="log.export-ended").data["detail"]["whole"] is False
