"""Servers as they are really started: processes of their own, over HTTP, ended by signals."""

import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest
from django.conf import settings

from tests.ops.test_keys_and_settings import GOOD as RIGHT
from tests.waiting import LIMIT_S, until

START_S, STOP_S = LIMIT_S, 15

GOOD = RIGHT | {"WORK_THREADS": "2", "REFRESH_THREADS": "48"}


@pytest.fixture
def manage(tmp_path):
    """Starts manage.py with a clean environment and a data folder of its own; whatever still runs is ended.

    A process that says nothing is ended as well, so that a test which waits for its words fails and does not hang.
    """
    started: list[tuple[subprocess.Popen[str], Timer]] = []
    (tmp_path / "data").mkdir(mode=0o700)

    def start(*words, environment=None, **options):
        with (tmp_path / f"stderr-{len(started)}").open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(settings.BASE_DIR / "manage.py"), *words],
                env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
                **options,
            )
        watchdog = Timer(2 * START_S, os.killpg, [process.pid, signal.SIGKILL])
        watchdog.start()
        started.append((process, watchdog))
        return process

    yield start
    for process, watchdog in started:
        watchdog.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url, opener=None):
    """Status and text of an answer; (0, why) when there is none."""
    try:
        with (opener or urllib.request.build_opener()).open(url, timeout=START_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def ended(process, number):
    process.send_signal(number)
    return process.wait(STOP_S)


@contextmanager
def served(manage, *words, **more):
    port = free_port()
    process = manage("serve", "--port", str(port), *words, environment=GOOD | more)
    until(lambda: get(f"http://127.0.0.1:{port}/healthz")[0] or process.poll() is not None)
    yield process, f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Make a data folder with an empty database and the static files, which each test copies: they take a while."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    folder.mkdir(mode=0o700)
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder), **GOOD}
    collected = "import django; django.setup(); from pbxadmin.ops.server import collect_static; collect_static()"
    setting = {"DJANGO_SETTINGS_MODULE": "pbxadmin.settings"}
    for words in (["manage.py", "migrate", "--verbosity", "0"], ["-c", collected]):
        subprocess.run(
            [sys.executable, *words], cwd=settings.BASE_DIR, env=environment | setting, timeout=START_S, check=True
        )
    return folder


@pytest.fixture
def migrated(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "data", dirs_exist_ok=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_works_and_stops_when_told(manage, migrated, number):
    with served(manage) as (process, address):
        assert get(f"{address}/healthz") == (200, '{"status": "ok"}')
        assert until(lambda: get(f"{address}/readyz")[0] == 200)
        assert "<h1>Sign in</h1>" in get(f"{address}/")[1]

        assert ended(process, number) == 0

    assert get(f"{address}/healthz")[0] == 0


def test_serve_without_work_is_not_ready_and_a_worker_beside_it_makes_it_so(manage, migrated):
    with served(manage, "--no-work") as (server, address):
        assert get(f"{address}/readyz")[0] == 503

        worker = manage("work", environment=GOOD)
        assert worker.stdout.readline() == "Working with 2 threads, 48 PBXs at a time.\n"
        assert until(lambda: get(f"{address}/readyz")[0] == 200)

        assert ended(worker, signal.SIGTERM) == 0
        assert ended(server, signal.SIGTERM) == 0


def test_serve_for_an_https_site_without_a_proxy_says_what_it_needs(manage, tmp_path):
    site = {"SITE_URL": "https://pbx.example.com", "ALLOWED_HOSTS": "pbx.example.com"}

    process = manage("serve", "--port", str(free_port()), environment=GOOD | site)

    assert process.wait(START_S) == 1
    said = (tmp_path / "stderr-0").read_text()
    assert said.startswith("CommandError: SITE_URL is https, which serve does not speak itself. Put a proxy in front")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "with_what"), [([], "16 threads and 2 workers"), (["--no-work"], "16 threads and no worker")]
)
def test_serve_says_where_it_is_and_how_many_work(manage, migrated, words, with_what):
    with served(manage, *words) as (process, address):
        assert process.stdout.readline() == f"Serving on {address} with {with_what}.\n"
        assert ended(process, signal.SIGTERM) == 0


@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "0"], "--port takes a number from 1 to 65535.\n"),
        (["--port", "65536"], "--port takes a number from 1 to 65535.\n"),
        (["--host", "192.0.2.1"], "PBX Admin cannot listen on 192.0.2.1 port 8000: Cannot assign requested address.\n"),
        (["--host", "no.such.host.invalid"], "PBX Admin cannot listen on no.such.host.invalid port 8000: "),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_named_in_one_sentence(manage, tmp_path, command, words, said):
    process = manage(command, *words, environment=GOOD)

    assert process.wait(START_S) == 1
    stderr = (tmp_path / "stderr-0").read_text()
    assert stderr.startswith(f"CommandError: {said}")
    assert stderr.count("\n") == 1


