"""The edit form over HTTP: opened by reading the PBX, checked on the server, posted to become a plan."""

import re
from threading import BoundedSemaphore

import pytest
from django.test import Client

from ivr.models import Change, Ivr
from pbxadmin.access.roles import Role
from pbxadmin.audit.models import Event
from tests.factories import make_customer, make_pbx, make_user
from tests.pbx_http import breaks, cannot_be_reached

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pbx():
    return make_pbx()


@pytest.fixture
def helpdesk(pbx, client: Client) -> Client:
    client.force_login(make_user(Role.HELPDESK, pbx.customer, username="mara"))
    return client


@pytest.fixture
def manager(pbx, client: Client) -> Client:
    client.force_login(make_user(Role.MANAGER, pbx.customer, username="max"))
    return client


def address(pbx, number="6500") -> str:
    return f"/pbxs/{pbx.pk}/ivrs/{number}/edit/"


def filled(client: Client, pbx, of="6500", **changed: str) -> dict[str, str]:
    """The form as a browser would post it after these changes; None takes a field out."""
    page = client.get(address(pbx, of)).content.decode()
    inputs = re.findall(r"<input[^>]*>", page.split('id="edit"')[1].split("</form>")[0])
    values = {}
    for tag in inputs:
        attrs = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        is_checkbox = attrs.get("type") == "checkbox"
        if not is_checkbox or " checked" in tag:
            values[attrs["name"]] = attrs.get("value", "on" if is_checkbox else "")
    values.pop("csrfmiddlewaretoken", None)
    return {name: value for name, value in (values | changed).items() if value is not None}


def test_opening_the_form_reads_the_pbx_once(helpdesk, pbx, pbx_http):
    pbx_http.ivrs["6500"]["responsetimeout"] = "8"

    page = helpdesk.get(address(pbx))

    assert page.status_code == 200
    assert 'value="8"' in page.content.decode()
    assert pbx_http.calls() == ["login", "ivr/query"]


def test_a_good_form_becomes_a_planned_change_and_sends_nothing(helpdesk, pbx, pbx_http):
    answer = helpdesk.post(address(pbx), filled(helpdesk, pbx, response_timeout=" 6 ", ticket="INC-1"))

    change = Change.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/changes/{change.pk}/")
    assert (change.status, change.wanted, change.ticket) == ("planned", {"response_timeout": "6"}, "INC-1")
    assert pbx_http.calls() == ["login", "ivr/query"]


def test_nothing_changed_makes_no_change_and_says_so(helpdesk, pbx, pbx_http):
    answer = helpdesk.post(address(pbx), filled(helpdesk, pbx), follow=True)

    assert answer.redirect_chain == [(f"/pbxs/{pbx.pk}/ivrs/6500/", 302)]
    assert "No change was made." in answer.content.decode()
    assert not Change.objects.exists()


def test_the_page_of_an_ivr_leads_into_the_form_with_a_switch_turned(helpdesk, pbx, pbx_http):
    page = helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()

    turned = f"{address(pbx)}?dial_extension=on#id_dial_extension"
    assert f'href="{turned}"' in page
    assert "Turn on" in page
    assert f'href="{address(pbx)}#id_response_timeout"' in page
    assert "id_number" not in page  # helpdesk renumbers nothing
    form = helpdesk.get(turned.split("#")[0]).content.decode()
    assert re.search(r'<input[^>]*name="dial_extension"[^>]*checked', form)
    assert "On the PBX now: Off." in form
    assert "ivr/update" not in pbx_http.calls()
    assert not Change.objects.exists()


def test_whoever_may_not_edit_is_led_into_no_form(client, pbx, pbx_http):
    client.force_login(make_user(Role.VIEWER, pbx.customer))

    assert "/edit/" not in client.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()


BAD_COUNTS = ["0", "11", "-1", "−1", "3.5", "1e1", "", "٣", "３", "1 0", "0x3", "999999999999"]
BAD = [
    *(("response_timeout", value, "Enter a whole number from 1 to 10.") for value in BAD_COUNTS),
    *(("digit_timeout", value, "Enter a whole number from 1 to 10.") for value in BAD_COUNTS),
    *(("prompt_repeat", value, "Enter a whole number from 1 to 5.") for value in ["0", "6", *BAD_COUNTS[2:]]),
    ("name", "Main Menu", "Character 5 is a blank. Try Main_Menu."),
    ("name", "Sales&More", "Character 6 is &amp;, which the PBX does not allow in a name."),
    ("name", "x" * 32, "32 characters are too long. A name has at most 31."),
    ("name", "", "Enter a name of 1 to 31 characters."),
    ("name", "a\u200bb", "Character 2 cannot be seen."),
]


