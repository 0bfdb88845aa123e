"""Changes through the API: the path of the pages, with its words, its proof and its refusals."""

import pytest

from ivr.models import Change
from pbxadmin.access.roles import Role
from pbxadmin.api.scopes import Scope
from pbxadmin.audit.models import Event
from tests.factories import make_pbx, make_user
from tests.pbx_http import breaks

from .conftest import Script

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pbx():
    return make_pbx()


@pytest.fixture
def script(pbx) -> Script:
    return Script(make_user(Role.MANAGER, pbx.customer, username="max"))


def plan(script: Script, pbx, **values):
    return script.post(f"/pbxs/{pbx.pk}/ivrs/6500/changes", {"values": values})


def test_a_change_is_planned_applied_and_verified(script, pbx, pbx_http):
    planned = plan(script, pbx, response_timeout=8)

    assert planned.status_code == 201, planned.content
    said = planned.json()
    assert said["outcome"] == "planned"
    assert said["lines"] == [{"field": "response_timeout", "before": 3, "asked": 8, "found": None}]
    assert planned["Location"] == f"/api/v1/changes/{said['id']}"
    assert pbx_http.ivrs["6500"]["responsetimeout"] == "3"

    applied = script.post(f"/changes/{said['id']}/apply")

    assert applied.status_code == 200
    assert applied.json()["outcome"] == "verified"
    assert applied.json()["lines"][0]["found"] == 8
    assert pbx_http.ivrs["6500"]["responsetimeout"] == "8"
    assert pbx_http.calls().count("ivr/update") == 1


def test_the_log_names_person_and_key(script, pbx, pbx_http):
    change = plan(script, pbx, response_timeout=8).json()["id"]
    script.post(f"/changes/{change}/apply")

    events = Event.objects.filter(change_id=change)

    assert {(event.actor_name, event.data["detail"]["api_key"]) for event in events} == {("max", script.key.name)}


def test_wrong_values_answer_by_field_in_the_words_of_the_screen(script, pbx, pbx_http):
    answer = plan(script, pbx, response_timeout=11, digit_timeout=0)

    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "/api/v1/problems/invalid"
    assert answer.json()["errors"] == {
        "response_timeout": ["Enter a whole number from 1 to 10."],
        "digit_timeout": ["Enter a whole number from 1 to 10."],
    }
    assert Change.objects.count() == 0


def test_a_field_that_does_not_exist_is_an_error(script, pbx, pbx_http):
    answer = plan(script, pbx, respons_timeout=8)

    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == ["values.respons_timeout"]


def test_a_field_that_this_version_does_not_write_is_refused(script, pbx, pbx_http):
    answer = plan(script, pbx, dial_outbound=True, response_timeout=8)

    assert answer.status_code == 422
    assert answer.json()["errors"] == {"dial_outbound": ["API v1.0.0 cannot change it."]}
    assert Event.objects.get(action="access.denied").data["detail"]["field"] == "dial_outbound"
    assert pbx_http.received == []


def test_a_risk_is_confirmed_with_what_was_shown(script, pbx, pbx_http):
    said = plan(script, pbx, dial_extension=True).json()
    assert len(said["risks"]) == 1

    refused = script.post(f"/changes/{said['id']}/apply", {"confirm": "another"})
    applied = script.post(f"/changes/{said['id']}/apply", {"confirm": said["confirm_with"]})

    assert (refused.status_code, refused.json()["type"]) == (422, "/api/v1/problems/not-confirmed")
    assert refused.json()["risks"] == said["risks"]
    assert applied.json()["outcome"] == "verified"
    assert pbx_http.ivrs["6500"]["dialext"] == "on"


def test_what_one_believed_and_is_not_so_is_a_conflict_and_plans_nothing(script, pbx, pbx_http):
    pbx_http.ivrs["6500"]["responsetimeout"] = "7"

    answer = script.post(
        f"/pbxs/{pbx.pk}/ivrs/6500/changes",
        {"values": {"response_timeout": 8}, "base": {"response_timeout": 3}},
    )

    assert answer.status_code == 409
    assert answer.json()["conflicts"] == [{"field": "response_timeout", "base": 3, "yours": 8, "live": 7}]
    assert Change.objects.count() == 0


