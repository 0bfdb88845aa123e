"""Processes killed while they give the log to a SIEM: a file has each event once, a syslog server misses none."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.audit.models import Event, EventSink
from pbxadmin.audit.sink.lines import place_in
from pbxadmin.audit.sink.sending import sink_turn
from pbxadmin.audit.sink.ways import sink_address
from tests.kill.processes import Process
from tests.kill.receiving import SyslogServer
from tests.waiting import until
from tests.yeastar.servers import Signer

pytestmark = pytest.mark.django_db(transaction=True)

KILLS, EACH_TIME = 3, 60
CUSTOMERS = ((1, "Acme Logistics"), None, (2, "Bellweather Clinics"))
rolled = random.Random()  # noqa: S311


@pytest.fixture
def sent(settings: Any, tmp_path: Path) -> Iterator["Sent"]:
    settings.DATA_DIR = tmp_path
    made = Sent(settings)
    yield made
    for process in made.started:
        process.close()


class Sent:
    """Senders to one address, of which each is killed once `size()` has grown by a random part of what there is."""

    def __init__(self, settings: Any) -> None:
        self.settings, self.started = settings, list[Process]()

    def to(self, url: str, **parts: Any) -> None:
        name = url.partition("?")[0]
        self.settings.EVENT_SINK = {"name": name, "scheme": name.partition(":")[0], "form": "json"} | parts
        self.url = url

    def start_and_kill(self, size: Any, most: int) -> None:
        for place in range(EACH_TIME):
            record(
                EventAction.PBX_EDITED, customer=CUSTOMERS[place % len(CUSTOMERS)], reason="x" * rolled.randrange(300)
            )
        before = size()
        process = Process("-m", "tests.kill.sinking", EVENT_SINK=self.url, DATA_DIR=str(self.settings.DATA_DIR))
        self.started.append(process)
        process.says("ready")
        wanted = before + rolled.randrange(most)
        until(lambda: size() > wanted, every=0.0002)
        process.kill()
        EventSink.objects.update(claimed_until=None)  # as if its minute were over

    def rest(self) -> None:
        address = sink_address()
        assert address
        until(lambda: not sink_turn(address, Flag()))


def recorded() -> list[tuple[str, int]]:
    return sorted(Event.objects.values_list("chain", "sequence"))


def test_a_file_has_each_event_once_and_each_chain_in_order_over_kills_and_rotations(
    sent: Sent, tmp_path: Path
) -> None:
    path, aside = tmp_path / "events.jsonl", list[Path]()
    sent.to(f"file://{path}", path=str(path))
    for kill in range(KILLS):
        sent.start_and_kill(lambda: path.stat().st_size if path.exists() else 0, EACH_TIME * 400)
        if kill % 2:
            aside.append(path.rename(tmp_path / f"events.jsonl.{kill}"))
            path.touch()
    sent.rest()

    lines = b"".join(one.read_bytes() for one in (*aside, path)).splitlines()
    places = [place[:2] for place in map(place_in, lines) if place]
    assert len(places) == len(lines)
    assert sorted(places) == recorded()
    for chain in {chain for chain, _ in places}:
        numbers = [number for name, number in places if name == chain]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("scheme", ["syslog+tcp", "syslog+tls"])
def test_a_syslog_server_misses_nothing_and_gets_at_most_the_event_of_the_moment_again(
    sent: Sent, tmp_path: Path, scheme: str
) -> None:
    signer, ca = Signer(), tmp_path / "ca.pem"
    ca.write_text(signer.pem)
    is_tls = scheme == "syslog+tls"
    with SyslogServer(context=signer.context(names=["localhost"]) if is_tls else None) as server:
        more = {"ca": str(ca)} if is_tls else {}
        url = f"{scheme}://localhost:{server.port}"
        sent.to(f"{url}?ca={ca}" if is_tls else url, host="localhost", port=server.port, **more)
        for _ in range(KILLS):
            sent.start_and_kill(lambda: sum(map(len, server.came)), EACH_TIME * 300)
        sent.rest()
        came = [place_in(message[message.index(b"{") :]) for message in server.messages()]

    times = Counter(place[:2] for place in came if place)
    assert sorted(times) == recorded()
    assert sum(times.values()) <= len(times) + KILLS
    assert max(times.values()) <= 2
