"""Policies and exceptions from a reading to the page, with a PBX at the HTTP edge."""

import re
from datetime import date, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ivr.models import Ivr
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer, User
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import SYSTEM, Actor
from pbxadmin.audit.models import Event
from pbxadmin.batches.models import Batch
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_edit
from pbxadmin.policies.models import DIAL_OUT, Policy, PolicyException, Violation
from pbxadmin.policies.services import policy_add, violation_accept
from pbxadmin.policies.watching import exceptions_expire, policies_recheck, policies_recheck_due, violations_changed
from pbxadmin.review.desk import desk_read
from pbxadmin.review.models import DeskItem
from tests.factories import make_pbx, make_snapshots, make_user
from tests.pbx_http import PbxDouble

pytestmark = pytest.mark.django_db(transaction=True)
MARA = Actor(7, "Mara Lindqvist")
REPEAT = {"title": "Prompt is played often", "reason": "Callers miss it.", "severity": "medium", "tag": ""}


@pytest.fixture(autouse=True)
def no_policies(db: None) -> None:
    """Only those that a test adds: the first ones come with the migrations."""
    Policy.objects.all().delete()


@pytest.fixture
def pbx(acme: Customer, pbx_http: PbxDouble) -> Pbx:
    pbx = make_pbx(acme)
    pbx_http.add("6501")
    read(pbx)
    return pbx


@pytest.fixture
def policy(pbx: Pbx) -> Policy:
    """Prompts are played 3 times; both IVRs keep it."""
    return add(None)


@pytest.fixture
def manager(client: Client, acme: Customer) -> User:
    manager = make_user(Role.MANAGER, acme, username="mara", first_name="Mara")
    client.force_login(manager)
    return manager


def add(customer: Customer | None, **values: str) -> Policy:
    asked = {"field": "prompt_repeat", "comparison": "is", "value": "3", **REPEAT, **values}
    return policy_add(customer=customer, values=asked, actor=MARA)


def read(pbx: Pbx) -> None:
    pbx_refresh(pbx=Pbx.objects.get(pk=pbx.pk), actor=SYSTEM)


def set_to(pbx: Pbx, pbx_http: PbxDouble, value: str | None, number: str = "6500") -> None:
    """Set how often the prompt is played, None for not reported, and read it."""
    pbx_http.ivrs[number].pop("promptrepeat", None)
    if value is not None:
        pbx_http.ivrs[number]["promptrepeat"] = value
    read(pbx)


def broken() -> dict[str, str]:
    """What breaks a policy: number, value, and a star when it is accepted."""
    return {row.number: row.value + ("*" if row.exception_id else "") for row in Violation.objects.all()}


def accept(number: str = "6500", days: int = 7) -> PolicyException:
    violation = Violation.objects.get(number=number)
    ends_on = timezone.localdate() + timedelta(days=days)
    given: dict[str, Any] = {"value": violation.value, "reason": "A night line.", "ends_on": ends_on}
    assert violation_accept(violation=violation, actor=MARA, **given)
    return PolicyException.objects.latest("pk")


def told(*actions: str) -> list[tuple[str, str]]:
    events = Event.objects.filter(action__in=actions).order_by("id")
    return [(event.action, event.data["detail"]["sentence"]) for event in events]


ENDS = ("violation.reopened", "exception.ended")


def test_a_reading_finds_it_with_the_window_and_forgets_it_when_it_is_right(
    pbx: Pbx, policy: Policy, pbx_http: PbxDouble
) -> None:
    before = Ivr.objects.get(number="6500").read_at
    set_to(pbx, pbx_http, "1")

    violation = Violation.objects.get()
    assert (str(violation), violation.value) == (f"{pbx.pk}/6500", "1")
    assert (violation.since, violation.until) == (before, Ivr.objects.get(number="6500").read_at)
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    read(pbx)
    assert Violation.objects.get().since == before
    set_to(pbx, pbx_http, "3")
    assert broken() == {}
    pbx_http.add("6502", promptrepeat="1")
    read(pbx)
    assert Violation.objects.get().since is not None


