"""API keys: who has one, what it lets do, and when it ends."""

from datetime import timedelta

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from ivr.models import OutsideChange
from pbxadmin.access.models import User
from pbxadmin.access.roles import Role
from pbxadmin.access.services import membership_end
from pbxadmin.accounts.services import person_disable
from pbxadmin.api.key_text import is_key_text, new_key_text
from pbxadmin.api.models import ApiKey
from pbxadmin.api.scopes import Scope
from pbxadmin.api.services import MOST_KEYS, api_key_make, api_key_revoke, service_account_make
from pbxadmin.audit.models import Event
from pbxadmin.yeastar.readings import IvrSettings
from tests.factories import make_outside, make_pbx, make_snapshots, make_user

from .conftest import Script, days_from_now

pytestmark = pytest.mark.django_db


def test_a_key_has_a_prefix_and_a_checksum():
    text = new_key_text()

    assert text.startswith("pbxa_")
    assert is_key_text(text)
    other = "A" if text[-1] != "A" else "B"
    assert not is_key_text(text[:-1] + other)
    assert not is_key_text(text[:10] + ("A" if text[10] != "A" else "B") + text[11:])


def test_only_a_digest_is_stored(acme):
    script = Script(make_user(Role.VIEWER, acme))

    stored = ApiKey.objects.values().get()

    assert script.text not in repr(stored)
    assert script.text.startswith(stored["shown"])
    assert not [event for event in Event.objects.all() if script.text[11:] in event.text]


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Bearer nothing", f"Bearer {new_key_text()}", "Basic bWFyYTpwYXNz"],
    ids=["none", "empty", "no key", "unknown", "password"],
)
def test_without_a_key_of_ours_nothing_is_answered(sent):
    answer = Client().get("/api/v1/customers", headers={"Authorization": sent} if sent else {})

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer.json()["type"] == "/api/v1/problems/unauthorized"


def test_a_session_counts_for_nothing(client, acme):
    client.force_login(make_user(Role.MANAGER, acme))

    assert client.get("/api/v1/customers").status_code == 401
    assert client.post("/api/v1/pbxs", {}).status_code == 401


def test_a_key_sees_what_its_holder_sees(acme, bellweather):
    script = Script(make_user(Role.VIEWER, acme))
    theirs = make_pbx(bellweather, name="BELL-1")

    assert [each["name"] for each in script.get("/customers").json()["items"]] == ["Acme Logistics"]
    assert script.get(f"/customers/{bellweather.pk}").status_code == 404
    assert script.get(f"/pbxs/{theirs.pk}").status_code == 404
    assert script.get("/pbxs").json()["items"] == []


def test_a_revoked_key_ends_at_once_and_leaves_an_event(acme):
    script = Script(make_user(Role.VIEWER, acme))
    assert script.get("/customers").status_code == 200

    assert api_key_revoke(key=script.key)

    assert script.get("/customers").json()["detail"] == "This key was revoked."
    script.get("/customers")
    assert Event.objects.filter(action="api-key.refused").count() == 1  # not one for each
    assert not api_key_revoke(key=script.key)


def test_a_key_ends_with_its_last_day(acme):
    script = Script(make_user(Role.VIEWER, acme), last_day=days_from_now(1))

    with time_machine.travel(timezone.now() + timedelta(days=2), tick=False):
        assert script.get("/customers").status_code == 401


def test_a_key_ends_with_the_account_and_sees_nothing_without_the_role(acme):
    person = make_user(Role.VIEWER, acme)
    script = Script(person)

    membership_end(membership=person.memberships.get())
    assert script.get("/customers").json()["items"] == []
    person_disable(user=person)
    assert script.get("/customers").status_code == 401


def test_a_key_that_only_reads_decides_nothing_though_its_holder_may_by_reading(acme):
    pbx = make_pbx(acme)
    make_snapshots(pbx, IvrSettings(number="6500", name="Main_Menu", prompt_repeat="5"))
    event = make_outside(pbx)
    auditor = make_user(Role.AUDITOR, acme)

    refused = Script(auditor, Scope.READ).post(f"/outside/{event.pk}/accept", {"note": "Agreed."})

    assert (refused.status_code, OutsideChange.objects.get().state) == (403, "open")
    assert Event.objects.get(action="access.denied").data["detail"]["scope"] == "read"
    assert Script(auditor, Scope.CHANGE).post(f"/outside/{event.pk}/accept", {}).json() == {"accepted": True}


