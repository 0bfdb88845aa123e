"""Servers and workers replaced one after the other while people work: all requests answered, all changes known."""

from http.client import HTTPConnection, HTTPException
from threading import Event as Flag
from threading import Thread
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from ivr.changes.plan import change_plan
from ivr.forms import opened_now
from ivr.models import Change
from pbxadmin.access.roles import Role
from pbxadmin.audit.chain import verify
from pbxadmin.audit.context import Actor
from pbxadmin.fleet.models import WorkerProcess
from pbxadmin.yeastar.fields import ApiVersion
from pbxadmin.yeastar.s_series.wire import read_ivr
from tests.factories import make_pbx, make_user
from tests.kill.processes import START_S, Process, serve
from tests.waiting import until

pytestmark = [pytest.mark.tls, pytest.mark.django_db(transaction=True)]

TOKEN = "t" * 32  # of forms: the one in the cookie


class Site:
    """Two servers, as a proxy has them behind it: one that takes no connection, or drops it unread, is passed by.

    A proxy does so with a GET by itself. With a POST a person presses again, and the second of two applies nothing.

    answered: how many requests were. lost: those that were not, with what came instead.
    """

    def __init__(self, data_dir, user):
        self.data_dir = data_dir
        self.servers = [serve(data_dir, "--no-work") for _ in range(2)]
        self.turn, self.answered, self.lost = 0, 0, []
        client = Client()
        client.force_login(user)
        self.cookies = f"session={client.cookies['session'].value}; csrf={TOKEN}"

    def ask(self, method, path):
        for link in self.links():
            try:
                link.request(method, path, urlencode({"csrfmiddlewaretoken": TOKEN}), self.headers)
                status = link.getresponse().status
            except ConnectionResetError:  # it was in the queue of a server that ends: nothing was done with it
                continue
            except (OSError, HTTPException) as error:
                status = repr(error)
            finally:
                link.close()
            if status not in (200, 302):
                self.lost.append((method, path, status))
            self.answered += 1
            return
        self.lost.append((method, path, "no server"))

    @property
    def headers(self):
        return {"Cookie": self.cookies, "Content-Type": "application/x-www-form-urlencoded"}

    def links(self):
        """A connection to the next server that takes one."""
        self.turn += 1
        for place in (self.turn, self.turn + 1):
            host, _, port = self.servers[place % 2][1].removeprefix("http://").partition(":")
            link = HTTPConnection(host, int(port), timeout=START_S)
            try:
                link.connect()
            except ConnectionRefusedError:
                continue
            yield link

    def replace(self, place):
        """End a server as an administrator does, and start another in its place."""
        self.servers[place][0].stop()
        self.servers[place][0].close()
        self.servers[place] = serve(self.data_dir, "--no-work")


@pytest.fixture
def site(tmp_path, acme):
    made = Site(tmp_path, make_user(Role.MANAGER, acme))
    yield made
    for process, _ in made.servers:
        process.close()


@pytest.fixture
def worker(tmp_path):
    """Starts a worker and returns it when it works."""
    started = []

    def start():
        seen = WorkerProcess.objects.count()
        started.append(Process("manage.py", "work", DATA_DIR=str(tmp_path), WORK_THREADS="2"))
        until(lambda: WorkerProcess.objects.count() > seen)
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture
def at_work():
    """Runs each of these again and again, at the same time, until told to stop."""
    stop, threads = Flag(), list[Thread]()

    def start(*acts):
        def work(act):
            while not stop.is_set():
                act()
            connection.close()

        threads.extend(Thread(target=work, args=[act]) for act in acts)
        for thread in threads:
            thread.start()
        return end

    def end():
        stop.set()
        for thread in threads:
            thread.join()

    yield start
    end()


def test_no_request_is_lost_and_no_change_is_unknown(site, worker, at_work, acme, simulated_pbx):
    simulated_pbx.latency_s = 0.05
    shown = {name: getattr(simulated_pbx, name) for name in ("port", "username", "password", "fingerprint")}
    pbx = make_pbx(acme, host="127.0.0.1", **shown)

    def edit():
        opened = opened_now(pbx, read_ivr(simulated_pbx.ivrs["6500"], ApiVersion.V1_0), timezone.now())
        wanted = {"response_timeout": str(int(simulated_pbx.ivrs["6500"]["responsetimeout"]) % 10 + 1)}
        change = change_plan(pbx=pbx, opened=opened, wanted=wanted, actor=Actor(7, "Mara Lindqvist"))
        site.ask("POST", f"{change.get_absolute_url()}apply/")

    old = worker()
    end = at_work(edit, lambda: site.ask("GET", "/ivrs/"))
    until(lambda: Change.objects.filter(status="verified").count() > 2)
    for place in range(2):
        site.replace(place)
    until(worker)
    old.stop()
    done = Change.objects.count()
    until(lambda: Change.objects.count() > done + 2)
    end()

    assert site.lost == []
    assert site.answered > 10
    assert set(Change.objects.values_list("status", flat=True)) == {"verified"}
    assert simulated_pbx.count("ivr/update") == Change.objects.count()
    assert verify().faults == []
