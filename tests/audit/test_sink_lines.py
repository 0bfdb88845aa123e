"""Events as lines for a SIEM: nothing that a person or a PBX wrote can end a field or a line."""

import json
import re

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from pbxadmin.audit.actions import EventAction, EventGroup
from pbxadmin.audit.context import Actor
from pbxadmin.audit.log import link, record
from pbxadmin.audit.models import Event
from pbxadmin.audit.sink.lines import (
    SEVERITY_OF_GROUP,
    SINK_LINES,
    cef_header,
    cef_line,
    cef_value,
    is_torn_of_ours,
    json_line,
    place_in,
    severity_of,
)

HOSTILE = 'a|b\\c=d\n\r\t\x1b[2J"CEF:0|x\u2028\x85\u202e src=192.0.2.9 externalId=customer:9/1 é'


def cef_parts(line):
    """Read a line as its specification says: the header, and the extensions by name with their escapes undone."""
    *header, extension = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    found = re.findall(r"(\w+)=((?:\\.|[^=\\])*?)(?= \w+=|$)", extension)
    return header, {
        name: re.sub(r"\\(.)", lambda one: {"n": "\n", "r": "\r"}.get(one[1], one[1]), value) for name, value in found
    }


@pytest.fixture
def hostile(db):
    record(
        EventAction.CHANGE_OUTCOME,
        outcome="unknown",
        customer=(1, HOSTILE),
        pbx=(5, HOSTILE),
        ivr=("6500", HOSTILE),
        change_id=12,
        fields={"name": {"before": HOSTILE}},
        detail={"sentence": HOSTILE},
        reason=HOSTILE,
        ticket=HOSTILE,
        actor=Actor(7, HOSTILE),
    )
    return Event.objects.get()


def test_json_is_the_stored_text_to_the_letter_in_one_line(hostile):
    line = json_line(hostile).decode()

    found = json.loads(line)
    assert "\n" not in line
    assert hostile.text in line
    assert found["event"] == json.loads(hostile.text)
    place = {"chain": "customer:1", "sequence": 1, "hash": hostile.hash, "id": hostile.pk}
    assert {name: found[name] for name in place} == place
    assert link(hostile.previous_hash, hostile.text) == hostile.hash


def test_cef_holds_each_value_in_its_field_and_nothing_else(hostile):
    line = cef_line(hostile).decode()

    shown = "".join(one if one.isprintable() or one in "\n\r" else " " for one in HOSTILE)
    header, found = cef_parts(line)
    assert line.isprintable()
    assert header[:3] == ["CEF:0", "PBX Admin", "PBX Admin"]
    assert header[4:] == ["change.outcome", "Change ended", "7"]
    assert found["externalId"] == "customer:1/1"
    assert "src" not in found
    for name in ("suser", "msg", "reason", "cs2", "cs3", "cs5"):
        assert found[name] == shown
    assert found["cs4"] == f"6500 {shown}"
    assert (found["suid"], found["cn1Label"], found["cn1"]) == ("7", "change", "12")
    assert json.loads(found["cs6"]) == {
        "name": {"before": HOSTILE.replace("\u2028", " ").replace("\x85", " ").replace("\u202e", " ")}
    }


@pytest.mark.parametrize("form", SINK_LINES)
def test_a_line_states_its_place(hostile, form):
    assert place_in(SINK_LINES[form](hostile)) == ("customer:1", 1, hostile.hash)


@given(st.text(max_size=60))
def test_no_value_ends_its_field(text):
    line = f"CEF:0|a|b|1|{cef_header(text)}|c|3|msg={cef_value(text, 1000)} end=1"

    header, found = cef_parts(line)
    assert line.isprintable()
    assert (len(header), found.keys()) == (7, {"msg", "end"})


def test_a_long_value_is_cut_in_cef_before_it_is_escaped():
    assert cef_value("=" * 2000, 10) == "\\=" * 10


@pytest.mark.parametrize("form", SINK_LINES)
@pytest.mark.parametrize("text", ['no JSON\n{"chain":"x"}', '{"detail":{},"fields":{}}', "[" * 200_000, '{"a":NaN}'])
def test_an_altered_event_is_one_line_that_says_so(three_events, without_triggers, form, text):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_event SET text = %s, action = 'x|y' WHERE id = %s", [text, three_events[1].pk])
    event = Event.objects.get(pk=three_events[1].pk)

    line = SINK_LINES[form](event)

    assert b"\n" not in line
    assert b"Altered or removed" in line
    assert place_in(line) == ("customer:1", 2, event.hash)
    assert severity_of(event) == 8


def test_text_that_json_reads_and_no_log_writes_is_still_one_line(three_events, without_triggers):
    spread = json.dumps(json.loads(three_events[0].text) | {"detail": {"x": float("nan")}}, indent=1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_event SET text = %s WHERE id = %s", [spread, three_events[0].pk])
    event = Event.objects.get(pk=three_events[0].pk)

    for form in SINK_LINES:
        assert b"\n" not in SINK_LINES[form](event)
        assert place_in(SINK_LINES[form](event)) == ("customer:1", 1, event.hash)


def test_every_group_has_a_severity():
    """A new group needs one: see the recipe "Add an event" in CONTRIBUTING.md."""
    assert SEVERITY_OF_GROUP.keys() == set(EventGroup)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"word",
        b'{"chain":"x"',
        b'{"chain":"x"}',
        b'{"chain":"x","sequence":[],"hash":1}',
        b"CEF:0|a|b",
        b"CEF:0|\xff",
    ],
)
def test_a_line_that_is_not_ours_states_nothing(line):
    assert place_in(line) is None


def test_only_the_beginning_of_a_line_of_ours_counts_as_torn(three_events):
    for form in SINK_LINES:
        line = SINK_LINES[form](three_events[0])
        assert all(is_torn_of_ours(line[:length]) for length in range(1, len(line)))
    assert not any(map(is_torn_of_ours, [b"root:x:0:0", b"\x00\x00", b'{"chained"']))
