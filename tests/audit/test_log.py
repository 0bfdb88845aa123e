"""What `record` writes, and that many may write at once."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import verify
from pbxadmin.audit.context import SYSTEM, Actor, AuditContext, acting, current
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event

from .conftest import ACME, BELL

pytestmark = pytest.mark.django_db


def test_an_event_says_who_from_where_and_in_which_request():
    with acting(AuditContext(Actor(7, "Mara"), "192.0.2.1", "abc")):
        event = record(EventAction.PBX_EDITED, customer=ACME, fields={"host": {"before": "a", "asked": "b"}})

    assert event.data["actor_name"] == "Mara"
    assert (event.data["address"], event.data["request_id"]) == ("192.0.2.1", "abc")
    assert event.data["fields"] == {"host": {"before": "a", "asked": "b"}}


def test_an_actor_that_is_given_goes_before_the_one_of_the_request():
    with acting(AuditContext(Actor(7, "Mara"), "192.0.2.1", "abc")):
        event = record(EventAction.SESSION_SIGNED_OUT, actor=Actor(8, "Tom"))

    assert (event.actor_id, event.actor_name, event.data["address"]) == (8, "Tom", "192.0.2.1")


def test_nobody_acts_after_the_block_even_when_it_fails():
    with pytest.raises(DatabaseError), acting(AuditContext(Actor(7, "Mara"))):
        raise DatabaseError

    assert current().actor == SYSTEM


def test_each_customer_has_a_chain_of_its_own():
    places = [record(EventAction.PBX_EDITED, customer=customer) for customer in (ACME, BELL, ACME, None)]

    assert [(event.chain, event.sequence) for event in places] == [
        ("customer:1", 1),
        ("customer:2", 1),
        ("customer:1", 2),
        ("installation", 1),
    ]


def test_the_hash_is_over_the_hash_before_it_and_the_stored_text(three_events):
    first, second, _ = three_events

    assert first.hash == hashlib.sha256(b"\n" + first.text.encode()).hexdigest()
    assert second.hash == hashlib.sha256(f"{first.hash}\n{second.text}".encode()).hexdigest()


def test_the_text_is_compact_sorted_and_as_it_is_read():
    text = record(EventAction.PBX_EDITED, pbx=(5, "Zürich"), reason="für alle").text

    assert text.startswith('{"action":"pbx.edited","actor_id":null,')
    assert '"pbx_name":"Zürich"' in text
    assert '"reason":"für alle"' in text


def test_a_time_on_the_full_second_has_its_microseconds_too():
    with time_machine.travel(datetime(2026, 3, 1, 12, tzinfo=UTC), tick=False):
        event = record(EventAction.PBX_EDITED)

    assert event.data["at"] == "2026-03-01T12:00:00.000000+00:00"


def test_a_long_name_is_cut_in_its_column_and_whole_in_the_text():
    event = record(EventAction.PBX_EDITED, ivr=("6500", "x" * 300))

    event.refresh_from_db()
    assert (len(event.ivr_name), len(event.data["ivr_name"])) == (200, 300)
    assert verify().faults == []


def test_an_unknown_action_is_refused():
    with pytest.raises(ValueError, match="no action"):
        record("pbx.painted")  # type: ignore[arg-type]

    assert not Event.objects.exists()


def test_text_that_no_database_takes_is_cleaned():
    event = record(EventAction.PBX_EDITED, pbx=(1, "A\x00B\ud800"), detail={"x\x00": ["\x00"]})

    event.refresh_from_db()
    assert event.pbx_name == "A\ufffdB\ufffd"
    assert event.data["detail"] == {"x\ufffd": ["\ufffd"]}


def test_a_customer_sees_its_own_events_and_nobodys_installation():
    mine, _, _ = (record(EventAction.PBX_EDITED, customer=customer) for customer in (ACME, BELL, None))

    assert list(Event.objects.for_customers([1])) == [mine]
    assert Event.objects.for_customers(None).count() == 3
    assert not Event.objects.for_customers([]).exists()


@pytest.mark.django_db(transaction=True)
def test_eight_writers_at_once_leave_no_gap_and_no_fork():
    def write(_):
        try:
            for _ in range(10):
                record(EventAction.PBX_EDITED, customer=ACME)
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
            record(EventAction.PBX_EDITED, customer=ACME)
            raise DatabaseError

    with pytest.raises(DatabaseError):
        recorded_and_undone()

    assert not Event.objects.exists()


def test_the_fields_of_an_event_can_be_found_by_their_names():
    event = record(EventAction.PBX_EDITED, fields={"port": {"asked": "1"}, "host": {"before": "a", "asked": "b"}})

    assert event.field_names == " host port "
    assert record(EventAction.SESSION_FAILED).field_names == ""


def test_what_a_person_may_look_for_is_folded_and_in_one_column():
    with acting(AuditContext(Actor(70, "Mara LINDQVIST"), "192.0.2.1", "request-abc")):
        event = record(
            EventAction.CHANGE_OUTCOME,
            customer=(1, "ＡＣＭＥ Straße"),
            pbx=(5, "Acme-HQ"),
            ivr=("6500", "Main_Menu"),
            fields={"name": {"before": "Main_Menu", "asked": "Night_Menu"}, "prompt_repeat": {"asked": "3"}},
            detail={"sentence": "Refused.", "answer": {"code": 10018, "refused": True}, "tried": ["TLS"]},
            reason="Moved",
            ticket="INC-1",
        )

    expected = "mara lindqvist 192.0.2.1 acme strasse acme-hq 6500 main_menu inc-1 moved "
    assert event.words == expected + "10018 refused. tls night_menu main_menu 192021"
    assert (event.ticket, event.words) == (Event.objects.get().ticket, Event.objects.get().words)


def test_what_is_derived_from_the_stored_text_is_what_was_derived_when_it_was_recorded():
    said = {"b": {"z": "Zebra", "a": ["Apple", {"y": "Yes", "x": 17}]}, "a": "first", "none": None, "part": 1.5}
    event = record(
        EventAction.PBX_EDITED, fields={"port": {"found": "80801", "asked": "80802"}, "host": {}}, detail=said
    )

    assert list(verify().faults) == []
    assert event.words == "pbx admin first apple 17 yes zebra 80802 80801"


def test_words_of_any_length_and_script_are_recorded():
    event = record(
        EventAction.PBX_EDITED, customer=ACME, reason="\N{CUNEIFORM SIGN A}" * 5000, ticket="\N{CUNEIFORM SIGN A}" * 300
    )

    assert len(Event.objects.get(pk=event.pk).words) == 600
    assert not verify().faults


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite needs no vacuum for it")
@pytest.mark.django_db
def test_postgresql_keeps_up_with_the_growth_of_the_log():
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE oid = 'audit_event'::regclass")

        assert cursor.fetchone()[0] == ["autovacuum_vacuum_insert_scale_factor=0.01"]
