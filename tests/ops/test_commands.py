"""Commands, as an operator types them: words and exit codes."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from ivr.models import Change
from pbxadmin.api.key_text import is_key_text
from pbxadmin.api.models import ApiKey
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_missing, triggers_remove
from tests.factories import make_change, make_customer, make_pbx, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def said(*words):
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue().strip()


def failed(*words):
    """What a command said before it failed, and the sentence that it failed with."""
    out = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command(*words, stdout=out)
    assert failure.value.returncode == 1
    return out.getvalue().strip(), str(failure.value)


def test_grant_gives_a_role_and_records_it():
    acme, _ = make_customer(), make_user(username="mara")

    assert said("grant", "MARA", "viewer", "--customer", "acme logistics") == "mara is now viewer of Acme Logistics."

    event = Event.objects.get(action="membership.granted")
    assert (event.customer_id, event.actor_name, event.data["detail"]["role"]) == (acme.pk, "PBX Admin", "viewer")


def test_grant_of_what_is_granted_records_nothing():
    make_user("viewer", username="mara")

    assert said("grant", "mara", "viewer") == "mara already is viewer of all customers."
    assert Event.objects.filter(action="membership.granted").count() == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nora", "viewer"], "There is no user 'nora'. Invite people without an account on the page People."),
        (["mara", "boss"], "There is no role 'boss'. The roles are viewer, helpdesk, auditor, manager."),
        (["mara", "viewer", "--customer", "x"], "There is no customer 'x'. Customers are added on the page Customers."),
    ],
)
def test_grant_names_what_does_not_exist(words, sentence):
    make_user(username="mara")

    assert failed("grant", *words) == ("", sentence)
    assert not Event.objects.filter(action="membership.granted").exists()


def left_in_the_middle(pbx):
    """A change whose sender died after the PBX had applied it."""
    return make_change(pbx, Change.Status.SENDING, live={"response_timeout": "3"}, claimed_until=timezone.now())


def test_reconcile_settles_by_reading_and_never_sends(pbx_http):
    change = left_in_the_middle(make_pbx())
    pbx_http.ivrs["6500"]["responsetimeout"] = "6"

    assert said("reconcile") == "1 change looked at."

    change.refresh_from_db()
    assert change.status == "verified"
    assert pbx_http.calls() == ["login", "ivr/query"]


def test_reconcile_with_nothing_to_do_says_so():
    assert said("reconcile") == "0 changes looked at."


@pytest.fixture
def five_events():
    """Three of a customer and two of the installation."""
    return [
        record(EventAction.PBX_EDITED, customer=customer, pbx=(5, "ACME-HQ"), detail={"number": number})
        for number, customer in enumerate([(1, "Acme"), None, (1, "Acme"), None, (1, "Acme")])
    ]


@pytest.fixture
def tamper():
    """What an owner of the database could do, with the triggers taken away and put back."""

    def run(statement):
        triggers_remove(connection)
        with connection.cursor() as cursor:
            cursor.execute(statement)
        triggers_install(connection)

    yield run
    triggers_install(connection)


def test_an_untouched_log_is_verified_chain_by_chain(five_events):
    lines = said("audit_verify").splitlines()

    assert lines[:2] == ["customer:1: 3 events", "installation: 2 events"]
    assert lines[-1] == "All 5 events are as they were recorded."


def test_an_empty_log_is_in_order():
    assert said("audit_verify").endswith("All 0 events are as they were recorded.")


@pytest.mark.parametrize(
    ("statement", "place", "problem"),
    [
        ("UPDATE audit_event SET text = replace(text, 'ACME-HQ', 'ACME-XX') WHERE {second}", 2, "changed"),
        ("UPDATE audit_event SET actor_name = 'Nobody' WHERE {second}", 2, "actor_name"),
        ("DELETE FROM audit_event WHERE {second}", None, "customer:1 2 (no event): missing"),
    ],
)
def test_a_log_that_was_altered_is_refused_and_its_first_bad_event_named(
    five_events, tamper, statement, place, problem
):
    tamper(statement.format(second="chain = 'customer:1' AND sequence >= 2 AND sequence < 3"))

    lines, sentence = failed("audit_verify")

    assert problem in sentence
    if place:
        assert f"customer:1 {place} (event {five_events[2].pk})" in sentence
    assert "BAD customer:1 2 " in lines
    assert "All 5 events" not in lines


def test_the_first_of_several_bad_events_is_the_one_named(five_events, tamper):
    tamper("UPDATE audit_event SET text = replace(text, 'ACME-HQ', 'ACME-XX') WHERE chain = 'customer:1'")

    lines, sentence = failed("audit_verify")

    assert lines.count("BAD ") == 3
    assert f"First: customer:1 1 (event {five_events[0].pk})" in sentence


def test_a_log_without_its_triggers_is_refused_although_its_events_are_good(five_events):
    names = triggers_remove_named()
    try:
        lines, sentence = failed("audit_verify")
    finally:
        triggers_install(connection)

    assert names
    assert all(name in lines for name in names)
    assert names[0] in sentence


def triggers_remove_named():
    triggers_remove(connection)
    return triggers_missing(connection)


def test_api_key_makes_lists_and_revokes():
    make_user("viewer", username="mara")

    text = said("api_key", "make", "mara", "Nightly export", "--network", "192.0.2.0/24")

    key = ApiKey.objects.get()
    assert is_key_text(text)
    assert (key.scope, key.networks) == ("read", "192.0.2.0/24")
    assert said("api_key", "list").split("\t")[1:5] == ["mara", "Nightly export", f"{key.shown}…", "read"]
    assert text not in said("api_key", "list", "mara")
    assert said("api_key", "revoke", str(key.pk)) == "Nightly export of mara is revoked."
    assert "\trevoked\t" in said("api_key", "list")


def test_api_key_says_what_is_wrong():
    make_user("viewer", username="mara")

    assert "a year at most" in failed("api_key", "make", "mara", "x", "--last-day", "2099-01-01")[1]
    assert failed("api_key", "revoke", "7")[1] == "There is no key 7. `api_key list` shows them."
