"""The pages that describe the API."""

import re
from pathlib import Path

import pytest
from django.test import Client

from pbxadmin.access.roles import Role
from tests.factories import make_user

from .conftest import Script

pytestmark = pytest.mark.django_db


def test_the_description_is_for_people_who_signed_in_and_for_keys(client, acme):
    person = make_user(Role.VIEWER, acme)
    assert client.get("/api/v1/docs").status_code == 302
    assert client.get("/api/v1/openapi.json").status_code == 302

    client.force_login(person)

    assert 'id="swagger-ui"' in client.get("/api/v1/docs").content.decode()
    assert client.get("/api/v1/openapi.json").json()["info"]["title"] == "PBX Admin"
    assert Script(person).get("/openapi.json").json()["info"]["title"] == "PBX Admin"


def test_its_files_come_from_the_package(acme):
    client = Client()
    client.force_login(make_user(Role.VIEWER, acme))

    answer = client.get("/api/v1/docs/swagger-ui.css")

    assert answer["Content-Type"] == "text/css"
    assert b"swagger-ui" in answer.content
    assert client.get("/api/v1/docs/redoc.standalone.js").status_code == 404
    assert client.get("/api/v1/docs/..%2F..%2Fmain.py").status_code == 404


def test_a_schema_says_what_the_table_of_fields_says(acme):
    script = Script(make_user(Role.VIEWER, acme))
    schemas = script.get("/openapi.json").json()["components"]["schemas"]

    assert set(schemas["IvrWanted"]["properties"]) == {
        *("number", "name", "prompt_repeat", "response_timeout", "digit_timeout"),
        *("dial_extension", "check_voicemail", "dial_outbound"),
    }
    assert "1 to 10" in schemas["IvrWanted"]["properties"]["response_timeout"]["description"]
    assert "password" in schemas["PbxEntered"]["properties"]
    assert "password" not in schemas["PbxOut"]["properties"]


def test_each_operation_is_named_by_what_it_does(acme):
    paths = Script(make_user(Role.VIEWER, acme)).get("/openapi.json").json()["paths"]

    assert paths["/api/v1/customers"]["get"]["summary"] == "List the customers that you see, by name"
    assert not [one for path in paths.values() for one in path.values() if "Operation" in one["summary"]]


def test_its_words_lead_to_the_help_and_back(client, acme):
    client.force_login(make_user(Role.VIEWER, acme))
    said = client.get("/api/v1/openapi.json").json()["info"]["description"]

    addresses = re.findall(r"\]\(([^)]*)\)", said)

    assert addresses == ["/help/api/", "/"]
    assert [client.get(address).status_code for address in addresses] == [200, 200]


def test_a_request_without_its_body_says_so(acme):
    answer = Script(make_user(Role.VIEWER, acme)).call("post", "/changes/1/apply", "")

    assert answer.json()["errors"] == {"": ["Send a body, {} at least."]}


def test_each_operation_that_writes_says_what_body_it_takes(acme):
    """One that says nothing would ignore what a script sends."""
    paths = Script(make_user(Role.VIEWER, acme)).get("/openapi.json").json()["paths"]
    writing = [one for path in paths.values() for method, one in path.items() if method != "get"]

    assert [one["operationId"] for one in writing if "requestBody" not in one] == []
    assert len(writing) > 10


def test_links_lead_from_an_answer_to_what_takes_it(acme):
    paths = Script(make_user(Role.VIEWER, acme)).get("/openapi.json").json()["paths"]
    plan = paths["/api/v1/pbxs/{pbx_id}/ivrs/{number}/changes"]["post"]["responses"]["201"]["links"]
    rows = paths["/api/v1/ivrs"]["get"]["responses"]["200"]["links"]

    assert plan.keys() >= {"change_read", "change_apply", "change_check", "change_receipt", "change_restore"}
    assert plan["change_apply"]["parameters"] == {"change_id": "$response.body#/id"}
    assert rows["change_plan"]["parameters"] == {
        "number": "$response.body#/items/0/number",
        "pbx_id": "$response.body#/items/0/pbx_id",
    }


def test_a_list_names_every_filter_that_it_takes(acme):
    paths = Script(make_user(Role.VIEWER, acme)).get("/openapi.json").json()["paths"]

    named = {each["name"]: each["schema"]["type"] for each in paths["/api/v1/events"]["get"]["parameters"]}

    assert named.keys() >= {"q", "action", "outcome", "group", "from", "to", "limit", "cursor"}
    assert (named["action"], named["q"]) == ("array", "string")


def test_what_is_no_operation_is_a_problem_too(acme):
    script = Script(make_user(Role.VIEWER, acme))

    nowhere, wrong = script.get("/nothing"), script.call("put", "/pbxs/1", {})

    assert (nowhere.status_code, nowhere.json()["type"]) == (404, "/api/v1/problems/not-found")
    assert (wrong.status_code, wrong.json()["type"]) == (405, "/api/v1/problems/method-not-allowed")
    assert (wrong["Allow"], wrong.json()["detail"]) == ("GET, PATCH", "This takes GET, PATCH.")


def test_every_type_of_problem_is_explained():
    """A script decides by them, so they are written down, and only there is a new one made."""
    code = "".join(path.read_text() for path in sorted(Path("pbxadmin/api").rglob("*.py")))
    made = set(re.findall(r'(?:ApiProblem|problem_response)\(\s*[\w.()]+,\s*"([\w-]+)"', code))
    told = set(re.findall(r"`([\w-]+)`", Path("docs/api.md").read_text().split("## Errors")[1].split("## A change")[0]))

    assert len(made) > 15
    assert made <= told
