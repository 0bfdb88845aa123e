"""What was typed is not lost: another attempt, a conflict, a restore. Pages that wait turn by themselves."""

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.db.models import F
from django.test import Client
from django.utils import timezone

from ivr.changes.reconcile import reconcile
from ivr.changes.settle import change_claim
from ivr.claims import release_claims
from ivr.models import Change, Ivr
from ivr.outside import between_times
from ivr.refresh import pbx_refresh
from pbxadmin.access.models import Customer, Session
from pbxadmin.access.roles import Role
from pbxadmin.audit.actions import EventGroup
from pbxadmin.audit.context import SYSTEM
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from tests.factories import make_pbx, make_user
from tests.pbx_http import PbxDouble, breaks, refused, says

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pbx(acme: Customer, pbx_http: PbxDouble) -> Pbx:
    pbx = make_pbx(acme)
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    return pbx


@pytest.fixture
def helpdesk(client: Client, acme: Customer) -> Client:
    client.force_login(make_user(Role.HELPDESK, acme))
    return client


def form_at(client: Client, url: str) -> dict[str, Any]:
    """Return what the form of a page would send as it stands."""
    form = client.get(url).context["form"]
    values = {name: form[name].value() for name in form.fields}
    sent = {name: "on" if value is True else value for name, value in values.items() if value not in (False, None)}
    return sent | {"opened": form.sealed}


def plan(client: Client, pbx: Pbx, **typed: str) -> Change:
    edit = f"/pbxs/{pbx.pk}/ivrs/6500/edit/"
    client.post(edit, form_at(client, edit) | typed)
    return Change.objects.latest("pk")


TYPED = {"response_timeout": "9", "dial_extension": "on", "ticket": "INC-1", "reason": "The menu hangs up"}


def again(client: Client, change: Change) -> str:
    page = unescape(client.get(change.get_absolute_url()).content.decode())
    start = page.index(f"/edit/?from={change.pk}")
    return page[page.rindex('"', 0, start) + 1 : page.index('"', start)]


def test_edit_again_opens_with_the_values_of_the_plan(helpdesk: Client, pbx: Pbx) -> None:
    change = plan(helpdesk, pbx, **TYPED)

    form = form_at(helpdesk, again(helpdesk, change))
    page = helpdesk.get(again(helpdesk, change)).content.decode()

    assert form.items() >= TYPED.items()
    assert "On the PBX now: 3 s." in page
    assert 'data-unsaved="yes"' in page