def test_serve_without_migrations_lives_and_is_not_ready(manage, tmp_path):
    log = tmp_path / "stderr-0"
    with served(manage) as (process, address):
        assert get(f"{address}/healthz")[0] == 200
        assert get(f"{address}/readyz") == (503, '{"status": "not ready"}')

        assert ended(process, signal.SIGTERM) == 0
    assert "not ready: migrations are not applied: run manage.py migrate" in log.read_text()


def test_a_served_page_has_its_style_sheet_under_a_hashed_name(manage, migrated):
    with served(manage) as (process, address):
        page = get(f"{address}/accounts/login/")[1]
        (sheet,) = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)

        assert re.fullmatch(r"/static/pbxadmin/app\.[0-9a-f]{12}\.css", sheet)
        assert get(f"{address}{sheet}")[0] == 200
        assert ended(process, signal.SIGTERM) == 0


def fleet_of(process):
    rows = json.loads(process.stdout.readline())
    return {row["name"]: (row["port"], row["password"], row["fingerprint"]) for row in rows}


def answers_tls(port):
    insecure = ssl.create_default_context()
    insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 5) as raw, insecure.wrap_socket(raw) as secured:
        return secured.version() is not None


@pytest.mark.tls
def test_simulate_keeps_ports_passwords_and_certificates_between_runs(manage, tmp_path):
    words = ["simulate", "--pbxs", "3", "--json", "--state", str(tmp_path / "fleet.json")]
    first = manage(*words, environment=GOOD)
    fleet = fleet_of(first)
    assert len(fleet) == 3
    assert all(answers_tls(port) for port, _, _ in fleet.values())
    assert ended(first, signal.SIGTERM) == 0

    second = manage(*words, environment=GOOD)

    assert fleet_of(second) == fleet
    assert ended(second, signal.SIGINT) == 0


@pytest.mark.tls
def test_simulate_ends_with_its_parent(manage):
    process = manage("simulate", "--pbxs", "1", "--json", "--until-eof", environment=GOOD, stdin=subprocess.PIPE)
    assert fleet_of(process)

    process.stdin.close()

    assert process.wait(STOP_S) == 0


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("no/fleet.json", "The simulated fleet cannot start: [Errno 2] No such file or directory: "),
        ("cut.json", "The state of the fleet cannot be read. Delete the file to start anew: "),
    ],
)
def test_a_fleet_that_cannot_keep_its_state_says_so_and_ends(manage, tmp_path, state, said):
    (tmp_path / "cut.json").write_text("cut o")

    process = manage("simulate", "--pbxs", "1", "--state", str(tmp_path / state))

    assert process.wait(STOP_S) == 1
    stderr = (tmp_path / "stderr-0").read_text()
    assert stderr.startswith(f"CommandError: {said}")
    assert str(tmp_path / state) in stderr
    assert stderr.count("\n") == 1


class Browser:
    """Keeps cookies and sends the token of the form, as a person's browser does."""

    def __init__(self, address):
        self.address = address
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, path):
        return get(f"{self.address}{path}", self.opener)

    def sign_in(self, login, password):
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get("/accounts/login/")[1])[1]
        form = {"csrfmiddlewaretoken": token, "login": login, "password": password}
        request = urllib.request.Request(f"{self.address}/accounts/login/", urllib.parse.urlencode(form).encode())
        return get(request, self.opener)


def demo(manage, port):
    """A demo that is ready: the process, its address and its sign-ins."""
    process = manage("demo", "--pbxs", "3", "--port", str(port))
    text = ""
    for line in process.stdout:
        if line == "Ctrl-C stops it.\n":
            break
        text += line
    else:
        pytest.fail(f"The demo ended before it was ready. It said: {text}")
    address = re.search(r"PBX Admin: (\S+)", text)[1]
    return process, address, dict(re.findall(r"^(\w+) / (\S+)$", text, re.MULTILINE))


def children_of(pid):
    """Every process below this one, as /proc has it."""
    below = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            below |= {child} | children_of(child)
    return below


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def numbers_of(browser):
    return sorted(re.findall(r'data-ivr="(\d+)"', browser.get("/ivrs/")[1]))


