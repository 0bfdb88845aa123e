"""Giving the log to a SIEM: where it goes on, what stops it, and that it is told."""

import json
import os
import re
import stat
from datetime import timedelta
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event, EventSink, SinkPosition
from pbxadmin.audit.sink import sending
from pbxadmin.audit.sink.lines import json_line, place_in
from pbxadmin.audit.sink.sending import sends, sink_state, sink_turn, turn_lock
from pbxadmin.audit.sink.ways import sink_address
from pbxadmin.notices.addressing import conditions_close
from pbxadmin.notices.models import Condition, Notice
from tests.waiting import LIMIT_S

from .conftest import ACME, BELL

pytestmark = pytest.mark.django_db
NEVER_STOPPING = Flag()
TOLD = (EventAction.EVENT_SINK_FAILED, EventAction.EVENT_SINK_WORKS)


@pytest.fixture
def path(settings, tmp_path):
    found = tmp_path / "events.jsonl"
    settings.EVENT_SINK = {"name": f"file://{found}", "scheme": "file", "form": "json", "path": str(found)}
    settings.DATA_DIR = tmp_path
    return found


def recorded(*customers):
    return [
        record(EventAction.PBX_EDITED, customer=customer, detail={"at": place})
        for place, customer in enumerate(customers)
    ]


def turn():
    return sink_turn(sink_address(), NEVER_STOPPING)


def places(*paths):
    """The places that files hold, each in the order of the file; every line is whole and of ours."""
    lines = b"".join(one.read_bytes() for one in paths)
    assert lines == b"" or lines.endswith(b"\n")
    return [place_in(line)[:2] for line in lines.splitlines()]


def of(customer, *numbers):
    return [(f"customer:{customer[0]}" if customer else "installation", number) for number in numbers]


def set_back(chain, sequence, digest=""):
    """As if the process had died before it wrote down how far it was."""
    SinkPosition.objects.filter(chain=chain).update(sequence=sequence, hash=digest)


def test_each_event_of_each_chain_is_there_once_in_its_order(path):
    recorded(ACME, None, BELL, ACME)

    assert turn() == 4
    assert (turn(), sorted(places(path))) == (0, [*of(ACME, 1, 2), *of(BELL, 1), *of(None, 1)])
    recorded(ACME)
    assert (turn(), places(path)[-1:]) == (1, of(ACME, 3))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_bytes().splitlines()[-1])["event"]["detail"] == {"at": 0}


def test_what_was_written_before_the_process_died_is_not_written_again(path):
    first = recorded(ACME, ACME, ACME)[0]
    turn()
    set_back("customer:1", 1, first.hash)
    recorded(ACME)

    turn()

    assert places(path) == of(ACME, 1, 2, 3, 4)


@pytest.mark.parametrize("left", [1, 30, -2])
def test_a_torn_line_is_cut_off_and_written_whole(path, left):
    recorded(ACME, ACME)
    turn()
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[1][:left])
    set_back("customer:1", 0)
    recorded(ACME)

    turn()

    assert places(path) == of(ACME, 1, 2, 3)


def test_the_rotated_file_is_asked_when_the_new_one_is_empty(path):
    recorded(ACME, ACME)
    turn()
    aside = path.with_name("events.jsonl.1")
    path.rename(aside)
    path.touch(0o640)
    set_back("customer:1", 0)
    path.with_name("events.jsonl.2.gz").write_bytes(b"\x1f\x8b packed")
    recorded(ACME)

    turn()

    assert (places(aside), places(path)) == (of(ACME, 1, 2), of(ACME, 3))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_after_rotation_it_goes_on_from_the_stored_position_whatever_lies_beside(path):
    recorded(ACME, ACME)
    turn()
    path.unlink()
    recorded(ACME)

    turn()

    assert places(path) == of(ACME, 3)


def test_a_line_of_another_log_says_nothing_of_this_one(path):
    (event,) = recorded(ACME)
    path.write_bytes(
        json_line(event).replace(event.hash.encode(), b"0" * 64).replace(b'"sequence":1', b'"sequence":9') + b"\n"
    )

    turn()

    assert places(path) == of(ACME, 9, 1)


def test_a_file_that_ends_in_somebody_elses_line_is_left_alone_and_told(path):
    path.write_bytes(b"root:x:0:0")
    recorded(ACME)

    turn()

    assert path.read_bytes() == b"root:x:0:0"
    assert "did not write" in sink_state().sink.error


def test_a_chain_that_is_not_the_one_that_was_sent_is_sent_anew(path, three_events):
    recorded(BELL)
    turn()
    path.unlink()
    set_back("customer:1", 3, "0" * 64)

    turn()

    assert places(path) == of(ACME, 1, 2, 3)


def test_a_gap_in_the_log_does_not_stop_what_follows(path, three_events, without_triggers):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_event WHERE sequence = 2")

    turn()

    assert (places(path), turn()) == (of(ACME, 1, 3), 0)


def test_many_events_go_in_batches_of_each_chain_in_turn(path, monkeypatch):
    monkeypatch.setattr(sending, "EVENTS_PER_BATCH", 2)
    recorded(*[ACME] * 5, BELL)

    assert turn() == 6

    assert places(path) == [*of(ACME, 1, 2), *of(BELL, 1), *of(ACME, 3, 4, 5)]