def test_a_field_that_no_policy_asks_about_costs_one_look_at_the_policies(
    pbx: Pbx, policy: Policy, pbx_http: PbxDouble
) -> None:
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"

    with CaptureQueriesContext(connection) as asked:
        read(pbx)

    assert Ivr.objects.get(number="6500").response_timeout == "9"
    assert [table for each in asked for table in re.findall(r'FROM "(policies_\w+)"', each["sql"])] == [
        "policies_policy"
    ]


def test_what_a_pbx_does_not_report_is_no_violation_and_is_said(
    client: Client, pbx: Pbx, policy: Policy, pbx_http: PbxDouble, manager: User
) -> None:
    set_to(pbx, pbx_http, None)

    assert broken() == {}
    page = client.get(f"/policies/{policy.pk}/").content.decode()
    assert 'data-not-reported="1"' in page
    assert "Nothing breaks it" in page


def test_an_edit_and_a_new_policy_hold_all_ivrs_against_it(
    client: Client, pbx: Pbx, policy: Policy, acme: Customer, manager: User
) -> None:
    assert broken() == {}
    mine = add(acme)
    values = {**REPEAT, "field": "name", "comparison": "at-least", "value": "4"}

    assert client.post(f"/policies/{policy.pk}/edit/", values).status_code == 403
    client.post(f"/policies/{mine.pk}/edit/", values)

    assert {row.policy_id for row in Violation.objects.all()} == {mine.pk}
    assert broken() == {"6500": "3", "6501": "3"}
    assert Event.objects.filter(action="policy.edited").get().data["fields"] == {
        "comparison": {"before": "is", "asked": "at-least"},
        "value": {"before": "3", "asked": "4"},
    }
    client.post(f"/policies/{mine.pk}/delete/")
    assert broken() == {}


def test_the_page_of_an_ivr_says_what_it_breaks_and_until_when_it_was_accepted(
    client: Client, pbx: Pbx, policy: Policy, pbx_http: PbxDouble, manager: User, acme: Customer
) -> None:
    address = f"/pbxs/{pbx.pk}/ivrs/6500/"
    assert "data-violation" not in client.get(address).content.decode()
    set_to(pbx, pbx_http, "1")
    accept_link = f"/policies/violations/{Violation.objects.get().pk}/accept/"

    page = client.get(address).content.decode()
    assert f'data-violation="{pbx.pk}/6500" data-state="open"' in page
    assert f'href="{policy.get_absolute_url()}"' in page
    assert f"began {timezone.now():%Y-%m-%d}, " in page.split('id="policies"')[1].split("</section>")[0]
    assert accept_link in page

    until = accept().ends_on
    page = client.get(address).content.decode()
    assert f"Accepted until {until}" in page
    assert accept_link not in page

    PolicyException.objects.all().delete()
    client.force_login(make_user(Role.HELPDESK, acme))
    page = client.get(address).content.decode()
    assert 'data-state="open"' in page
    assert accept_link not in page


def test_other_tags_and_another_customer_count_at_once(
    pbx: Pbx, pbx_http: PbxDouble, bellweather: Customer, acme: Customer
) -> None:
    set_to(pbx, pbx_http, "1")
    tagged, theirs = add(None, tag="vip"), add(bellweather)
    assert broken() == {}

    pbx_edit(pbx=pbx, values={"tags": "vip"})
    assert [row.policy for row in Violation.objects.all()] == [tagged]
    pbx_edit(pbx=pbx, values={"tags": "", "site": "Leeds"})
    assert broken() == {}
    pbx_edit(pbx=pbx, values={"customer": bellweather})
    assert [row.policy for row in Violation.objects.all()] == [theirs]
    pbx_edit(pbx=pbx, values={"customer": acme})
    assert broken() == {}


def test_all_are_held_against_policies_again_when_their_time_comes(pbx: Pbx, policy: Policy) -> None:
    Ivr.objects.filter(number="6500").update(prompt_repeat="1")
    assert policies_recheck_due() == 0

    Policy.objects.update(recheck_at=timezone.now())

    assert policies_recheck_due() == 1
    assert broken() == {"6500": "1"}
    assert policies_recheck([policy]) == 0
    assert policies_recheck_due() == 0


