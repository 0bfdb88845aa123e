"""Eight signed-in people for a minute over HTTP while a sweep runs and a tenth of the PBXs hang, against a rest.

`manage.py serve` with the workers inside runs as people start it. Six managers read pages and edit IVRs, two auditors
read pages of the log, each half a second after the last answer. One PBX in 40 carries out updates and loses the answer.
In the end what each change says of itself is compared with what the simulated PBXs hold.
"""

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles
from threading import Event as Flag
from threading import Thread
from typing import Any

import requests
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection
from django.utils import timezone

from ivr.models import Change
from pbxadmin.access.roles import Role
from pbxadmin.fleet.models import Pbx
from tests.factories import PASSWORD, make_customer, make_pbx, make_user
from tests.ops.test_processes import free_port, get
from tests.waiting import until

from .figures import goal, heading
from .fleet import ROOT, DistantFleet, distant_fleet
from .refresh_run import record_of
from .sweep import database, sweep

PBXS, LATENCY_S = 300, 0.2
REST_S, LOAD_S, THINKS_S = 30.0, 60.0, 0.5
HANGS, LOSES = 10, 40  # one PBX in so many
EDITORS, AUDITORS = 6, 2
SPARE = 2 * EDITORS
LONGEST_S = 30.0
NUMBER = "6500"
PAGES = ("/", "/ivrs/", "/ivrs/?q=Sales", "/pbxs/", "/pbxs/health/", "/changes/", "/outside/", "/pbxs/{}/")
LOG = ("/audit/", "/audit/?outcome=verified", "/audit/?q=Sales", "/audit/desk/", "/audit/figures/", "/audit/export/")