@pytest.mark.parametrize(("field", "typed", "message"), BAD)
def test_a_value_out_of_range_is_refused_beside_its_field(helpdesk, pbx, pbx_http, field, typed, message):
    answer = helpdesk.post(address(pbx), filled(helpdesk, pbx, **{field: typed, "reason": "kept as typed"}))

    page = answer.content.decode()
    assert answer.status_code == 422
    assert message in page
    assert f'data-error-for="{field}"' in page
    assert "kept as typed" in page
    assert not Change.objects.exists()


@pytest.mark.parametrize("typed", ["65a0", "12345678", "", "٦٥", "65 00", "*98"])
def test_a_number_that_is_no_number_is_refused(manager, pbx, pbx_http, typed):
    answer = manager.post(address(pbx), filled(manager, pbx, number=typed))

    assert answer.status_code == 422
    assert "Enter 1 to 7 digits, nothing else." in answer.content.decode()


def test_a_number_in_use_is_refused_by_name(manager, pbx, pbx_http):
    pbx_http.add("6501", ivrname="After_Hours")
    manager.post(f"/pbxs/{pbx.pk}/refresh/")

    answer = manager.post(address(pbx), filled(manager, pbx, number="6501"))

    assert answer.status_code == 422
    assert "6501 is already used on this PBX, by After_Hours." in answer.content.decode()


def test_a_name_that_breaks_the_rules_does_not_block_another_field(helpdesk, pbx, pbx_http):
    pbx_http.ivrs["6500"]["ivrname"] = "Main Menu"

    answer = helpdesk.post(address(pbx), filled(helpdesk, pbx, response_timeout="6"))

    assert answer.status_code == 302
    assert Change.objects.get().wanted == {"response_timeout": "6"}


def test_a_switch_that_was_not_reported_stays_so_when_left_alone(helpdesk, pbx, pbx_http):
    del pbx_http.ivrs["6500"]["dialext"]

    helpdesk.post(address(pbx), filled(helpdesk, pbx, response_timeout="6"))

    assert Change.objects.get().wanted == {"response_timeout": "6"}


def test_switches_are_checkboxes(helpdesk, pbx, pbx_http):
    helpdesk.post(address(pbx), filled(helpdesk, pbx, check_voicemail="on"))

    assert Change.objects.get().wanted == {"check_voicemail": "on"}


def test_a_newer_reading_that_clashes_is_shown_as_a_conflict(helpdesk, pbx, pbx_http):
    form = filled(helpdesk, pbx, response_timeout="6")
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    helpdesk.post(f"/pbxs/{pbx.pk}/refresh/")

    answer = helpdesk.post(address(pbx), form)

    page = answer.content.decode()
    assert answer.status_code == 409
    assert 'data-conflict="response_timeout"' in page
    assert "9 s" in page
    assert "6 s" in page
    assert Change.objects.get().status == "conflict"


def test_a_form_sent_again_after_it_was_applied_leads_to_its_receipt(helpdesk, pbx, pbx_http):
    form = filled(helpdesk, pbx, response_timeout="6")
    receipt = helpdesk.post(address(pbx), form)["Location"]
    helpdesk.post(f"{receipt}apply/")
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    helpdesk.post(f"/pbxs/{pbx.pk}/refresh/")

    again = helpdesk.post(address(pbx), form)

    assert (again.status_code, again["Location"]) == (302, receipt)
    assert pbx_http.calls().count("ivr/update") == 1


def test_an_unreachable_pbx_shows_what_it_held_and_no_form(helpdesk, pbx, pbx_http):
    helpdesk.post(f"/pbxs/{pbx.pk}/refresh/")
    pbx_http.fail("ivr/query", cannot_be_reached)

    answer = helpdesk.get(address(pbx))

    page = answer.content.decode()
    assert answer.status_code == 503
    assert "You can look, not edit." in page
    assert 'data-field="response_timeout" data-value="3"' in page
    assert 'name="response_timeout"' not in page


def test_an_ivr_that_is_gone_says_so(helpdesk, pbx, pbx_http):
    helpdesk.post(f"/pbxs/{pbx.pk}/refresh/")
    del pbx_http.ivrs["6500"]

    answer = helpdesk.get(address(pbx))

    assert answer.status_code == 404
    assert "IVR 6500 is not on ACME-HQ any more." in answer.content.decode()


