"""EVENT_SINK: what it means, and what stops start-up."""

import pytest

from pbxadmin.env import BadSetting, event_sink


@pytest.fixture
def given(monkeypatch):
    def read(url):
        monkeypatch.setenv("EVENT_SINK", url)
        return event_sink("EVENT_SINK")

    return read


def test_a_file_or_a_server(given, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("-")
    path = f"{tmp_path}/the events.jsonl"

    assert given("") == {}
    assert given(f"file://{tmp_path}/the%20events.jsonl") == {
        "name": f"file://{path}",
        "scheme": "file",
        "form": "json",
        "path": path,
    }
    assert given("syslog+tcp://Siem.example.com?format=cef") == {
        "name": "syslog+tcp://siem.example.com:601",
        "scheme": "syslog+tcp",
        "form": "cef",
        "host": "siem.example.com",
        "port": 601,
    }
    found = given(f"syslog+tls://[::1]/?format=json&ca={ca}")
    assert (found["name"], found["host"], found["ca"]) == ("syslog+tls://[::1]:6514", "::1", str(ca))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("/var/log/events.jsonl", "must look like file:///"),
        ("https://siem.example.com", "must look like file:///"),
        ("syslog://siem.example.com", "must look like file:///"),
        ("syslog+tcp://", "must look like file:///"),
        ("syslog+tcp://user:tell@siem.example.com", "must look like file:///"),
        ("syslog+tcp://siem.example.com/events", "must look like file:///"),
        ("syslog+tcp://siem.example.com#1", "must look like file:///"),
        ("syslog+tcp://siem.example.com:0", "port that is not a number"),
        ("syslog+tcp://siem.example.com:x", "port that is not a number"),
        ("syslog+udp://siem.example.com", "loses events without a word"),
        ("syslog+tcp://siem.example.com?format=xml", "format=json or cef"),
        ("syslog+tcp://siem.example.com?from=now", "format=json or cef"),
        ("syslog+tls://siem.example.com?ca=/no/such/file", "a file that can be read"),
        ("syslog+tcp://siem.example.com?ca={folder}/here", "goes with syslog+tls"),
        ("file://{folder}/here?ca={folder}/here", "goes with syslog+tls"),
        ("file://events.jsonl", "by its whole path"),
        ("file:///", "by its whole path"),
        ("file:///no/such/folder/events.jsonl", "which is no folder"),
        ("file://{folder}", "which is no file"),
    ],
)
def test_what_is_none_of_these_stops_start_up(given, tmp_path, url, problem):
    (tmp_path / "here").write_text("")

    with pytest.raises(BadSetting, match=r"^EVENT_SINK [a-z].+") as stopped:
        given(url.format(folder=tmp_path))

    assert problem in str(stopped.value)
    assert "tell" not in str(stopped.value)