@pytest.mark.tls
def test_the_demo_starts_signs_people_in_stops_on_ctrl_c_and_starts_again_as_it_was(manage, tmp_path):
    port = free_port()
    process, address, people = demo(manage, port)
    assert address == f"http://localhost:{port}"
    assert list(people) == ["admin", "max", "ada", "sue", "mara", "vic", "bea", "eva", "cleo", "dan", "esi"]
    local = f"http://127.0.0.1:{port}"

    for name, password in people.items():
        status, page = Browser(local).sign_in(name, password)
        assert (status, "<h1>Home</h1>" in page) == (200, True), name
    assert Browser(local).sign_in("mara", people["vic"])[0] == 422

    admin = Browser(local)
    admin.sign_in("admin", people["admin"])
    numbers = until(lambda: numbers_of(admin))
    assert until(lambda: admin.get("/pbxs/")[1].count('data-state="reachable"') == 3)
    below = children_of(process.pid)
    assert len(below) >= 2

    began = time.monotonic()
    assert ended(process, signal.SIGINT) == 0
    assert time.monotonic() - began < STOP_S
    assert until(lambda: not any(is_running(pid) for pid in below))
    assert get(f"{local}/healthz")[0] == 0

    again, _, people_again = demo(manage, port)
    assert people_again == people
    admin = Browser(local)
    admin.sign_in("admin", people["admin"])
    assert numbers_of(admin) == numbers
    assert admin.get("/pbxs/")[1].count("data-pbx=") == 3
    assert ended(again, signal.SIGTERM) == 0

    kept = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "data").iterdir() if path.is_file()}
    assert {name: bits for name, bits in kept.items() if "key" in name or "sign" in name or "fleet" in name} == {
        "secret_key": 0,
        "pbx_keys": 0,
        "seal_key": 0,
        "demo_sign_ins.json": 0,
        "fleet.json": 0,
    }


@pytest.mark.tls
def test_the_log_of_a_demo_is_in_a_file_and_not_between_the_words_for_a_new_user(manage, tmp_path):
    process, _, _ = demo(manage, free_port())
    log = tmp_path / "data" / "demo.log"

    was_made = until(lambda: "audit log: checkpoint" in log.read_text())

    assert was_made
    assert ended(process, signal.SIGINT) == 0
    assert process.stdout.read() == ""
    assert (tmp_path / "stderr-0").read_text() == ""
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.tls
def test_the_fleet_of_a_demo_that_was_killed_ends_by_itself(manage):
    process, _, _ = demo(manage, free_port())
    below = children_of(process.pid)

    process.kill()
    process.wait(STOP_S)

    assert until(lambda: not any(is_running(pid) for pid in below))


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_port_in_use_is_named_before_anything_is_made(manage, tmp_path, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        process = manage(command, "--port", str(port), environment=GOOD)

        assert process.wait(START_S) == 1
    said = (tmp_path / "stderr-0").read_text()
    assert said == f"CommandError: Port {port} is in use. Choose another one: manage.py {command} --port {port + 1}\n"
    assert not list((tmp_path / "data").iterdir())


def test_a_demo_whose_fleet_does_not_start_does_not_go_on_without_it(manage, tmp_path):
    (tmp_path / "data" / "fleet.json").write_text("cut o")

    process = manage("demo", "--port", str(free_port()))

    assert process.wait(START_S) == 1
    assert (tmp_path / "stderr-0").read_text().endswith("CommandError: The simulated fleet did not start.\n")
    assert "Ctrl-C" not in process.stdout.read()


@pytest.mark.parametrize("count", ["0", "1001"])
def test_a_demo_of_an_impossible_size_is_refused(manage, tmp_path, count):
    process = manage("demo", "--pbxs", count)

    assert process.wait(START_S) == 1
    assert "--pbxs takes a number from 1 to 1000." in (tmp_path / "stderr-0").read_text()


def test_several_processes_serve_and_work_and_stop_when_told(manage, migrated):
    with served(manage, WEB_PROCESSES="2") as (process, address):
        each = "2 processes, each with 16 threads and 2 workers"
        assert process.stdout.readline() == f"Serving on {address} with {each}.\n"
        assert until(lambda: len(children(process)) == 2)
        assert until(lambda: get(f"{address}/readyz")[0] == 200)

        killed = min(children(process))
        os.kill(killed, signal.SIGKILL)  # another one takes its place
        assert until(lambda: len(children(process) - {killed}) == 2)
        assert get(f"{address}/healthz")[0] == 200

        served_by = children(process)
        assert ended(process, signal.SIGTERM) == 0

    assert process.stdout.read() == ""  # it was told once
    assert not any(Path(f"/proc/{pid}").exists() for pid in served_by)


def children(process):
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return {int(pid) for pid in found.split()}