@dataclass
class Taken:
    """Seconds of requests by kind, and their answers by kind and status."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    def p95(self, *kinds: str) -> float:
        return quantiles([each for kind in kinds for each in self.seconds.get(kind, [])], n=20)[-1]

    def show(self, title: str) -> None:
        print(f"{title:<12}{'requests':>10}{'median ms':>11}{'p95 ms':>9}{'most ms':>9}")
        for kind, seconds in sorted(self.seconds.items()):
            times = f"{sorted(seconds)[len(seconds) // 2] * 1000:>11.0f}{self.p95(kind) * 1000:>9.0f}"
            print(f"  {kind:<10}{len(seconds):>10}{times}{max(seconds) * 1000:>9.0f}")


class Person:
    """A browser of somebody who is signed in."""

    def __init__(self, address: str, username: str, pbx_ids: list[int], hanging: list[int]) -> None:
        self.address, self.pbx_ids, self.hanging = address, pbx_ids, hanging
        self.session = requests.Session()
        self.session.trust_env = False
        self.dice = random.Random(username)  # noqa: S311  (no secret)
        self.taken = Taken()
        page = self.session.get(f"{address}/accounts/login/", timeout=LONGEST_S).text
        form = {"login": username, "password": PASSWORD, "csrfmiddlewaretoken": form_token(page)}
        if "<h1>Home</h1>" not in self.session.post(f"{address}/accounts/login/", form, timeout=LONGEST_S).text:
            raise RuntimeError(f"{username} could not sign in")

    def ask(self, kind: str, path: str, form: dict[str, str] | None = None) -> requests.Response:
        """Ask for a page, or post a form, and count the answer with the redirects it leads through."""
        began = time.perf_counter()
        method = "GET" if form is None else "POST"
        answer = self.session.request(method, f"{self.address}{path}", data=form, timeout=LONGEST_S)
        self.taken.seconds.setdefault(kind, []).append(time.perf_counter() - began)
        self.taken.answers[kind, answer.status_code] += 1
        return answer

    def edit(self) -> None:
        """Open a form, plan another value and apply it, as far as the PBX answers."""
        if not self.dice.randrange(HANGS):
            self.ask("hangs", f"/pbxs/{self.dice.choice(self.hanging)}/ivrs/{NUMBER}/edit/")
            return
        path = f"/pbxs/{self.dice.choice(self.pbx_ids)}/ivrs/{NUMBER}/edit/"
        opened = self.ask("form", path)
        if opened.status_code != 200:
            return
        values = typed(opened.text)
        values["response_timeout"] = str(int(values["response_timeout"]) % 10 + 1)
        planned = self.ask("plan", path, values)
        applies = re.search(r'action="(/changes/\d+/apply/)"', planned.text)
        if applies:
            self.ask("apply", applies[1], {"csrfmiddlewaretoken": form_token(planned.text)})


def main() -> None:
    heading(f"{EDITORS + AUDITORS} people over HTTP, {PBXS} PBXs at {LATENCY_S:g} s, load {os.getloadavg()[0]:.1f}")
    with distant_fleet(PBXS, LATENCY_S) as fleet:
        customer = make_customer()
        for pbx in fleet.pbxs:
            make_pbx(customer, **record_of(pbx))
        fleet.lose_answers(LOSES)
        with served() as address:
            people = people_of(address, fleet)
            sweep()  # each page has something to show
            rest = worked(people, REST_S)
            fleet.hang(HANGS)
            fleet.lose_answers(LOSES)
            with sweeping(fleet) as swept:
                load = worked(people, LOAD_S)
            fleet.hang(0)
            report(rest, load, swept)
            truth(fleet)


def people_of(address: str, fleet: DistantFleet) -> list[tuple[Person, Callable[[Person], None]]]:
    """Return people who are signed in, each with what they do. No two edit the same PBX."""
    ids = list(Pbx.objects.order_by("pk").values_list("pk", flat=True))
    hanging = ids[::HANGS]
    answering = [pk for pk in ids if pk not in hanging]
    people: list[tuple[Person, Callable[[Person], None]]] = []
    for place in range(EDITORS + AUDITORS):
        is_editor = place < EDITORS
        user = make_user(Role.MANAGER if is_editor else Role.AUDITOR, username=f"person{place}")
        user.password = PBKDF2PasswordHasher().encode(PASSWORD, "only-for-the-bench")
        user.save(update_fields=["password"])
        person = Person(address, user.username, answering[place::EDITORS], hanging)
        people.append((person, edits if is_editor else reviews))
    return people


def edits(person: Person) -> None:
    if person.dice.randrange(3):
        person.ask("page", person.dice.choice(PAGES).format(person.dice.choice(person.pbx_ids)))
    else:
        person.edit()


def reviews(person: Person) -> None:
    kind, pages = ("page", PAGES) if not person.dice.randrange(3) else ("log", LOG)
    person.ask(kind, person.dice.choice(pages).format(person.dice.choice(person.hanging)))


def worked(people: list[tuple[Person, Callable[[Person], None]]], seconds: float) -> Taken:
    """Let everybody work for so many seconds at the same time. Return what that took."""
    end = time.monotonic() + seconds

    def work(person: Person, act: Callable[[Person], None]) -> None:
        while time.monotonic() < end:
            act(person)
            time.sleep(THINKS_S)

    threads = [Thread(target=work, args=each) for each in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = Taken()
    for person, _ in people:
        for kind, times in person.taken.seconds.items():
            total.seconds.setdefault(kind, []).extend(times)
        total.answers += person.taken.answers
        person.taken = Taken()
    return total


@contextmanager
def sweeping(fleet: DistantFleet) -> Iterator[list[float]]:
    """Let all PBXs be due again as soon as those were read that answer and nobody edits. Yield the seconds of each."""
    ports = [pbx["port"] for pbx in fleet.pbxs[::HANGS]]
    stop, took = Flag(), list[float]()

    def work() -> None:
        while not stop.is_set():
            Pbx.objects.filter(paused_until__gt=timezone.now()).update(paused_until=None)  # as often as it can be
            took.append(sweep(Pbx.objects.exclude(port__in=ports), Pbx.objects.filter(port__in=ports), SPARE))
        connection.close()

    thread = Thread(target=work)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


def report(rest: Taken, load: Taken, swept: list[float]) -> None:
    rest.show("at rest")
    load.show("under load")
    print(f"{len(swept)} sweeps of {PBXS} PBXs, seconds: {', '.join(f'{took:.1f}' for took in swept)}")
    print(f"answers: {dict(sorted(load.answers.items()))}")
    kinds = [kind for kind in load.seconds if kind != "hangs"]
    goal("p95 of all requests, x at rest", load.p95(*kinds) / rest.p95(*kinds), 3.0)
    for kind in sorted(kinds):
        goal(f"p95 of {kind}, x at rest", load.p95(kind) / rest.p95(kind), 3.0)
    fives = sum(count for (kind, status), count in load.answers.items() if status >= 500 and kind != "hangs")
    goal("answers of 5xx, but of PBXs that hang", fives, 0)
    goal("answers of 500", sum(count for (_, status), count in load.answers.items() if status == 500), 0)


def truth(fleet: DistantFleet) -> None:
    """Compare what each change says of itself with what the PBX holds, and with how many updates it was sent."""
    settle_s = 90.0  # reconciling reads what is unknown again
    until(lambda: not Change.objects.in_motion().exclude(status="unknown").exists(), settle_s)
    by_place = {pk: place for place, pk in enumerate(Pbx.objects.order_by("pk").values_list("pk", flat=True))}
    held, wrong = fleet.held(), 0
    may_be: dict[int, set[str]] = {}
    for change in Change.objects.order_by("pk"):
        asked = change.wanted["response_timeout"]
        if change.status == "verified":
            may_be[change.pbx_id] = {asked}
        elif change.status == "unknown":
            may_be.setdefault(change.pbx_id, {change.base["response_timeout"]}).add(asked)
    for pbx_id, values in may_be.items():
        wrong += held[by_place[pbx_id]][NUMBER]["responsetimeout"] not in values
    counted = Counter(Change.objects.values_list("status", flat=True))
    went_out = sum(pbx["calls"].count("ivr/update") for pbx in fleet.counted())
    sent = sum(counted[status] for status in ("verified", "not-as-asked", "refused", "unknown"))
    print(f"changes: {dict(counted)}; updates that PBXs received: {went_out}")
    goal("PBXs that hold another value than their changes say", wrong, 0)
    goal("updates without a change, or changes sent without an update", abs(went_out - sent), 0)


@contextmanager
def served(*words: str, **more: str) -> Iterator[str]:
    """Run `manage.py serve` on the database of this benchmark. Yield its address.

    words: more of its command line. more: of its environment.
    """
    names, port = ("SECRET_KEY", "PBX_KEYS", "PBX_NETWORKS", "PATH"), free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: os.environ[name] for name in names} | {"DATABASE_URL": database(), "DATA_DIR": folder}
        environment |= more
        command = [sys.executable, "manage.py", "serve", "--port", str(port), *words]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
            try:
                until(lambda: get(f"http://127.0.0.1:{port}/healthz")[0] == 200)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def form_token(page: str) -> str:
    """Return the token of the first form of a page."""
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    return found[1] if found else ""


def typed(page: str) -> dict[str, Any]:
    """Return the edit form of a page as a browser would post it."""
    found = {"csrfmiddlewaretoken": form_token(page)}
    for tag in re.findall(r"<input[^>]*>", page.split('id="edit"')[1].split("</form>")[0]):
        attrs = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attrs.get("type") != "checkbox" or " checked" in tag:
            found[attrs["name"]] = attrs.get("value", "on")
    return found
