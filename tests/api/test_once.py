"""The same request again is carried out once, and answered as the first."""

import hashlib
import json
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from ivr.models import Change
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_end
from pbxadmin.api.idempotency import answers_forget
from pbxadmin.api.models import KeptAnswer
from tests.factories import make_pbx, make_user
from tests.pbx_http import breaks

from .conftest import Script

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pbx():
    return make_pbx()


@pytest.fixture
def script(pbx) -> Script:
    return Script(make_user(Role.MANAGER, pbx.customer))


def plan(script, pbx, seconds=8, **headers):
    return script.post(f"/pbxs/{pbx.pk}/ivrs/6500/changes", {"values": {"response_timeout": seconds}}, **headers)


def test_what_writes_needs_a_key(script, pbx, pbx_http):
    answer = plan(script, pbx, Idempotency_Key="")

    assert (answer.status_code, answer.json()["type"]) == (400, "/api/v1/problems/idempotency-key-missing")
    assert Change.objects.count() == 0


def test_the_same_again_gets_the_same_answer(script, pbx, pbx_http):
    first, again = (plan(script, pbx, Idempotency_Key="one") for _ in range(2))

    assert first.json() == again.json()
    assert (again.status_code, again["Location"]) == (201, first["Location"])
    assert again["Idempotent-Replayed"] == "true"
    assert Change.objects.count() == 1
    assert pbx_http.calls().count("ivr/query") == 1


def test_another_body_under_the_same_key_is_refused(script, pbx, pbx_http):
    plan(script, pbx, Idempotency_Key="one")

    answer = plan(script, pbx, seconds=9, Idempotency_Key="one")

    assert (answer.status_code, answer.json()["type"]) == (422, "/api/v1/problems/idempotency-key-reused")
    assert Change.objects.count() == 1


def test_what_was_answered_is_not_told_again_when_the_role_is_over(script, pbx, pbx_http):
    plan(script, pbx, Idempotency_Key="one")
    membership_end(membership=script.key.holder.memberships.get())

    again, new = plan(script, pbx, Idempotency_Key="one"), plan(script, pbx, Idempotency_Key="two")

    assert (again.status_code, again.json()["type"]) == (422, "/api/v1/problems/idempotency-key-reused")
    assert pbx.name not in again.content.decode()
    assert new.status_code == 404


def test_another_address_under_the_same_key_is_refused(script, pbx, pbx_http):
    pbx_http.add("6501")
    plan(script, pbx, Idempotency_Key="one")

    same = {"values": {"response_timeout": 8}}
    answer = script.post(f"/pbxs/{pbx.pk}/ivrs/6501/changes", same, Idempotency_Key="one")

    assert (answer.status_code, answer.json()["type"]) == (422, "/api/v1/problems/idempotency-key-reused")
    assert Change.objects.count() == 1


def test_the_key_of_another_script_is_another(script, pbx, pbx_http):
    other = Script(script.key.holder)

    answers = [plan(each, pbx, Idempotency_Key="one") for each in (script, other)]

    assert answers[0].json()["id"] != answers[1].json()["id"]


def test_what_is_stored_of_a_body_is_no_help_to_guess_a_password_in_it(script, pbx):
    body = {"customer": pbx.customer_id, "name": "NEW", "host": "x.invalid", "username": "a", "password": "secret"}
    script.post("/pbxs", body)

    kept = KeptAnswer.objects.get()

    roles = [str((pbx.customer_id, "manager"))]
    said = f"POST /api/v1/pbxs False {roles}\n{json.dumps(body)}".encode()
    assert kept.status == 201
    assert kept.digest != hashlib.sha256(said).hexdigest()
    assert "secret" not in kept.body


def test_a_refusal_is_kept_too(script, pbx, pbx_http):
    first, again = (plan(script, pbx, seconds=11, Idempotency_Key="one") for _ in range(2))

    assert (first.status_code, again.status_code) == (422, 422)
    assert again["Idempotent-Replayed"] == "true"


def test_what_was_not_decided_is_tried_again(script, pbx, pbx_http):
    pbx_http.fail("login", breaks)
    first = plan(script, pbx, Idempotency_Key="one")
    pbx.refresh_from_db()

    again = plan(script, pbx, Idempotency_Key="one")

    assert first.status_code in (502, 503)
    assert again.status_code == 201


def test_a_request_that_was_cut_off_goes_on_as_the_same(script, pbx, pbx_http):
    first = plan(script, pbx, Idempotency_Key="one").json()
    KeptAnswer.objects.update(status=None)  # as its process left it that died before it answered

    busy = plan(script, pbx, Idempotency_Key="one")
    with time_machine.travel(timezone.now() + timedelta(seconds=61), tick=False):
        again = plan(script, pbx, Idempotency_Key="one")

    assert (busy.status_code, busy.json()["type"]) == (409, "/api/v1/problems/in-progress")
    assert again.json()["id"] == first["id"]
    assert Change.objects.count() == 1


def test_apply_again_sends_nothing(script, pbx, pbx_http):
    change = plan(script, pbx).json()["id"]

    answers = [script.post(f"/changes/{change}/apply", Idempotency_Key=key) for key in ("one", "one", "two")]

    assert [answer.json()["outcome"] for answer in answers] == ["verified"] * 3
    assert pbx_http.calls().count("ivr/update") == 1


def test_answers_are_forgotten_after_a_day(script, pbx, pbx_http):
    plan(script, pbx, Idempotency_Key="one")

    assert answers_forget() == 0
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False):
        assert answers_forget() == 1
