from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from pbxadmin.audit.chain import verify
from pbxadmin.audit.context import Actor, Who, acting
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event
from pbxadmin.audit.triggers import triggers_install, triggers_missing, triggers_remove

ACME = (1, "Acme Logistics")


@pytest.fixture
def three_events(db):
    for number in range(3):
        record("pbx.edited", customer=ACME, pbx=(5, "ACME-HQ"), detail={"number": number})
    return list(Event.objects.order_by("sequence"))


@pytest.fixture
def without_triggers(db):
    """What an owner of the database could do."""
    triggers_remove(connection)
    yield
    triggers_install(connection)


@pytest.mark.django_db
def test_an_event_says_who_from_where_and_in_which_request():
    with acting(Who(Actor(7, "Mara"), "192.0.2.1", "abc")):
        event = record("pbx.edited", customer=ACME, fields={"host": {"before": "a", "asked": "b"}})

    assert event.data["actor_name"] == "Mara"
    assert (event.data["address"], event.data["request_id"]) == ("192.0.2.1", "abc")
    assert event.data["fields"] == {"host": {"before": "a", "asked": "b"}}


@pytest.mark.django_db
def test_each_customer_has_a_chain_of_its_own():
    places = [record("pbx.edited", customer=customer) for customer in (ACME, (2, "Bell"), ACME, None)]

    assert [(event.chain, event.sequence) for event in places] == [
        ("customer:1", 1),
        ("customer:2", 1),
        ("customer:1", 2),
        ("installation", 1),
    ]


@pytest.mark.django_db
def test_an_unknown_action_is_refused():
    with pytest.raises(ValueError, match="no action"):
        record("pbx.painted")


@pytest.mark.django_db
def test_text_that_no_database_takes_is_cleaned():
    event = record("pbx.edited", pbx=(1, "A\x00B\ud800"), detail={"x": "\x00"})

    event.refresh_from_db()
    assert event.pbx_name == "A\ufffdB\ufffd"


@pytest.mark.django_db
def test_an_untouched_log_has_no_faults(three_events):
    report = verify()

    assert (report.events, report.faults) == (3, [])


EVERYWHERE = ["UPDATE audit_event SET actor_name = 'evil'", "DELETE FROM audit_event"]
ON_ONE = {
    "sqlite": "INSERT OR REPLACE INTO audit_event SELECT * FROM audit_event",
    "postgresql": "TRUNCATE audit_event",
}


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_database_refuses_to_alter_the_log(three_events, position):
    statement = [*EVERYWHERE, ON_ONE[connection.vendor]][position]

    with pytest.raises(IntegrityError, match="never altered"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("tamper", "sequence", "problem"),
    [
        ("UPDATE audit_event SET text = replace(text, 'ACME-HQ', 'ACME-XX') WHERE sequence = 2", 2, "changed"),
        ("UPDATE audit_event SET actor_name = 'Somebody else' WHERE sequence = 2", 2, "actor_name"),
        ("UPDATE audit_event SET outcome = 'verified' WHERE sequence = 3", 3, "outcome"),
        ("DELETE FROM audit_event WHERE sequence = 2", 2, "missing"),
        ("DELETE FROM audit_event WHERE sequence = 1", 1, "missing"),
        ("UPDATE audit_event SET sequence = 9 WHERE sequence = 2", 2, "missing"),
    ],
)
def test_what_an_owner_of_the_database_alters_is_named(three_events, without_triggers, tamper, sequence, problem):
    with connection.cursor() as cursor:
        cursor.execute(tamper)

    first = verify().faults[0]
    assert first.sequence == sequence
    assert problem in first.problem


def test_a_text_changed_with_its_own_hash_breaks_the_link_of_the_next(three_events, without_triggers):
    from pbxadmin.audit.log import link

    second = three_events[1]
    text = second.text.replace('"number":1', '"number":7')
    Event.objects.filter(pk=second.pk).update(text=text, hash=link(second.previous_hash, text))

    first = verify().faults[0]
    assert (first.sequence, "not linked" in first.problem) == (3, True)


@pytest.mark.django_db
def test_a_missing_trigger_is_named_and_put_back(without_triggers):
    missing = triggers_missing(connection)

    triggers_install(connection)

    assert missing
    assert triggers_missing(connection) == []


@pytest.mark.django_db(transaction=True)
def test_eight_writers_at_once_leave_no_gap_and_no_fork():
    def write(_):
        try:
            for _ in range(10):
                record("pbx.edited", customer=ACME)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))

    report = verify()
    assert (report.chains, report.faults) == ({"customer:1": 80}, [])


@pytest.mark.django_db(transaction=True)
def test_an_event_goes_with_the_transaction_that_recorded_it():
    def recorded_and_undone():
        with transaction.atomic():
            record("pbx.edited", customer=ACME)
            raise DatabaseError

    with pytest.raises(DatabaseError):
        recorded_and_undone()

    assert not Event.objects.exists()