def test_an_exception_holds_as_long_as_its_value(pbx: Pbx, policy: Policy, pbx_http: PbxDouble) -> None:
    set_to(pbx, pbx_http, "1")
    accept()
    read(pbx)
    set_to(pbx, pbx_http, None)
    set_to(pbx, pbx_http, "1")
    assert broken() == {"6500": "1*"}
    assert told(*ENDS) == []

    set_to(pbx, pbx_http, "5")
    assert broken() == {"6500": "5"}
    assert told(*ENDS) == [("violation.reopened", "The value moved: Prompt played 1 time → 5 times.")]
    set_to(pbx, pbx_http, "1")
    assert broken() == {"6500": "1"}


def test_an_exception_of_a_value_that_became_right_is_over(pbx: Pbx, policy: Policy, pbx_http: PbxDouble) -> None:
    set_to(pbx, pbx_http, "1")
    accept()
    set_to(pbx, pbx_http, "3")
    set_to(pbx, pbx_http, "1")

    assert broken() == {"6500": "1"}
    assert told(*ENDS) == [("exception.ended", "The value moved: Prompt played 1 time → 3 times.")]
    accept()
    del pbx_http.ivrs["6500"]
    read(pbx)
    assert broken() == {}
    assert told(*ENDS)[1:] == [("exception.ended", "IVR 6500 is gone.")]


def test_it_reopens_when_the_day_comes(pbx: Pbx, policy: Policy, pbx_http: PbxDouble) -> None:
    set_to(pbx, pbx_http, "1")
    exception = accept(days=7)
    reopened: list[PolicyException] = []

    def hear(**sent: Any) -> None:
        reopened.extend(sent["reopened"])

    violations_changed.connect(hear)

    with time_machine.travel(timezone.now() + timedelta(days=7)):
        assert exceptions_expire() == 0
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        assert exceptions_expire() == 1
        assert exceptions_expire() == 0
    violations_changed.disconnect(hear)

    assert broken() == {"6500": "1"}
    assert told(*ENDS) == [("violation.reopened", f"Its last day, {exception.ends_on}, is over.")]
    assert reopened == [exception]
    desk_read()
    assert DeskItem.objects.filter(kinds__contains=" policy-exception ").count() == 2


def test_a_manager_accepts_on_the_page_and_withdraws(
    client: Client, pbx: Pbx, policy: Policy, pbx_http: PbxDouble, manager: User
) -> None:
    set_to(pbx, pbx_http, "1")
    page = client.get(f"/policies/{policy.pk}/").content.decode()
    assert f'data-violation="{pbx.pk}/6500" data-state="open"' in page
    address = re.search(r'href="(/policies/violations/\d+/accept/)"', page)
    assert address is not None
    form = {"value": "1", "reason": "A night line.", "ends_on": date.today() + timedelta(days=366)}

    assert client.post(address[1], form).status_code == 422
    assert client.post(address[1], form | {"ends_on": date.today() - timedelta(days=1)}).status_code == 422
    assert client.post(address[1], form | {"ends_on": date.today(), "reason": ""}).status_code == 422
    client.post(address[1], form | {"ends_on": date.today(), "value": "2"})  # it moved since the form was opened
    assert broken() == {"6500": "1"}
    client.post(address[1], form | {"ends_on": date.today()})

    assert broken() == {"6500": "1*"}
    listed = client.get("/policies/exceptions/").content.decode()
    assert "A night line." in listed
    client.post(f"/policies/exceptions/{PolicyException.objects.get().pk}/withdraw/")
    assert broken() == {"6500": "1"}
    assert told(*ENDS) == [("violation.reopened", "Mara withdrew it.")]
    assert "Mara withdrew it." in client.get("/policies/exceptions/?state=ended").content.decode()