def test_an_ivr_that_got_another_number_is_offered_under_it(helpdesk, pbx, pbx_http):
    helpdesk.post(f"/pbxs/{pbx.pk}/refresh/")
    pbx_http.ivrs = {"6510": pbx_http.ivrs["6500"] | {"ivrnumber": "6510"}}

    page = helpdesk.get(address(pbx)).content.decode()

    assert f'href="/pbxs/{pbx.pk}/ivrs/6510/edit/"' in page


@pytest.fixture
def full_house(monkeypatch):
    """Everybody who may wait for a PBX does so. To be filled."""
    slots = BoundedSemaphore(1)
    monkeypatch.setattr("pbxadmin.fleet.concurrency._waiting_slots", slots)
    return slots


def test_a_full_house_keeps_nobody_from_a_page_that_needs_no_pbx(helpdesk, pbx, pbx_http, full_house):
    form = filled(helpdesk, pbx, dial_extension="on")
    full_house.acquire()

    page = helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/")
    planned = helpdesk.post(address(pbx), form)
    unconfirmed = helpdesk.post(f"{planned['Location']}apply/")

    assert (page.status_code, planned.status_code, unconfirmed.status_code) == (200, 302, 422)


def test_in_a_full_house_a_plan_stays_as_it_is_and_can_be_applied_later(helpdesk, pbx, pbx_http, full_house):
    planned = helpdesk.post(address(pbx), filled(helpdesk, pbx, response_timeout="6"))
    apply = f"{planned['Location']}apply/"
    full_house.acquire()

    full = helpdesk.post(apply)
    full_house.release()
    again = helpdesk.post(apply, follow=True)

    assert (full.status_code, full["Retry-After"]) == (503, "5")
    assert 'data-outcome="planned"' in full.content.decode()
    assert "Nothing was sent" in full.content.decode()
    assert 'data-outcome="verified"' in again.content.decode()
    assert pbx_http.calls().count("ivr/update") == 1


def test_in_a_full_house_the_edit_page_shows_what_the_ivr_held(helpdesk, pbx, pbx_http, full_house):
    helpdesk.get(address(pbx))
    full_house.acquire()

    answer = helpdesk.get(address(pbx))

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert 'data-field="response_timeout" data-value="3"' in answer.content.decode()


@pytest.mark.parametrize("page", ["test/", "refresh/"])
def test_in_a_full_house_nothing_else_is_sent_either(manager, pbx, pbx_http, full_house, page):
    full_house.acquire()

    answer = manager.post(f"/pbxs/{pbx.pk}/{page}")

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "Nothing was sent." in answer.content.decode()
    assert pbx_http.received == []


def test_an_outcome_that_is_not_known_is_said_where_the_ivr_is_shown_or_edited(helpdesk, pbx, pbx_http):
    planned = helpdesk.post(address(pbx), filled(helpdesk, pbx, response_timeout="6"))
    pbx_http.fail("ivr/query", breaks, after=1)
    helpdesk.post(f"{planned['Location']}apply/")

    shown, edited = helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/6500/"), helpdesk.get(address(pbx))
    pbx_http.fail("ivr/query", cannot_be_reached)
    closed = helpdesk.get(address(pbx))

    assert Change.objects.get().status == "unknown"
    for page in (shown, edited, closed):
        assert f'href="{planned["Location"]}"' in page.content.decode()
        assert "is not known yet" in page.content.decode()


def test_half_of_the_web_threads_wait_for_pbxs_and_the_rest_are_told_to_come_back(helpdesk, pbx, pbx_http, monkeypatch):
    monkeypatch.setattr("pbxadmin.fleet.concurrency._waiting_slots", BoundedSemaphore(1))
    answers = []

    def opened_meanwhile(double, body):
        answers.append(helpdesk.get(address(pbx)))
        return {"status": "Failed"}

    pbx_http.fail("ivr/query", opened_meanwhile)

    helpdesk.get(address(pbx))

    assert answers[0].status_code == 503
    assert answers[0]["Retry-After"] == "5"
    assert "Nothing was sent." in answers[0].content.decode()


def test_an_altered_form_is_read_again_and_nothing_typed_is_lost(helpdesk, pbx, pbx_http):
    form = filled(helpdesk, pbx, response_timeout="6") | {"opened": "forged"}

    answer = helpdesk.post(address(pbx), form)

    assert answer.status_code == 422
    assert 'value="6"' in answer.content.decode()
    assert not Change.objects.exists()


