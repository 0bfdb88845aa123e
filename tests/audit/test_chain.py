"""What somebody who owns the database alters is named, all of it."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import verify
from pbxadmin.audit.log import link, record
from pbxadmin.audit.models import Event

from .conftest import ACME, BELL


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def swap(column: str) -> None:
    """The first and the last event change places, by way of a place that is free."""
    first, _, last = Event.objects.order_by("sequence")
    for event, value in ((first, 99), (last, getattr(first, column)), (first, getattr(last, column))):
        Event.objects.filter(hash=event.hash).update(**{column: value})


def rewrite(event: Event, text: str) -> None:
    """The text with a hash that fits it, as somebody who knows the recipe would leave it."""
    Event.objects.filter(pk=event.pk).update(text=text, hash=link(event.previous_hash, text))


def found() -> list[tuple[int, str]]:
    return [(fault.sequence, fault.problem) for fault in verify().faults]


def test_an_untouched_log_has_no_faults(three_events):
    report = verify()

    assert (report.chains, report.events, report.faults) == ({"customer:1": 3}, 3, [])


def test_one_chain_can_be_walked_by_itself(three_events, without_triggers):
    record(EventAction.PBX_EDITED, customer=BELL)
    Event.objects.filter(sequence=2).update(hash="ab")

    assert verify(f"customer:{BELL[0]}").chains == {"customer:2": 1}
    assert verify(f"customer:{BELL[0]}").faults == []
    assert verify(f"customer:{ACME[0]}").faults


def test_an_empty_log_has_no_faults(db):
    assert (verify().events, verify().faults) == (0, [])


def test_the_log_is_read_once_from_end_to_end(three_events):
    with CaptureQueriesContext(connection) as asked:
        verify()

    assert len([query for query in asked if "audit_event" in query["sql"]]) == 1


@pytest.mark.parametrize(
    ("tamper", "sequence", "problem"),
    [
        (
            "UPDATE audit_event SET text = replace(text, 'ACME-HQ', 'ACME-XX') WHERE sequence = 2",
            2,
            "changed: its text",
        ),
        ("UPDATE audit_event SET hash = 'ab' WHERE sequence = 3", 3, "changed: its text"),
        ("UPDATE audit_event SET actor_name = 'Somebody' WHERE sequence = 2", 2, "changed: its column actor_name"),
        ("UPDATE audit_event SET actor_name = 'PBX' WHERE sequence = 2", 2, "changed: its column actor_name"),
        ("UPDATE audit_event SET pbx_id = NULL WHERE sequence = 2", 2, "changed: its column pbx_id"),
        ("UPDATE audit_event SET outcome = 'verified' WHERE sequence = 3", 3, "changed: its column outcome"),
        ("UPDATE audit_event SET at = '2020-01-01 00:00:00+00:00' WHERE sequence = 3", 3, "changed: its column at"),
        ("UPDATE audit_event SET words = '' WHERE sequence = 3", 3, "changed: its columns field_names and words"),
        ("UPDATE audit_event SET field_names = ' x ' WHERE sequence = 1", 1, "changed: its columns field_names and"),
        ("UPDATE audit_event SET ticket = 'HD-1' WHERE sequence = 3", 3, "changed: its column ticket"),
        ("DELETE FROM audit_event WHERE sequence = 1", 1, "missing"),
        ("DELETE FROM audit_event WHERE sequence = 2", 2, "missing"),
        ("DELETE FROM audit_event WHERE sequence < 3", 1, "missing, as are all up to 2"),
        ("UPDATE audit_event SET chain = 'customer:2' WHERE sequence = 3", 1, "missing, as are all up to 2"),
    ],
)
def test_what_an_owner_of_the_database_alters_is_named(three_events, without_triggers, tamper, sequence, problem):
    run(tamper)

    assert found()[0][0] == sequence
    assert found()[0][1].startswith(problem)


def test_events_that_changed_places_are_both_named(three_events, without_triggers):
    swap("sequence")

    reordered = [(sequence, problem) for sequence, problem in found() if "reordered" in problem]
    assert reordered[0] == (1, "reordered: its text says that it is customer:1 3")
    assert (3, "reordered: its text says that it is customer:1 1") in reordered


def test_ids_that_changed_places_would_change_the_list_and_are_named(three_events, without_triggers):
    swap("id")

    assert {problem for _, problem in found()} == {"reordered: its id is not above that of the event before it"}


def test_a_text_changed_with_its_own_hash_breaks_the_link_of_the_next(three_events, without_triggers):
    rewrite(three_events[1], three_events[1].text.replace('"request_id":""', '"request_id":"x"'))

    assert found() == [(3, "wrong link: not to the event before it")]


@pytest.mark.parametrize("text", ["not JSON", "{}", "[]", "null", '"text"', "[" * 20_000])
def test_a_text_that_the_log_would_not_write_is_named_and_the_walk_goes_on(three_events, without_triggers, text):
    rewrite(three_events[0], text)

    assert found()[0] == (1, "changed: its text is not one that the log writes")
    assert found()[1] == (2, "wrong link: not to the event before it")


def test_a_time_that_is_none_is_named(three_events, without_triggers):
    rewrite(three_events[2], json.dumps(three_events[2].data | {"at": "soon"}))

    assert found() == [(3, "changed: its text is not one that the log writes")]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite takes a text where a number belongs")
def test_a_number_that_is_none_is_named(three_events, without_triggers):
    run("UPDATE audit_event SET sequence = 'two' WHERE sequence = 2")

    assert found() == [(2, "missing"), (4, "changed: its number in the chain is none")]


def test_derived_columns_are_told_from_altered_ones_also_when_a_later_version_derives_otherwise(
    three_events, monkeypatch
):
    monkeypatch.setattr("pbxadmin.audit.log.search_words", lambda data: "otherwise")

    assert found() == []


def test_the_walk_goes_on_after_a_fault_and_into_the_next_chain(three_events, without_triggers):
    for _ in range(3):
        record(EventAction.PBX_EDITED, customer=BELL)
    run("DELETE FROM audit_event WHERE sequence = 2", "UPDATE audit_event SET pbx_name = 'X' WHERE sequence = 3")

    report = verify()
    assert [(fault.chain, fault.sequence) for fault in report.faults] == [
        ("customer:1", 2),
        ("customer:1", 3),
        ("customer:2", 2),
        ("customer:2", 3),
    ]
    assert report.chains == {"customer:1": 2, "customer:2": 2}


def test_one_fault_tells_of_a_gap_however_wide(db, without_triggers):
    for _ in range(30):
        record(EventAction.PBX_EDITED, customer=ACME)
    run("DELETE FROM audit_event WHERE sequence > 3 AND sequence < 29")

    assert found() == [(4, "missing, as are all up to 28")]