def test_a_key_is_taken_from_its_networks_only(acme):
    inside = Script(make_user(Role.VIEWER, acme), networks=["127.0.0.0/8"])
    outside = Script(make_user(Role.VIEWER, acme), networks=["192.0.2.0/24", "2001:db8::/32"])

    assert inside.get("/customers").status_code == 200
    assert outside.get("/customers").json()["detail"] == "This key may not be used from your address."


def test_a_site_admin_is_bound_by_the_scope():
    admin = make_user(is_superuser=True)
    pbx = make_pbx()

    reader, manager = Script(admin, Scope.READ), Script(admin, Scope.MANAGE)

    assert reader.patch(f"/pbxs/{pbx.pk}", {"site": "Berlin"}).status_code == 403
    assert manager.patch(f"/pbxs/{pbx.pk}", {"site": "Berlin"}).json()["site"] == "Berlin"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"last_day": days_from_now(-1)}, "last_day"),
        ({"last_day": days_from_now(367)}, "last_day"),
        ({"networks": ["everywhere"]}, "networks"),
    ],
)
def test_a_wrong_key_is_not_made(acme, wrong, field):
    facts = {"name": "export", "scope": Scope.READ, "last_day": days_from_now(1)} | wrong

    with pytest.raises(ValidationError) as error:
        api_key_make(holder=make_user(Role.VIEWER, acme), **facts)

    assert list(error.value.message_dict) == [field]


def test_a_person_has_so_many_keys_and_no_two_of_one_name(acme):
    person = make_user(Role.VIEWER, acme)
    for number in range(MOST_KEYS):
        Script(person, name=f"key {number}")

    with pytest.raises(ValidationError):
        Script(person, name="one more")
    api_key_revoke(key=ApiKey.objects.get(name="key 0"))
    with pytest.raises(ValidationError):
        Script(person, name="key 1")
    Script(person, name="key 0")  # its name is free again


def test_a_service_account_works_by_its_keys_alone(acme, client):
    account = service_account_make(name="Nightly export", role=Role.HELPDESK, customer=acme, last_day=days_from_now(9))
    script = Script(account)

    assert [each["name"] for each in script.get("/customers").json()["items"]] == ["Acme Logistics"]
    assert not client.login(username=account.username, password="")
    assert not account.has_usable_password()
    with time_machine.travel(timezone.now() + timedelta(days=11), tick=False):
        assert script.get("/customers").json()["items"] == []  # its role has ended


def test_a_service_account_never_gets_an_address_by_which_somebody_could_sign_in(acme):
    account = service_account_make(name="Nightly export", role=Role.VIEWER, customer=acme, last_day=None)
    account.email = "somebody@example.com"

    with pytest.raises(ValidationError, match="A service account has no e-mail address"):
        account.full_clean(exclude=["password"])


def test_a_key_that_asks_too_often_waits(acme, settings):
    settings.API_RATE, settings.API_BURST = 1, 5
    script = Script(make_user(Role.VIEWER, acme))

    with time_machine.travel(timezone.now(), tick=False) as clock:
        answers = [script.get("/customers") for _ in range(6)]
        clock.shift(1)
        later = [script.get("/customers") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[-1]["Retry-After"] == "1"
    assert [answer.status_code for answer in later] == [200, 429]


def test_the_last_use_is_noted(acme):
    script = Script(make_user(Role.VIEWER, acme))

    script.get("/customers")

    script.key.refresh_from_db()
    assert script.key.used_at is not None
    assert script.key.used_from == "127.0.0.1"


def test_a_customer_whose_people_one_manages_shows_their_keys(acme, bellweather):
    manager, viewer = make_user(Role.MANAGER, acme), make_user(Role.VIEWER, acme)
    theirs, foreign = Script(viewer).key, Script(make_user(Role.VIEWER, bellweather)).key

    seen = set(ApiKey.objects.visible_to(User.objects.get(pk=manager.pk)))

    assert theirs in seen
    assert foreign not in seen
    assert set(ApiKey.objects.visible_to(viewer)) == {theirs}