def test_a_helpdesk_form_has_no_number_and_a_forged_one_is_refused_and_logged(helpdesk, pbx, pbx_http):
    form = filled(helpdesk, pbx)

    answer = helpdesk.post(address(pbx), form | {"number": "6510"})

    assert "number" not in form
    assert answer.status_code == 403
    assert Event.objects.filter(action="access.denied").count() == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AUDITOR])
def test_who_may_only_see_may_not_edit(client, pbx, pbx_http, role):
    client.force_login(make_user(role, pbx.customer))

    assert client.get(address(pbx)).status_code == 403
    assert client.post(address(pbx), {}).status_code == 403
    assert pbx_http.received == []


def test_somebody_elses_pbx_is_like_one_that_is_not_there(client, pbx, pbx_http):
    client.force_login(make_user(Role.MANAGER, make_customer("Bellweather Clinics")))

    assert client.get(address(pbx)).status_code == 404
    assert client.get("/pbxs/999/ivrs/6500/edit/").status_code == 404
    assert pbx_http.received == []


def test_a_stranger_is_sent_to_sign_in(client, pbx, pbx_http):
    answer = client.get(address(pbx))

    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/?next=")


def test_fields_of_the_model_that_are_not_in_the_form_are_ignored(helpdesk, pbx, pbx_http):
    form = filled(helpdesk, pbx, response_timeout="6")

    helpdesk.post(address(pbx), form | {"ivrid": "1", "status": "verified", "customer": "9", "base": "{}"})

    change = Change.objects.get()
    assert (change.wanted, change.status) == ({"response_timeout": "6"}, "planned")


@pytest.mark.parametrize(
    ("field", "label"),
    [("dial_outbound", "Dial outbound"), ("prompt", "Prompt"), ("outbound_routes", "Outbound routes")],
)
def test_a_value_of_a_field_that_this_version_does_not_write_is_refused_and_logged(
    manager, pbx, pbx_http, field, label
):
    form = filled(manager, pbx, response_timeout="6")

    answer = manager.post(address(pbx), form | {field: "on"})

    page = answer.content.decode()
    assert answer.status_code == 422
    assert f"{label}: API v1.0.0 cannot change it." in page
    assert 'value="6"' in page  # nothing typed is lost
    assert Event.objects.get(action="access.denied").data["detail"]["field"] == field
    assert not Change.objects.exists()


def test_with_htmx_errors_come_as_a_fragment_and_success_as_a_location(helpdesk, pbx, pbx_http):
    headers = {"HX-Request": "true"}

    bad = helpdesk.post(address(pbx), filled(helpdesk, pbx, response_timeout="11"), headers=headers)
    good = helpdesk.post(address(pbx), filled(helpdesk, pbx, response_timeout="6"), headers=headers)

    assert bad.status_code == 422
    assert "<html" not in bad.content.decode()
    assert good["HX-Location"] == f"/changes/{Change.objects.get().pk}/"


def test_a_number_with_a_hash_is_edited_like_any_other(helpdesk, pbx, pbx_http):
    pbx_http.add("*6#")
    helpdesk.post(f"/pbxs/{pbx.pk}/refresh/")
    page = helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/*6%23/").content.decode()

    unchanged = helpdesk.post(address(pbx, "*6%23"), filled(helpdesk, pbx, "*6%23"))

    assert f'href="{address(pbx, "*6%23")}"' in page
    assert f'value="/pbxs/{pbx.pk}/ivrs/*6%23/"' in page
    assert unchanged["Location"] == f"/pbxs/{pbx.pk}/ivrs/*6%23/"


def test_an_odd_number_is_listed_without_a_link(helpdesk, pbx, pbx_http):
    pbx_http.add("65/../..")

    helpdesk.post(f"/pbxs/{pbx.pk}/refresh/")
    page = helpdesk.get(f"/pbxs/{pbx.pk}/ivrs/").content.decode()

    assert Ivr.objects.count() == 2
    assert "Odd number" in page
    assert "ivrs/65/../.." not in page


def test_a_form_opened_under_an_earlier_secret_key_is_still_taken(helpdesk, pbx, pbx_http, settings):
    data, old = filled(helpdesk, pbx, response_timeout="6"), settings.SECRET_KEY

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-" + "y" * 40, [old]
    answer = helpdesk.post(address(pbx), data)

    assert answer["Location"] == f"/changes/{Change.objects.get().pk}/"