def test_each_sees_violations_of_their_customers_and_managers_decide(
    client: Client, pbx: Pbx, policy: Policy, pbx_http: PbxDouble, acme: Customer, bellweather: Customer
) -> None:
    set_to(pbx, pbx_http, "1")
    other = make_pbx(bellweather, name="BELL-HQ")
    make_snapshots(other, Ivr(number="6500", prompt_repeat="2").settings)
    theirs = Violation.objects.get(pbx=other)
    mine = Violation.objects.get(pbx=pbx)
    form = {"value": mine.value, "reason": "Agreed.", "ends_on": timezone.localdate()}
    for role in (Role.VIEWER, Role.HELPDESK, Role.AUDITOR, Role.MANAGER):
        client.force_login(make_user(role, acme))
        page = client.get(f"/policies/{policy.pk}/").content.decode()
        assert re.findall(r'data-violation="([^"]*)"', page) == [f"{pbx.pk}/6500"]
        assert client.post(f"/policies/violations/{theirs.pk}/accept/", form).status_code == 404
        accepted = client.post(f"/policies/violations/{mine.pk}/accept/", form).status_code
        assert accepted == (302 if role == Role.MANAGER else 403)
        assert client.post(f"/policies/{policy.pk}/edit/", {}).status_code == 403


def test_fix_these_opens_a_batch_and_sends_nothing(
    client: Client, pbx: Pbx, policy: Policy, pbx_http: PbxDouble, manager: User
) -> None:
    set_to(pbx, pbx_http, "1")
    set_to(pbx, pbx_http, "5", "6501")
    accept("6501")
    before = len(pbx_http.received)

    page = client.post(f"/policies/{policy.pk}/fix/").content.decode()

    assert "Change 1 IVR" in page
    assert re.search(r'<input[^>]*name="prompt_repeat"[^>]*value="3"|value="3"[^>]*name="prompt_repeat"', page)
    assert len(pbx_http.received) == before
    assert not Batch.objects.exists()
    sealed = re.search(r'name="selection" value="([^"]*)"', page)
    assert sealed is not None
    sent = {"selection": sealed[1], "prompt_repeat": "3", "canary": "1", "pbxs_at_once": "1", "halt_after": "1"}
    client.post("/batches/add/", sent)
    assert Batch.objects.get().targets.get().asked == {"prompt_repeat": "3"}


def test_the_tile_of_home_counts_all_new_and_accepted(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, acme: Customer
) -> None:
    for number in ("6502", "6503"):
        pbx_http.add(number, dialoutboundroutes="on")
    read(pbx)
    add(None, field="dial_outbound", value="off")
    Policy.objects.update(kind=DIAL_OUT)
    accept("6502", days=1)
    pbx_http.ivrs["6501"]["dialoutboundroutes"] = "on"
    read(pbx)
    client.force_login(make_user(Role.VIEWER, acme))

    for address in ("/", f"/customers/{acme.pk}/home/"):
        page = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", client.get(address).content.decode()))
        assert "Dial-out on 3 of 4 IVRs, 1 new, 1 accepted" in page


def test_the_tile_of_one_customer_counts_its_own_and_leads_to_them(
    client: Client, pbx: Pbx, pbx_http: PbxDouble, bellweather: Customer
) -> None:
    pbx_http.ivrs["6501"]["dialoutboundroutes"] = "on"
    read(pbx)
    policy = add(None, field="dial_outbound", value="off")
    Policy.objects.update(kind=DIAL_OUT)
    make_pbx(bellweather, name="BELL-HQ")
    client.force_login(make_user(Role.VIEWER))

    page = client.get(f"/customers/{bellweather.pk}/home/").content.decode()

    assert f'href="/policies/{policy.pk}/?customer={bellweather.pk}"' in page
    assert "of 0 IVRs, 0 new, 0 accepted" in re.sub(r"\s+", " ", page)


def test_the_pages_take_as_many_queries_however_many_there_are(
    client: Client, pbx: Pbx, acme: Customer, django_assert_max_num_queries: Any
) -> None:
    ivrs = [Ivr(number=str(place), name=f"N{place}", prompt_repeat="1").settings for place in range(3)]
    for place in range(20):
        make_snapshots(make_pbx(acme, name=f"ACME-{place}"), *ivrs)
    policies = [add(None, title=f"Policy {place}") for place in range(10)]
    client.force_login(make_user(Role.MANAGER, acme))
    client.get("/policies/")

    with django_assert_max_num_queries(8):
        client.get("/policies/")
    with django_assert_max_num_queries(12):
        page = client.get(f"/policies/{policies[0].pk}/").content.decode()
    assert page.count("data-violation=") == 50