def test_a_conflict_at_apply_shows_base_yours_and_live_and_can_be_resolved(script, pbx, pbx_http):
    change = plan(script, pbx, response_timeout=8).json()["id"]
    pbx_http.ivrs["6500"]["responsetimeout"] = "7"

    answer = script.post(f"/changes/{change}/apply")
    again = script.post(f"/changes/{change}/resolve", {"yours": ["response_timeout"]})

    assert answer.status_code == 409
    assert answer.json()["conflicts"] == [{"field": "response_timeout", "base": 3, "yours": 8, "live": 7}]
    assert again.json()["lines"] == [{"field": "response_timeout", "before": 7, "asked": 8, "found": None}]
    assert "ivr/update" not in pbx_http.calls()


def test_a_lost_answer_is_read_back_and_sent_once(script, pbx, pbx_http):
    change = plan(script, pbx, response_timeout=8).json()["id"]
    pbx_http.fail("ivr/update", breaks)

    answer = script.post(f"/changes/{change}/apply").json()

    assert answer["outcome"] in ("verified", "not-as-asked")
    assert pbx_http.calls().count("ivr/update") == 1


def test_nothing_to_change_plans_nothing(script, pbx, pbx_http):
    answer = plan(script, pbx, response_timeout=3)

    assert answer.status_code == 200
    assert answer.json()["detail"] == "Nothing differs from what ACME-HQ holds. No change was made."


def test_a_verified_change_is_restored(script, pbx, pbx_http):
    change = plan(script, pbx, response_timeout=8).json()["id"]
    script.post(f"/changes/{change}/apply")

    back = script.post(f"/changes/{change}/restore", {"reason": "not wanted"})
    script.post(f"/changes/{back.json()['id']}/apply")

    assert back.status_code == 201
    assert pbx_http.ivrs["6500"]["responsetimeout"] == "3"


def test_what_moved_since_is_not_restored_and_says_so_in_the_words_of_the_page(script, pbx, pbx_http, client):
    change = plan(script, pbx, response_timeout=8).json()["id"]
    script.post(f"/changes/{change}/apply")
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    client.force_login(script.key.holder)

    told = script.post(f"/changes/{change}/restore")
    page = client.post(f"/changes/restore/{Change.objects.get().event_id}/")

    assert (told.status_code, told.json()["type"]) == (409, "/api/v1/problems/moved-since")
    assert page.status_code == 409
    assert told.json()["detail"] in page.content.decode()


def test_an_ivr_that_is_gone_is_not_restored_and_says_so_in_the_words_of_the_page(script, pbx, pbx_http, client):
    change = plan(script, pbx, response_timeout=8).json()["id"]
    script.post(f"/changes/{change}/apply")
    pbx_http.ivrs.clear()
    client.force_login(script.key.holder)

    told = script.post(f"/changes/{change}/restore")
    page = client.post(f"/changes/restore/{Change.objects.get().event_id}/")

    assert (told.status_code, page.status_code) == (409, 409)
    assert told.json()["detail"] == "IVR 6500 is not on ACME-HQ any more."
    assert told.json()["detail"] in page.content.decode()


def test_the_receipt_is_that_of_the_page(script, pbx, pbx_http):
    change = plan(script, pbx, response_timeout=8).json()["id"]
    script.post(f"/changes/{change}/apply")

    text = script.get(f"/changes/{change}/receipt").content.decode()

    assert "VERIFIED: read back, all as asked" in text


def test_a_pbx_that_cannot_be_read_is_503_with_its_sentence(script, pbx, pbx_http):
    pbx_http.fail("login", breaks)

    answer = plan(script, pbx, response_timeout=8)

    assert answer.status_code in (502, 503)
    assert answer.json()["type"] == "/api/v1/problems/pbx"


def test_a_key_that_only_reads_plans_nothing(pbx, pbx_http):
    reader = Script(make_user(Role.MANAGER, pbx.customer, username="rita"), Scope.READ)

    assert reader.get(f"/pbxs/{pbx.pk}").status_code == 200
    assert plan(reader, pbx, response_timeout=8).status_code == 403
    assert Event.objects.filter(action="access.denied").exists()


def test_renumbering_needs_a_manager(pbx, pbx_http):
    helper = Script(make_user(Role.HELPDESK, pbx.customer, username="hal"))

    assert plan(helper, pbx, number="6600").status_code == 403
