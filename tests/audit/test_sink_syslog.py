"""A syslog server over TCP and TLS: frames, what is sent again, and what is not."""

import re
import socket
from contextlib import contextmanager
from threading import Event as Flag

import pytest

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import EventSink, SinkPosition
from pbxadmin.audit.sink import ways
from pbxadmin.audit.sink.lines import place_in
from pbxadmin.audit.sink.sending import sink_state, sink_turn
from pbxadmin.audit.sink.ways import message_id, sink_address, syslog_severity
from tests.kill.receiving import SyslogServer, messages_in
from tests.yeastar.servers import Signer

from .conftest import ACME

pytestmark = pytest.mark.django_db
NEVER_STOPPING = Flag()
HEADER = re.compile(rb"<(\d+)>1 (\S+) (\S+) pbxadmin - (\S+) - (.*)", re.DOTALL)


@pytest.fixture
def server():
    with SyslogServer() as running:
        yield running


@pytest.fixture
def aimed(settings, tmp_path):
    """Sets where events go."""

    def aim(port, scheme="syslog+tcp", **more):
        name = f"{scheme}://localhost:{port}"
        settings.EVENT_SINK = {"name": name, "scheme": scheme, "form": "json", "host": "localhost", "port": port} | more
        settings.DATA_DIR = tmp_path

    return aim


def recorded(count):
    return [record(EventAction.PBX_EDITED, customer=ACME, reason="é\n<1>") for _ in range(count)]


def turn():
    EventSink.objects.update(next_at=None)
    return sink_turn(sink_address(), NEVER_STOPPING)


def numbers(server):
    return [place_in(HEADER.fullmatch(message)[5]).sequence for message in server.messages()]


def test_a_message_is_counted_in_octets_and_says_when_who_and_what(server, aimed):
    aimed(server.port)
    (event,) = recorded(1)

    assert turn() == 1

    (message,) = server.messages()
    priority, at, host, name, said = HEADER.fullmatch(message).groups()
    assert priority == b"109"  # log audit, notice
    assert at.decode() == event.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert (host.decode(), name) == (socket.gethostname(), b"pbx.edited")
    assert place_in(said) == ("customer:1", 1, event.hash)


@pytest.mark.parametrize(("severity", "said"), [(0, 5), (3, 5), (4, 4), (6, 4), (7, 3), (8, 3), (10, 2)])
def test_severities(severity, said):
    assert syslog_severity(severity) == said


@pytest.mark.parametrize(
    ("action", "said"),
    [("pbx.edited", "pbx.edited"), ("a b", "-"), ("é", "-"), ("", "-"), ("a\n", "-"), ("x" * 40, "x" * 32)],
)
def test_a_message_has_the_name_of_its_action(action, said):
    assert message_id(action) == said


def test_what_was_handed_over_before_the_process_died_is_not_sent_again(server, aimed):
    aimed(server.port)
    recorded(3)
    turn()
    SinkPosition.objects.update(sequence=1, hash="")  # it died before it wrote down how far it was
    recorded(2)

    turn()

    assert numbers(server) == [1, 2, 3, 4, 5]


def test_a_note_that_was_cut_in_the_middle_counts_as_far_as_it_is_whole(server, aimed):
    aimed(server.port)
    events = recorded(3)
    sink_address().note.write_text(f"customer:1 1 {events[0].hash}\ncustomer:1 2 {events[1].hash[:9]}")

    turn()

    assert numbers(server) == [2, 3]


def test_a_server_that_is_not_there_is_told_and_gets_all_later(aimed):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    aimed(port)
    recorded(2)
    assert turn() == 0
    assert "refused" in sink_state().sink.error

    with SyslogServer(port) as server:
        assert turn() == 2
        assert numbers(server) == [1, 2]


def test_a_connection_that_breaks_has_the_whole_batch_sent_again(server, aimed):
    aimed(server.port)
    recorded(3)
    server.breaks = 1

    assert turn() == 0
    assert (SinkPosition.objects.get().sequence, sink_address().note.read_bytes()) == (0, b"")
    assert turn() == 3
    assert numbers(server)[-3:] == [1, 2, 3]


def test_a_server_that_closed_already_is_told_before_anything_is_lost(server, aimed):
    aimed(server.port)
    recorded(2)
    server.turns_away = 1

    assert turn() == 0
    assert turn() == 2
    assert numbers(server) == [1, 2]


def test_a_server_that_never_closes_has_taken_what_its_system_acknowledged(server, aimed, monkeypatch):
    monkeypatch.setattr(ways, "TIMEOUT_S", 0.3)
    aimed(server.port)
    recorded(2)
    server.keeps_open = True

    assert (turn(), turn()) == (2, 0)
    assert SinkPosition.objects.get().sequence == 2


@contextmanager
def one_that_reads_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield listening.getsockname()[1]


def test_a_server_that_reads_nothing_holds_nobody_up_for_long(aimed, monkeypatch):
    monkeypatch.setattr(ways, "TIMEOUT_S", 0.3)
    for _ in range(2):
        record(EventAction.PBX_EDITED, customer=ACME, detail={"long": "x" * 9_000_000})
    with one_that_reads_nothing() as port:
        aimed(port)
        assert turn() == 0
    assert (SinkPosition.objects.get().sequence, EventSink.objects.get().error) == (0, "timed out")


def test_over_tls_the_certificate_and_the_name_are_checked(aimed, tmp_path):
    signer, ca = Signer(), tmp_path / "ca.pem"
    ca.write_text(signer.pem)
    recorded(2)
    with SyslogServer(context=signer.context(names=["localhost"])) as server:
        aimed(server.port, "syslog+tls")
        assert (turn(), "CERTIFICATE_VERIFY_FAILED" in EventSink.objects.get().error) == (0, True)
        aimed(server.port, "syslog+tls", ca=str(ca), host="127.0.0.1")
        assert (turn(), "not valid for '127.0.0.1'" in EventSink.objects.get().error) == (0, True)
        aimed(server.port, "syslog+tls", ca=str(ca))
        assert turn() == 2
        assert numbers(server) == [1, 2]


def test_messages_are_told_apart_by_their_length_alone():
    assert messages_in(b"3 a\nb5 1 2 34 to") == [b"a\nb", b"1 2 3"]
