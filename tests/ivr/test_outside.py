"""What changed on a PBX behind our back: the log says so once, and never of what we did ourselves."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone

from ivr.changes.apply import change_apply
from ivr.changes.plan import change_plan
from ivr.changes.reconcile import reconcile, replay_spool
from ivr.forms import opened_now
from ivr.models import Change, Ivr
from ivr.refresh import pbx_refresh
from pbxadmin.access.roles import Role
from pbxadmin.audit.context import Actor
from pbxadmin.audit.models import Event
from pbxadmin.fleet.models import Pbx
from pbxadmin.fleet.services import pbx_accept_replacement
from pbxadmin.yeastar.errors import PbxError
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_customer, make_pbx, make_user
from tests.pbx_http import PbxDouble, breaks, cannot_be_reached, loses_the_answer, refused, says

pytestmark = pytest.mark.django_db(transaction=True)
MARA = Actor(7, "Mara Lindqvist")
SUCCESS = {"status": "Success"}
Status = Change.Status
OUTSIDE = ("ivr.changed-outside", "ivr.appeared", "ivr.vanished")


@pytest.fixture
def pbx(pbx_http: PbxDouble) -> Pbx:
    """A PBX that was read before."""
    pbx = make_pbx()
    read(pbx)
    pbx.refresh_from_db()
    return pbx


def read(pbx: Pbx) -> None:
    pbx_refresh(pbx=Pbx.objects.get(pk=pbx.pk), actor=MARA)


def plan(pbx: Pbx, pbx_http: PbxDouble, **wanted: str) -> Change:
    opened = opened_now(pbx, read_ivr(pbx_http.ivrs["6500"], ApiVersion.V1_0), timezone.now())
    return change_plan(pbx=pbx, opened=opened, wanted=wanted or {"response_timeout": "6"}, actor=MARA)


def apply(change: Change) -> Change:
    change_apply(change=change, actor=MARA, confirmed=True)
    change.refresh_from_db()
    return change


def told() -> list[tuple[str, str, dict[str, Any]]]:
    """What the log says of outside changes: action, number, fields."""
    events = Event.objects.filter(action__in=OUTSIDE).order_by("id")
    return [(event.action, event.ivr_number, event.data["fields"]) for event in events]


REPEAT = {"prompt_repeat": {"before": "3", "found": "1"}}


def test_a_refresh_tells_what_changed_and_between_which_times(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.ivrs["6500"]["promptrepeat"] = "1"
    with time_machine.travel(pbx.read_at + timedelta(minutes=15)):
        read(pbx)

    event = Event.objects.get(action="ivr.changed-outside")
    since, until = pbx.read_at, pbx.read_at + timedelta(minutes=15)
    assert event.data["fields"] == REPEAT
    days = "%H:%M" if since.date() == until.date() else "%Y-%m-%d %H:%M"
    assert event.data["detail"]["sentence"] == (
        f"Changed outside PBX Admin, between {since:{days}} and {until:{days}} UTC: Prompt played 3 times → 1 time."
    )


def test_it_is_told_once(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.ivrs["6500"]["promptrepeat"] = "1"

    read(pbx)
    read(pbx)

    assert told() == [("ivr.changed-outside", "6500", REPEAT)]


def test_it_never_names_who_happened_to_look_nor_where_from(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    client.force_login(make_user(Role.HELPDESK, pbx.customer, username="mara"))
    pbx_http.ivrs["6500"]["promptrepeat"] = "1"

    client.get(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")

    said = Event.objects.get(action="ivr.changed-outside").data
    assert (said["actor_id"], said["actor_name"], said["address"], said["request_id"]) == (None, "PBX Admin", "", "")
    assert said["fields"] == REPEAT


def test_the_read_before_sending_tells_of_it_and_the_change_meets_the_conflict(pbx: Pbx, pbx_http: PbxDouble) -> None:
    change = plan(pbx, pbx_http)
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"

    assert apply(change).status == Status.CONFLICT
    assert told() == [("ivr.changed-outside", "6500", {"response_timeout": {"before": "3", "found": "9"}})]


def test_the_first_read_of_a_pbx_tells_nothing(pbx_http: PbxDouble) -> None:
    read(make_pbx())

    assert told() == []


def test_ivrs_that_came_and_went_are_told_with_all_their_values(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.add("6501", promptrepeat="2")
    read(pbx)
    del pbx_http.ivrs["6500"]
    read(pbx)

    (came, new, found), (went, old, before) = told()
    assert (came, new, found["prompt_repeat"]) == ("ivr.appeared", "6501", {"found": "2"})
    assert (went, old, before["prompt_repeat"]) == ("ivr.vanished", "6500", {"before": "3"})


@pytest.mark.parametrize(
    "answer",
    [says({"status": "Success", "ivr": []}), says({"status": "Success"}), breaks, cannot_be_reached, says("<html>")],
    ids=["empty", "no list", "breaks", "away", "no JSON"],
)
def test_an_empty_or_a_failed_answer_is_never_all_deleted(pbx: Pbx, pbx_http: PbxDouble, answer: Any) -> None:
    pbx_http.fail("ivr/query", answer)

    with suppress(PbxError):
        read(pbx)

    assert told() == []
    assert Ivr.objects.filter(pbx=pbx).count() == 1


def test_a_read_of_one_ivr_says_nothing_of_the_others(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.add("6501")
    read(pbx)
    client.force_login(make_user(Role.HELPDESK, pbx.customer))

    client.get(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")

    assert [action for action, *_ in told()] == ["ivr.appeared"]


@pytest.mark.parametrize("version", ["v1.0.0", "v1.1.0"])
def test_our_own_change_is_no_outside_change(pbx: Pbx, pbx_http: PbxDouble, version: str) -> None:
    Pbx.objects.filter(pk=pbx.pk).update(api_version=version)
    change = apply(plan(Pbx.objects.get(pk=pbx.pk), pbx_http, response_timeout="6", name="New"))

    read(pbx)

    assert change.status == Status.VERIFIED
    assert told() == []


def test_a_value_that_the_pbx_made_of_ours_is_no_outside_change(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("ivr/update", lambda double, body: double.update(body | {"responsetimeout": "10"}))
    change = apply(plan(pbx, pbx_http))

    read(pbx)

    assert change.status == Status.NOT_AS_ASKED
    assert told() == []


def test_a_renumbering_of_ours_neither_appears_nor_vanishes(pbx: Pbx, pbx_http: PbxDouble) -> None:
    change = apply(plan(pbx, pbx_http, number="6510"))

    read(pbx)

    assert change.status == Status.VERIFIED
    assert told() == []


def test_what_others_do_after_our_renumbering_is_told(pbx: Pbx, pbx_http: PbxDouble) -> None:
    apply(plan(pbx, pbx_http, number="6510"))

    pbx_http.add("6500")
    read(pbx)
    pbx_http.add("6520")
    del pbx_http.ivrs["6510"]
    read(pbx)

    assert [event[:2] for event in told()] == [
        ("ivr.appeared", "6500"),
        ("ivr.appeared", "6520"),
        ("ivr.vanished", "6510"),
    ]


def test_an_ivr_of_the_number_that_the_pbx_refused_us_is_told(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("ivr/update", says(refused("10018")))
    apply(plan(pbx, pbx_http, number="6510"))

    pbx_http.add("6510")
    read(pbx)

    assert [event[:2] for event in told()] == [("ivr.appeared", "6510")]


def test_a_renumbering_that_takes_effect_after_its_old_number_was_read_again_is_told(
    pbx: Pbx, pbx_http: PbxDouble
) -> None:
    pbx_http.fail("ivr/update", says(SUCCESS))
    change = apply(plan(pbx, pbx_http, number="6510"))
    pbx_http.ivrs["6500"]["promptrepeat"] = "1"
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        reconcile()
        apply(plan(pbx, pbx_http, response_timeout="6"))
    pbx_http.ivrs["6510"] = pbx_http.ivrs.pop("6500") | {"ivrnumber": "6510"}

    with time_machine.travel(timezone.now() + timedelta(minutes=15)):
        read(pbx)

    change.refresh_from_db()
    assert change.status == Status.NOT_AS_ASKED
    assert [event[:2] for event in told()][1:] == [("ivr.appeared", "6510"), ("ivr.vanished", "6500")]


@pytest.mark.parametrize("then", ["6500", "6530"])
def test_our_renumbering_that_somebody_turns_into_another_is_told(pbx: Pbx, pbx_http: PbxDouble, then: str) -> None:
    apply(plan(pbx, pbx_http, number="6510"))

    pbx_http.ivrs[then] = pbx_http.ivrs.pop("6510") | {"ivrnumber": then}
    read(pbx)

    assert [event[:2] for event in told()] == [("ivr.appeared", then), ("ivr.vanished", "6510")]


def test_an_edit_by_somebody_else_during_our_change_is_told_for_the_fields_we_did_not_send(
    pbx: Pbx, pbx_http: PbxDouble
) -> None:
    def and_somebody_edits(double: PbxDouble, body: dict[str, Any]) -> Any:
        answer = double.update(body)
        double.ivrs["6500"] |= {"promptrepeat": "1"}
        return answer

    pbx_http.fail("ivr/update", and_somebody_edits)

    assert apply(plan(pbx, pbx_http)).status == Status.VERIFIED
    assert told() == [("ivr.changed-outside", "6500", REPEAT)]


def test_an_edit_by_somebody_else_during_our_renumbering_is_told_too(pbx: Pbx, pbx_http: PbxDouble) -> None:
    def and_somebody_edits(double: PbxDouble, body: dict[str, Any]) -> Any:
        answer = double.update(body)
        double.ivrs["6510"] |= {"promptrepeat": "1"}
        return answer

    pbx_http.fail("ivr/update", and_somebody_edits)

    assert apply(plan(pbx, pbx_http, number="6510")).status == Status.VERIFIED
    assert told() == [("ivr.changed-outside", "6510", REPEAT)]


def test_what_a_change_of_unknown_outcome_wanted_is_not_told_and_the_rest_is(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("ivr/update", loses_the_answer)
    pbx_http.fail("ivr/query", breaks, after=1)
    change = apply(plan(pbx, pbx_http))
    pbx_http.ivrs["6500"]["promptrepeat"] = "1"

    read(pbx)

    assert change.status == Status.UNKNOWN
    assert told() == [("ivr.changed-outside", "6500", REPEAT)]
    with time_machine.travel(timezone.now() + timedelta(seconds=11)):
        reconcile()
        read(pbx)
    change.refresh_from_db()
    assert change.status == Status.VERIFIED
    assert len(told()) == 1


def test_a_change_whose_sender_died_is_not_told_before_it_is_settled(pbx: Pbx, pbx_http: PbxDouble) -> None:
    change = plan(pbx, pbx_http)
    long_ago = timezone.now() - timedelta(minutes=5)
    Change.objects.filter(pk=change.pk).update(
        status=Status.SENDING, live=change.base, sent_at=long_ago, claimed_until=long_ago
    )
    pbx_http.ivrs["6500"]["responsetimeout"] = "6"

    read(pbx)
    reconcile()
    read(pbx)

    change.refresh_from_db()
    assert change.status == Status.VERIFIED
    assert told() == []


def test_what_a_slow_pbx_applies_before_we_look_again_is_ours(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("ivr/update", says(SUCCESS))
    change = apply(plan(pbx, pbx_http))
    pbx_http.ivrs["6500"]["responsetimeout"] = "6"

    read(pbx)

    assert change.status == Status.NOT_AS_ASKED
    assert told() == []
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        reconcile()
    change.refresh_from_db()
    assert change.status == Status.VERIFIED


def test_what_takes_effect_after_that_is_told_with_a_note(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.fail("ivr/update", says(SUCCESS))
    change = apply(plan(pbx, pbx_http))
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        reconcile()
        pbx_http.ivrs["6500"]["responsetimeout"] = "6"
        read(pbx)

    event = Event.objects.get(action="ivr.changed-outside")
    assert f"change {change.pk} asked for" in event.data["detail"]["note"]


@pytest.mark.parametrize("fault", [{"ivr/update": says(SUCCESS)}, {"ivr/query": cannot_be_reached}])
def test_an_edit_is_told_although_an_earlier_change_of_the_field_is_still_open(
    pbx: Pbx, pbx_http: PbxDouble, fault: Any
) -> None:
    for call, happens in fault.items():
        pbx_http.fail(call, happens, after=int(call == "ivr/query"))
    still_open = apply(plan(pbx, pbx_http, response_timeout="6"))
    assert apply(plan(pbx, pbx_http, response_timeout="9")).status == Status.VERIFIED
    for found in ("4", "5"):
        pbx_http.ivrs["6500"]["responsetimeout"] = found
        read(pbx)

    assert still_open.check_at is not None
    assert told() == [
        ("ivr.changed-outside", "6500", {"response_timeout": {"before": "9", "found": "4"}}),
        ("ivr.changed-outside", "6500", {"response_timeout": {"before": "4", "found": "5"}}),
    ]


def test_an_edit_after_our_change_is_told(pbx: Pbx, pbx_http: PbxDouble) -> None:
    apply(plan(pbx, pbx_http))
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"

    read(pbx)

    assert told() == [("ivr.changed-outside", "6500", {"response_timeout": {"before": "6", "found": "9"}})]


def test_our_change_stays_ours_when_its_reading_could_not_be_kept(
    pbx: Pbx, pbx_http: PbxDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("ivr.changes.readings.snapshot_save", away)
        change = apply(plan(pbx, pbx_http))

    read(pbx)

    assert change.status == Status.VERIFIED
    assert told() == []


def test_an_edit_between_an_outcome_and_its_late_record_is_told(
    pbx: Pbx, pbx_http: PbxDouble, settings: Any, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path

    def applied_and_then_the_log_is_away(double: PbxDouble, body: dict[str, Any]) -> Any:
        rename("audit_event", "audit_event_away")
        return double.update(body)

    pbx_http.fail("ivr/update", applied_and_then_the_log_is_away)
    change = apply(plan(pbx, pbx_http))
    rename("audit_event_away", "audit_event")
    pbx_http.ivrs["6500"]["responsetimeout"] = "9"
    read(pbx)
    before = told()

    replay_spool()
    read(pbx)

    change.refresh_from_db()
    assert (before, change.status, change.found["response_timeout"]) == ([], Status.VERIFIED, "6")
    assert told() == [("ivr.changed-outside", "6500", {"response_timeout": {"before": "6", "found": "9"}})]


def test_a_late_record_of_an_earlier_change_does_not_make_a_later_one_of_ours_an_outside_change(
    pbx: Pbx, pbx_http: PbxDouble, settings: Any, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path

    def applied_and_then_the_log_is_away(double: PbxDouble, body: dict[str, Any]) -> Any:
        rename("audit_event", "audit_event_away")
        return double.update(body)

    pbx_http.fail("ivr/update", applied_and_then_the_log_is_away)
    earlier = apply(plan(pbx, pbx_http, response_timeout="6"))
    rename("audit_event_away", "audit_event")
    later = apply(plan(pbx, pbx_http, response_timeout="9"))

    replay_spool()
    read(pbx)

    earlier.refresh_from_db()
    assert (earlier.status, later.status) == (Status.VERIFIED, Status.VERIFIED)
    assert told() == []
    assert earlier.finished_at is not None
    assert earlier.finished_at < (later.finished_at or earlier.finished_at)
    assert Event.objects.get(pk=earlier.event_id).data["detail"]["found_at"] == earlier.finished_at.isoformat()


def away(*_: Any) -> None:
    raise DatabaseError("away")


FIRMWARE: list[Callable[[dict[str, str]], Any]] = [
    lambda ivr: ivr.pop("dialtocheckvoicemail"),
    lambda ivr: ivr.update(selectedrouters="Route1"),
]


@pytest.mark.parametrize("updated", FIRMWARE, ids=["not reported any more", "reported for the first time"])
def test_what_firmware_reports_or_not_is_no_change_by_anybody(pbx: Pbx, pbx_http: PbxDouble, updated: Any) -> None:
    updated(pbx_http.ivrs["6500"])

    read(pbx)

    assert told() == []
    assert Ivr.objects.get(pbx=pbx).raw == pbx_http.ivrs["6500"]


def test_a_replaced_device_has_not_changed_but_is_another(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.serial, pbx_http.tokens = "999", set()
    pbx_http.ivrs = {}
    pbx_http.add("7000")
    with pytest.raises(PbxError, match="Another device answers"):
        read(pbx)
    assert [ivr.number for ivr in Ivr.objects.all()] == ["6500"]
    pbx.refresh_from_db()

    pbx_accept_replacement(pbx=pbx, reason="Lightning")
    read(pbx)

    assert [ivr.number for ivr in Ivr.objects.all()] == ["7000"]
    assert told() == []


def test_what_another_device_says_while_a_change_is_applied_is_not_kept(pbx: Pbx, pbx_http: PbxDouble) -> None:
    change = plan(pbx, pbx_http)
    pbx_http.serial, pbx_http.tokens = "999", set()
    pbx_http.ivrs["6500"]["promptrepeat"] = "1"

    assert apply(change).status == Status.NOT_SENT

    assert Ivr.objects.get().prompt_repeat == "3"
    assert told() == []


def test_without_its_event_a_reading_is_not_kept_either(pbx: Pbx, pbx_http: PbxDouble) -> None:
    pbx_http.ivrs["6500"]["promptrepeat"] = "1"
    rename("audit_event", "audit_event_away")
    try:
        with pytest.raises(DatabaseError):
            read(pbx)
    finally:
        rename("audit_event_away", "audit_event")

    assert Ivr.objects.get(pbx=pbx).prompt_repeat == "3"
    read(pbx)
    assert told() == [("ivr.changed-outside", "6500", REPEAT)]


def rename(table: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {name}")


def test_the_address_of_an_ivr_that_vanished_leads_to_its_history(
    client: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    change = apply(plan(pbx, pbx_http))
    pbx_http.add("6501")
    del pbx_http.ivrs["6500"]
    read(pbx)
    client.force_login(make_user(Role.HELPDESK, pbx.customer))

    answers = [client.get(f"/pbxs/{pbx.pk}/ivrs/6500/"), client.get(f"/pbxs/{pbx.pk}/ivrs/6500/edit/")]

    assert [answer.status_code for answer in answers] == [404, 404]
    for page in (answer.content.decode() for answer in answers):
        assert "Vanished outside PBX Admin, at" in page
        assert f'href="/changes/{change.pk}/"' in page
        assert f"/outside/{Event.objects.get(action='ivr.vanished').pk}/accept/" in page


def test_the_old_address_of_an_ivr_that_we_renumbered_leads_to_the_new_one(
    client: Client, pbx: Pbx, pbx_http: PbxDouble
) -> None:
    apply(plan(pbx, pbx_http, number="6510"))
    client.force_login(make_user(Role.VIEWER, pbx.customer))

    page = client.get(f"/pbxs/{pbx.pk}/ivrs/6500/").content.decode()

    assert "It was renumbered to <bdi>6510</bdi>." in page
    assert f'href="/pbxs/{pbx.pk}/ivrs/6510/"' in page


def test_a_stranger_and_a_number_that_never_was_find_nothing(client: Client, pbx: Pbx, pbx_http: PbxDouble) -> None:
    apply(plan(pbx, pbx_http, number="6510"))
    client.force_login(make_user(Role.MANAGER, make_customer("Bellweather Clinics")))
    foreign = client.get(f"/pbxs/{pbx.pk}/ivrs/6500/")
    client.force_login(make_user(Role.VIEWER, pbx.customer))
    never = client.get(f"/pbxs/{pbx.pk}/ivrs/9999/")

    assert [foreign.status_code, never.status_code] == [404, 404]
    assert "6510" not in foreign.content.decode() + never.content.decode()