def test_a_switch_that_the_plan_turned_off_stays_off(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.ivrs["6500"]["dialext"] = "on"
    edit = f"/pbxs/{pbx.pk}/ivrs/6500/edit/"
    typed = {name: value for name, value in form_at(helpdesk, edit).items() if name != "dial_extension"}
    helpdesk.post(edit, typed)
    change = Change.objects.get()

    assert change.wanted == {"dial_extension": "off"}
    assert "dial_extension" not in form_at(helpdesk, again(helpdesk, change))


@pytest.mark.parametrize("ending", ["refused", "not-sent", "not-as-asked"])
def test_planning_again_after_an_outcome_keeps_them(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble, ending: str
) -> None:
    change = plan(helpdesk, pbx, **TYPED)
    if ending == "refused":
        pbx_http.fail("ivr/update", says(refused("10018")))
    elif ending == "not-as-asked":
        pbx_http.fail("ivr/update", says({"status": "Success"}))
    else:
        pbx_http.fail("ivr/query", breaks)
    helpdesk.post(f"{change.get_absolute_url()}apply/", {"confirm": "yes"})
    change.refresh_from_db()

    assert change.status == ending
    assert form_at(helpdesk, again(helpdesk, change)).items() >= TYPED.items()


def test_the_plan_of_another_pbx_or_customer_fills_nothing(helpdesk: Client, pbx: Pbx, bellweather: Customer) -> None:
    change = plan(helpdesk, pbx, **TYPED)
    Change.objects.filter(pk=change.pk).update(customer_id=bellweather.pk)

    form = form_at(helpdesk, f"/pbxs/{pbx.pk}/ivrs/6500/edit/?from={change.pk}")

    assert (form["response_timeout"], form.get("ticket")) == ("3", None)


def test_a_restore_opens_with_reason_and_ticket(helpdesk: Client, pbx: Pbx) -> None:
    change = plan(helpdesk, pbx, **TYPED)
    helpdesk.post(f"{change.get_absolute_url()}apply/", {"confirm": "yes"})
    change.refresh_from_db()

    form = helpdesk.get(f"/changes/restore/{change.event_id}/").context["form"]

    assert (form["ticket"].value(), form["reason"].value()) == (TYPED["ticket"], TYPED["reason"])


@pytest.mark.parametrize("trouble", ["not readable", "moved"])
def test_a_restore_that_cannot_go_on_keeps_reason_and_ticket(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble, trouble: str
) -> None:
    change = plan(helpdesk, pbx, **TYPED)
    helpdesk.post(f"{change.get_absolute_url()}apply/", {"confirm": "yes"})
    change.refresh_from_db()
    if trouble == "moved":
        pbx_http.ivrs["6500"]["responsetimeout"] = "5"
    else:
        pbx_http.fail("ivr/query", breaks)

    typed = {"form": "once", "ticket": "INC-77", "reason": "Typed just now"}
    answer = helpdesk.post(f"/changes/restore/{change.event_id}/", typed)

    assert answer.status_code == (409 if trouble == "moved" else 502)
    form = answer.context["form"]
    assert (form["ticket"].value(), form["reason"].value()) == ("INC-77", "Typed just now")
    assert 'data-unsaved="yes"' in answer.content.decode()


def test_a_form_that_is_too_old_for_a_pbx_that_does_not_answer_is_left_as_it_is(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    pbx_http.fail("ivr/query", breaks)

    answer = helpdesk.post(f"/pbxs/{pbx.pk}/ivrs/6500/edit/", TYPED, headers={"HX-Request": "true"})

    assert answer.status_code == 502
    assert "data-problem" in answer.content.decode()  # stands beside the form, which stays
    assert "data-field" not in answer.content.decode()


def test_resolving_a_conflict_keeps_reason_and_ticket(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    change = plan(helpdesk, pbx, **TYPED)
    pbx_http.ivrs["6500"]["responsetimeout"] = "5"
    helpdesk.post(f"{change.get_absolute_url()}apply/", {"confirm": "yes"})

    helpdesk.post(f"{change.get_absolute_url()}resolve/", {"response_timeout": "yours"})

    resolved = Change.objects.latest("pk")
    assert resolved.pk != change.pk
    assert (resolved.ticket, resolved.reason) == (TYPED["ticket"], TYPED["reason"])


def conflict(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> Change:
    change = plan(client, pbx, **TYPED)
    pbx_http.ivrs["6500"]["responsetimeout"] = "5"
    client.post(f"{change.get_absolute_url()}apply/", {"confirm": "yes"})
    change.refresh_from_db()
    assert change.status == "conflict"
    return change


def test_a_conflict_can_be_edited_again_beside_what_the_pbx_holds_now(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    change = conflict(helpdesk, pbx, pbx_http)

    page = helpdesk.get(again(helpdesk, change))

    assert form_at(helpdesk, again(helpdesk, change)).items() >= TYPED.items()
    assert page.context["form"].opened.values["response_timeout"] == "5"
    assert "On the PBX now: 5 s." in page.content.decode()


def test_a_choice_that_could_not_be_taken_stays_chosen(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    change = conflict(helpdesk, pbx, pbx_http)
    Customer.objects.filter(pk=pbx.customer_id).update(reason_rule="required")
    Change.objects.filter(pk=change.pk).update(reason="")

    answer = helpdesk.post(f"{change.get_absolute_url()}resolve/", {"response_timeout": "yours"})

    assert answer.status_code == 422
    assert re.search(r'name="response_timeout"\s+value="yours"\s+required\s+checked', answer.content.decode())


def test_the_ivr_of_the_same_name_opens_with_what_was_typed(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    change = plan(helpdesk, pbx, **TYPED)
    pbx_http.ivrs["6599"] = pbx_http.ivrs.pop("6500") | {"ivrnumber": "6599"}

    gone = helpdesk.get(again(helpdesk, change))
    there = f"/pbxs/{pbx.pk}/ivrs/6599/edit/?from={change.pk}"

    assert gone.status_code == 404
    assert f'href="{there}"' in gone.content.decode()
    assert form_at(helpdesk, there).items() >= TYPED.items()


# Waiting


def unknown(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> Change:
    change = plan(helpdesk, pbx, response_timeout="9")
    pbx_http.fail("ivr/update", breaks)
    pbx_http.fail("ivr/query", breaks, after=1)
    helpdesk.post(f"{change.get_absolute_url()}apply/")
    change.refresh_from_db()
    assert change.status == "unknown"
    return change


def test_an_unknown_outcome_is_asked_for_until_it_is_settled(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    change = unknown(helpdesk, pbx, pbx_http)
    url = change.get_absolute_url()
    page = helpdesk.get(url).content.decode()
    seen = f"{url}?seen={change.progress}"

    assert 'hx-trigger="every 5s"' in page
    assert 'http-equiv="refresh"' in page
    assert "The next check is at" in page
    assert seen in page
    assert helpdesk.get(seen, headers={"HX-Request": "true"}).status_code == 204
    with time_machine.travel(timezone.now() + timedelta(seconds=60)):
        reconcile()
    turned = helpdesk.get(seen, headers={"HX-Request": "true"}).content.decode()
    change.refresh_from_db()
    if change.check_at is None:
        assert "hx-trigger" not in turned
    assert f'data-outcome="{change.status}"' in turned


def test_a_page_whose_outcome_nobody_looks_for_any_more_does_not_wait(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    change = unknown(helpdesk, pbx, pbx_http)
    Pbx.objects.all().delete()
    with time_machine.travel(timezone.now() + timedelta(seconds=60)):
        reconcile()
    change.refresh_from_db()

    page = helpdesk.get(change.get_absolute_url()).content.decode()

    assert (change.status, change.check_at) == ("unknown", None)
    assert "hx-trigger" not in page.partition('id="change"')[2].partition(">")[0]
    assert "http-equiv" not in page


def test_a_page_asked_for_during_a_check_turns_when_the_next_is_known(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    change = unknown(helpdesk, pbx, pbx_http)
    assert change_claim(change, Change.Status.UNKNOWN, checks=F("checks") + 1)
    seen = f"{change.get_absolute_url()}?seen={change.progress}"

    release_claims(Change.objects.all(), check_at=timezone.now() + timedelta(minutes=2))

    assert helpdesk.get(seen, headers={"HX-Request": "true"}).status_code == 200


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AUDITOR])
def test_who_may_only_look_sees_when_it_is_looked_at_next_too(
    helpdesk: Client, client: Client, pbx: Pbx, pbx_http: PbxDouble, role: Role
) -> None:
    change = unknown(helpdesk, pbx, pbx_http)
    client.force_login(make_user(role, pbx.customer))

    page = client.get(change.get_absolute_url()).content.decode()

    assert "The next check is at" in page
    assert f'<a href="{change.get_absolute_url()}">Load the page again</a>' in page


def test_a_page_that_waits_does_not_keep_its_session_in_use(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    url = unknown(helpdesk, pbx, pbx_http).get_absolute_url()
    page = unescape(helpdesk.get(url).content.decode())
    sent = json.loads(page.partition('id="change"')[2].partition("hx-headers='")[2].partition("'")[0] or "{}")

    with time_machine.travel(timezone.now() + timedelta(minutes=90)):
        before = Session.objects.get().expire_date
        helpdesk.get(url, headers={"HX-Request": "true"} | sent)
        assert Session.objects.get().expire_date == before
        helpdesk.get(url)
        assert Session.objects.get().expire_date > before


def test_what_broke_is_said_once(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    sentence = unknown(helpdesk, pbx, pbx_http).sentence

    words = [part.strip() for part in sentence.split(".") if part.strip()]
    assert len(words) == len(set(words))
    assert sentence.count("broke") == 1


def test_that_it_is_checked_again_is_said_once(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    page = helpdesk.get(unknown(helpdesk, pbx, pbx_http).get_absolute_url()).content.decode()

    assert page.partition("<pre")[0].lower().count("checked again by itself") == 1


def test_a_page_of_an_ivr_that_was_read_as_gone_keeps_what_was_typed(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    change = plan(helpdesk, pbx, **TYPED)
    pbx_http.ivrs["6599"] = pbx_http.ivrs.pop("6500") | {"ivrnumber": "6599"}
    pbx_refresh(pbx=pbx, actor=SYSTEM)

    page = helpdesk.get(again(helpdesk, change)).content.decode()

    assert f'href="/pbxs/{pbx.pk}/ivrs/6599/edit/?from={change.pk}"' in page


def test_an_ivr_that_is_gone_offers_the_one_of_the_same_name(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    change = plan(helpdesk, pbx, response_timeout="9")
    pbx_http.ivrs["6599"] = pbx_http.ivrs.pop("6500") | {"ivrnumber": "6599"}
    helpdesk.post(f"{change.get_absolute_url()}apply/")
    pbx_refresh(pbx=pbx, actor=SYSTEM)

    page = helpdesk.get(again(helpdesk, Change.objects.get()))

    assert page.status_code == 404
    assert "This IVR is gone" in page.content.decode()
    assert f"/pbxs/{pbx.pk}/ivrs/6599/" in page.content.decode()


# Outside changes that do not stand any more


def outside(pbx: Pbx, pbx_http: PbxDouble, **values: str) -> Event:
    pbx_http.ivrs["6500"] |= values
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    return Event.objects.filter(action="ivr.changed-outside").latest("id")


def offered(client: Client, pbx: Pbx) -> tuple[bool, str]:
    """Return whether the page of the IVR offers to restore or accept, and the state on Home."""
    page = client.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()
    return "/accept/" in page, client.get("/").content.decode()


@pytest.mark.parametrize("by", ["our change", "outside", "there and back"])
def test_an_overridden_outside_change_is_closed_everywhere(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble, by: str
) -> None:
    first = outside(pbx, pbx_http, responsetimeout="7")
    assert offered(helpdesk, pbx)[0]
    assert f'data-outside="{first.pk}"' in helpdesk.get("/").content.decode()
    if by == "our change":
        change = plan(helpdesk, pbx, response_timeout="4")
        helpdesk.post(f"{change.get_absolute_url()}apply/")
    else:
        outside(pbx, pbx_http, responsetimeout="8")
        if by == "there and back":
            outside(pbx, pbx_http, responsetimeout="7")

    page = helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()
    home = helpdesk.get("/").content.decode()

    assert f"/changes/restore/{first.pk}/" not in page + home
    assert f"/outside/{first.pk}/accept/" not in page + home
    assert f'data-outside="{first.pk}"' not in home
    assert "Overridden since" in page


def test_a_change_of_another_field_leaves_it_open(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    first = outside(pbx, pbx_http, responsetimeout="7")
    change = plan(helpdesk, pbx, digit_timeout="9")
    helpdesk.post(f"{change.get_absolute_url()}apply/")

    assert f"/changes/restore/{first.pk}/" in helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()


def test_a_change_of_ours_that_somebody_overrode_offers_no_restore(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    change = plan(helpdesk, pbx, response_timeout="9")
    helpdesk.post(f"{change.get_absolute_url()}apply/")
    change.refresh_from_db()
    restore = f"/changes/restore/{change.event_id}/"
    assert restore in helpdesk.get(change.get_absolute_url()).content.decode()

    outside(pbx, pbx_http, responsetimeout="7")

    assert Ivr.objects.get().response_timeout == "7"
    assert restore not in helpdesk.get(change.get_absolute_url()).content.decode()


def test_a_field_that_moved_does_not_close_that_the_ivr_appeared(
    helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    pbx_http.add("6501")
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    appeared = Event.objects.get(action="ivr.appeared")

    pbx_http.ivrs["6501"]["promptrepeat"] = "2"
    pbx_refresh(pbx=pbx, actor=SYSTEM)

    assert f'data-outside="{appeared.pk}"' in helpdesk.get("/").content.decode()


def test_an_ivr_that_went_and_came_closes_what_was_said_before(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.add("6501")
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    was = pbx_http.ivrs.pop("6501")
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    pbx_http.ivrs["6501"] = was
    pbx_refresh(pbx=pbx, actor=SYSTEM)

    first, gone, last = Event.objects.filter(action__in=EventGroup.OUTSIDE.actions).order_by("id")
    home = helpdesk.get("/").content.decode()

    assert [event.pk for event in (first, gone, last) if f'data-outside="{event.pk}"' in home] == [last.pk]


def test_a_change_of_ours_that_moved_nothing_leaves_it_open(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    first = outside(pbx, pbx_http, responsetimeout="7")
    change = plan(helpdesk, pbx, response_timeout="4")
    pbx_http.fail("ivr/update", says({"status": "Success"}))
    helpdesk.post(f"{change.get_absolute_url()}apply/")
    change.refresh_from_db()

    assert change.status == "not-as-asked"
    assert f'data-outside="{first.pk}"' in helpdesk.get("/").content.decode()
    assert f"/changes/restore/{first.pk}/" in helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()


def test_no_restore_is_offered_of_an_ivr_that_is_gone(helpdesk: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.add("6501")
    pbx_refresh(pbx=pbx, actor=SYSTEM)
    change = plan(helpdesk, pbx, response_timeout="9")
    helpdesk.post(f"{change.get_absolute_url()}apply/")
    change.refresh_from_db()
    del pbx_http.ivrs["6500"]
    pbx_refresh(pbx=pbx, actor=SYSTEM)

    assert f"/changes/restore/{change.event_id}/" not in helpdesk.get(change.get_absolute_url()).content.decode()


@pytest.mark.parametrize("is_overridden", [False, True])
def test_the_desk_says_what_was_overridden(client: Client, pbx: Pbx, pbx_http: PbxDouble, is_overridden: bool) -> None:
    first = outside(pbx, pbx_http, responsetimeout="7")
    if is_overridden:
        outside(pbx, pbx_http, responsetimeout="8")
    client.force_login(make_user(Role.AUDITOR, pbx.customer))

    page = client.get("/audit/desk/").content.decode()
    row = page.partition(f'data-event="{first.pk}"')[2].partition("</tr>")[0]

    assert ("since then: overridden" in " ".join(row.split())) == is_overridden


def test_an_interval_within_a_minute_is_a_time() -> None:
    since = datetime(2026, 3, 1, 20, 9, 1, tzinfo=UTC)

    assert between_times(since, since + timedelta(seconds=40)) == "at 20:09 UTC"
    assert between_times(since, since + timedelta(minutes=1)) == "between 20:09 and 20:10 UTC"