@pytest.mark.django_db(transaction=True)
def test_an_event_that_is_committed_after_later_ones_of_other_chains_is_not_missed(path):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    written, commit = Flag(), Flag()

    def slowly():
        with transaction.atomic():
            recorded(ACME)
            written.set()
            commit.wait(LIMIT_S)
        connection.close()

    slow = Thread(target=slowly)
    slow.start()
    try:
        assert written.wait(LIMIT_S)
        recorded(BELL)
        turn()
        sent_first = places(path)
    finally:
        commit.set()
        slow.join()
    turn()

    assert (sent_first, places(path)) == (of(BELL, 1), [*of(BELL, 1), *of(ACME, 1)])


def test_a_failure_is_told_and_tried_again_after_a_pause_that_grows(path, caplog):
    recorded(ACME)
    path.mkdir()
    pauses = []
    for _ in range(9):
        assert turn() == 0
        sink = EventSink.objects.get()
        pauses.append(round((sink.next_at - timezone.now()).total_seconds()))
        assert turn() == 0
        EventSink.objects.update(next_at=timezone.now())
    state = sink_state()
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert (state.behind, state.sink.failures) == (1, 9)
    assert state.oldest_at == Event.objects.get().at
    assert state.sink.failing_since < sink.next_at
    assert "Is a directory" in state.sink.error
    assert len([one for one in caplog.messages if "does not take events" in one]) == 1

    path.rmdir()
    assert turn() == 1

    state = sink_state()
    assert (state.behind, state.oldest_at, state.sink.failures, state.sink.error) == (0, None, 0, "")
    assert "takes events again" in caplog.messages[-1]


def test_one_process_sends_and_one_that_died_is_waited_for(path):
    recorded(ACME)
    EventSink.objects.create(name=f"file://{path}", claimed_until=timezone.now() + timedelta(seconds=30))

    assert turn() == 0
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        assert turn() == 1


def test_nobody_writes_while_another_process_of_this_machine_is_held_up(path):
    recorded(ACME)

    with turn_lock() as is_ours:
        assert (is_ours, turn()) == (True, 0)
    assert turn() == 1


def test_the_disk_is_full_in_the_middle_of_a_line(path, monkeypatch):
    recorded(ACME, ACME, ACME)
    write, room = os.write, [len(json_line(Event.objects.get(sequence=1))) + 40]

    def full(descriptor, data):
        if Path(f"/proc/self/fd/{descriptor}").resolve() != path:
            return write(descriptor, data)
        if not room:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: room.pop()])

    monkeypatch.setattr(os, "write", full)
    turn()
    monkeypatch.undo()
    assert "No space left" in EventSink.objects.get().error
    assert SinkPosition.objects.get().sequence == 0
    EventSink.objects.update(next_at=None)

    turn()

    assert places(path) == of(ACME, 1, 2, 3)


def test_another_address_gets_the_whole_log(path, settings, tmp_path):
    recorded(ACME)
    turn()
    other = tmp_path / "other.cef"
    settings.EVENT_SINK = {"name": f"file://{other}", "scheme": "file", "form": "cef", "path": str(other)}

    turn()

    assert places(other) == of(ACME, 1)


def test_the_format_may_change_and_nothing_is_doubled(path, settings):
    recorded(ACME)
    turn()
    set_back("customer:1", 0)
    settings.EVENT_SINK = settings.EVENT_SINK | {"form": "cef"}
    recorded(ACME)

    turn()

    assert places(path) == of(ACME, 1, 2)
    assert re.search(rb"^CEF:0", path.read_bytes().splitlines()[1])


def test_looking_costs_one_query_and_writes_nothing(path, django_assert_num_queries):
    recorded(ACME, BELL, None)
    turn()

    with django_assert_num_queries(1):
        turn()


def test_without_a_sink_nothing_runs_and_nothing_is_behind(settings):
    settings.EVENT_SINK = {}
    recorded(ACME)

    sends(NEVER_STOPPING)

    assert sink_state() is None


def told():
    return list(Event.objects.filter(action__in=TOLD).order_by("pk").values_list("action", flat=True))


def test_a_sink_that_fails_for_a_while_is_told_once_and_that_it_works_again(path):
    path.mkdir()
    recorded(ACME)
    now = timezone.now()
    for minutes in (0, 10, 16, 30, 45):
        with time_machine.travel(now + timedelta(minutes=minutes)):
            turn()
            conditions_close()
            assert told() == ([EventAction.EVENT_SINK_FAILED] if minutes > 15 else [])
    (notice,) = Notice.objects.filter(kind="sink")
    assert (notice.subject, notice.customer_id) == ("The event sink takes no events", None)
    assert Condition.objects.still_open().filter(key="sink/0").exists()

    path.rmdir()
    with time_machine.travel(now + timedelta(minutes=60)):
        assert turn() == 2
        assert turn() == 1
    assert told() == list(TOLD)
    assert not Condition.objects.still_open().exists()


def test_what_is_told_of_a_sink_is_over_when_another_is_named(path, settings):
    path.mkdir()
    recorded(ACME)
    for minutes in (0, 16):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
            turn()
    settings.EVENT_SINK = settings.EVENT_SINK | {"name": "file:///elsewhere"}
    with time_machine.travel(timezone.now() + timedelta(minutes=17)):
        conditions_close()

    assert not Condition.objects.still_open().exists()
