"""What `manage.py` does before there is a database: keys of a demo, and settings that stop start-up."""

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from pbxadmin.env import ports, site_url
from pbxadmin.ops.keys import make_data_folder
from tests.waiting import LIMIT_S

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
GOOD = {"SECRET_KEY": "s" * 40, "PBX_KEYS": KEY}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that is not there yet, named by an environment that names nothing else."""
    for name in ("SECRET_KEY", "SECRET_KEY_FILE", "PBX_KEYS", "PBX_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_data_folder_and_its_keys_are_for_their_owner_only(folder):
    before = os.umask(0)
    try:
        make_data_folder()
    finally:
        os.umask(before)

    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {"secret_key": 0o600, "pbx_keys": 0o600}
    assert len((folder / "secret_key").read_text().strip()) >= 32
    assert len(base64.urlsafe_b64decode((folder / "pbx_keys").read_text().strip())) == 32


def test_a_second_run_keeps_the_keys(folder):
    make_data_folder()
    before = {path.name: path.read_text() for path in folder.iterdir()}

    make_data_folder()

    assert {path.name: path.read_text() for path in folder.iterdir()} == before


def test_two_folders_never_get_the_same_keys(folder, monkeypatch):
    make_data_folder()
    monkeypatch.setenv("DATA_DIR", str(folder.parent / "other"))

    make_data_folder()

    for name in ("secret_key", "pbx_keys"):
        assert (folder / name).read_text() != (folder.parent / "other" / name).read_text()


def test_the_folder_may_be_named_by_a_file_in_a_demo_too(folder, monkeypatch):
    monkeypatch.delenv("DATA_DIR")
    monkeypatch.setenv("DATA_DIR_FILE", written(folder.parent / "where", str(folder)))

    make_data_folder()

    assert (folder / "secret_key").exists()


def test_the_database_is_in_the_data_folder_whatever_that_is_called(tmp_path):
    odd = "a#b%25 c?d"
    (tmp_path / odd).mkdir()

    assert check(tmp_path, "migrate", "--verbosity", "0", data=odd, **GOOD).returncode == 0

    assert (tmp_path / odd / "pbxadmin.sqlite3").exists()


@pytest.mark.parametrize("given", ["SECRET_KEY", "SECRET_KEY_FILE"])
def test_a_key_that_the_environment_gives_is_not_made(folder, monkeypatch, given):
    monkeypatch.setenv(given, "x" * 40)

    make_data_folder()

    assert [path.name for path in folder.iterdir()] == ["pbx_keys"]


def check(folder, *words, data="", **environment):
    """Run `manage.py check`, or these words, with this environment and no other."""
    return subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *(words or ["check"])],
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(folder / data), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_good_values_start(tmp_path):
    (tmp_path / "static").mkdir()

    ran = check(tmp_path, **GOOD, SITE_URL="https://pbx.example.com", ALLOWED_HOSTS="pbx.example.com", DEBUG="false")

    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("SECRET_KEY", "short", "at least 32 characters"),
        ("PBX_KEYS", "AAAA", "key 1 is not 32 bytes"),
        ("PBX_KEYS", f"{KEY},no base64!", "key 2 is not 32 bytes"),
        ("PBX_KEYS", f"{KEY},", "key 2 is not 32 bytes"),
        ("PBX_KEYS", "schlüssel", "key 1 is not 32 bytes"),
        ("SEAL_KEY", "AAAA", "key 1 is not 32 bytes"),
        ("SEAL_KEY", f"{KEY},{KEY[:-4]}", "key 2 is not 32 bytes"),
        ("SEAL_MAIL_TO", "audit", "must be addresses"),
        ("SEAL_MAIL_TO", "audit@example.com,Ada <ada@example.com>", "must be addresses"),
        ("DEBUG", "1", "true or false"),
        ("DEBUG", "True", "true or false"),
        ("ALLOWED_HOSTS", "*", "must name each host"),
        ("ALLOWED_HOSTS", "localhost,*", "must name each host"),
        ("ALLOWED_HOSTS", "", "must name each host"),
        ("ALLOWED_HOSTS", "localhost:8000", "must name each host"),
        ("ALLOWED_HOSTS", "https://pbx.example.com", "must name each host"),
        ("ALLOWED_HOSTS", "*.example.com", "must name each host"),
        ("ALLOWED_HOSTS", "::1", "must name each host"),
        ("SITE_URL", "pbx.example.com", "must look like https://"),
        ("SITE_URL", "https://", "must look like https://"),
        ("SITE_URL", "https://a/b", "must look like https://"),
        ("SITE_URL", "https://user@a", "must look like https://"),
        ("SITE_URL", "ftp://a", "must look like https://"),
        ("SITE_URL", "https://a:65536", "must look like https://"),
        ("SITE_URL", "https://a:0", "must look like https://"),
        ("SITE_URL", "https://bücher.example", "must look like https://"),
        ("INSECURE_HTTP", "yes", "true or false"),
        ("TRUSTED_PROXIES", "proxy", "must be networks"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "must be networks"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,::/200", "must be networks"),
        ("PBX_PORTS", "https", "must be ports and ranges"),
        ("PBX_PORTS", "443,0", "must be ports and ranges"),
        ("PBX_PORTS", "8999-8000", "must be ports and ranges"),
        ("PBX_PORTS", "8000-65536", "must be ports and ranges"),
        ("WEB_THREADS", "1", "whole number from 2 to 256"),
        ("WEB_THREADS", "4.0", "whole number from 2 to 256"),
        ("WEB_PROCESSES", "33", "whole number from 1 to 32"),
        ("WORK_THREADS", "0", "whole number from 1 to 64"),
        ("WORK_THREADS", "-1", "whole number from 1 to 64"),
        ("REFRESH_THREADS", "257", "whole number from 1 to 256"),
        ("REFRESH_THREADS", "", "whole number from 1 to 256"),
        ("DATABASE_URL", "mysql://a/b", "must look like sqlite:///"),
        ("DATABASE_URL", "sqlite://", "must look like sqlite:///"),
        ("DATABASE_URL", "postgres://host", "must look like sqlite:///"),
        ("DATABASE_URL", "postgres://host:port/name", "port that is not a number"),
        ("EMAIL_URL", "", "must look like smtps://"),
        ("EMAIL_URL", "smtp://mara:tell@mail.example.com", "in the clear"),
        ("DEFAULT_FROM_EMAIL", "PBX Admin", "must look like PBX Admin <pbx@example.com>"),
        ("SECOND_FACTOR_FOR", "managers", "must be roles out of viewer, helpdesk"),
        ("SECOND_FACTOR_FOR", "manager,Site-Admin", "must be roles out of viewer, helpdesk"),
        ("SESSION_IDLE_MINUTES", "4", "whole number from 5"),
        ("SESSION_HOURS", "0", "whole number from 1"),
        ("FRESH_SIGN_IN_MINUTES", "1", "whole number from 2"),
        ("MIGRATE_DATABASE_URL", "postgres://owner@host/name", "must name the same PostgreSQL database"),
        ("MIGRATE_DATABASE_URL", "mysql://a/b", "must look like sqlite:///"),
        ("OIDC_SERVER_URL", "http://login.example.com", "must look like https://"),
        ("OIDC_SERVER_URL", "https://user@login.example.com", "must look like https://"),
        ("OIDC_SERVER_URL", "https://login.example.com", "set all three or none"),
        ("OIDC_TRUST_EMAIL", "yes", "true or false"),
        ("OIDC_TRUST_EMAIL", "true", "goes with OIDC_SERVER_URL"),
        ("OIDC_NAME", "Acme sign-in", "goes with OIDC_SERVER_URL"),
        ("LOG_LEVEL", "LOUD", "must be DEBUG, INFO, WARNING or ERROR"),
        ("DATA_DIR", "", "is empty"),
        ("STATIC_ROOT", "", "is empty"),
        ("EMAIL_URL", "file:///mails#1", "must look like smtps://"),
        ("PBX_NETWORK", "10.0.0.0/8", "is not a setting. Did you mean PBX_NETWORKS?"),
        ("PBX_NETWORKS_FILES", "/etc/networks", "is not a setting. Did you mean PBX_NETWORKS_FILE?"),
        ("PBX_TIMEOUT", "5", "is not a setting of PBX Admin."),
        ("OIDC_SERVER", "https://login.example.com", "is not a setting. Did you mean OIDC_SERVER_URL?"),
        ("SEAL_MAIL", "audit@example.com", "is not a setting. Did you mean SEAL_MAIL_TO?"),
    ],
)
def test_a_wrong_value_stops_start_up_with_one_sentence_that_names_it(tmp_path, name, value, problem):
    hosts = {"ALLOWED_HOSTS": "pbx.example.com"} if name == "INSECURE_HTTP" else {}

    ran = check(tmp_path, **{**GOOD, **hosts, name: value})

    assert_stopped(ran, name, problem)


def assert_stopped(ran, name, problem):
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"{name} ")
    assert problem in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.stdout == ""


def test_a_wrong_value_is_named_even_where_it_would_change_nothing(tmp_path):
    site = {"SITE_URL": "https://pbx.example.com", "ALLOWED_HOSTS": "pbx.example.com"}

    assert_stopped(check(tmp_path, **GOOD, **site, INSECURE_HTTP="yes"), "INSECURE_HTTP", "true or false")
    assert_stopped(check(tmp_path, **GOOD, **site, INSECURE_HTTP="true"), "INSECURE_HTTP", "SITE_URL is https")


def test_what_a_cluster_tells_of_a_service_called_pbx_is_no_setting_of_ours(tmp_path):
    (tmp_path / "static").mkdir()
    of_a_service = {
        "PBX_ADMIN_SERVICE_HOST": "10.0.0.7",
        "PBX_ADMIN_SERVICE_PORT": "8000",
        "PBX_ADMIN_SERVICE_PORT_HTTP": "8000",
        "PBX_ADMIN_PORT": "tcp://10.0.0.7:8000",
        "PBX_ADMIN_PORT_8000_TCP": "tcp://10.0.0.7:8000",
        "PBX_ADMIN_PORT_8000_TCP_ADDR": "10.0.0.7",
    }

    assert check(tmp_path, **GOOD, **of_a_service).returncode == 0


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", ["SECRET_KEY", "PBX_KEYS"])
def test_a_secret_that_is_not_set_stops_what_may_need_it(tmp_path, name, value):
    environment = {key: text for key, text in {**GOOD, name: value}.items() if text is not None}

    ran = check(tmp_path, "reconcile", data="new", **environment)

    assert_stopped(ran, name, "is not set")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "words", [["serve"], ["work"], ["migrate"], ["rotate_keys"], ["import_pbxs", "pbxs.csv"], ["createsuperuser"]]
)
def test_what_serves_or_touches_secrets_asks_for_them(tmp_path, words):
    ran = check(tmp_path, *words, data="new")

    assert_stopped(ran, "SECRET_KEY", "is not set")
    assert not (tmp_path / "new").exists()


def test_a_server_of_somebody_else_asks_for_the_secrets_too(tmp_path):
    ran = run_python("import pbxadmin.wsgi", DATA_DIR=str(tmp_path / "new"), SECRET_KEY="s" * 40)

    assert_stopped(ran, "PBX_KEYS", "is not set")


@pytest.mark.parametrize(
    "words", [["check"], ["makemigrations", "--check", "--dry-run"], ["serve", "--help"], ["help"]]
)
def test_what_needs_no_secret_runs_in_a_fresh_clone_and_makes_no_folder(tmp_path, words):
    ran = check(tmp_path, *words, data="new")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (tmp_path / "new").exists()


def test_the_simulated_fleet_needs_no_secret_and_makes_no_folder(tmp_path):
    ran = check(tmp_path, "simulate", "--pbxs", "1", "--until-eof", data="new")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "https://127.0.0.1:" in ran.stdout
    assert not (tmp_path / "new").exists()


def test_the_help_of_every_command_needs_no_secret_and_makes_no_folder(tmp_path):
    ran = run_python(SHOW_EVERY_HELP, DATA_DIR=str(tmp_path / "new"))

    assert (ran.returncode, ran.stderr) == (0, "")
    assert set(ran.stdout.split()) == set(get_commands())
    assert not (tmp_path / "new").exists()


SHOW_EVERY_HELP = """
import contextlib, io, os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "pbxadmin.settings"
django.setup()
from django.core.management import get_commands
from pbxadmin.ops.start_up import command_line
for name in get_commands():
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        command_line(["manage.py", name, "--help"])
    print(name if "usage: manage.py" in shown.getvalue() else "nothing", flush=True)
"""


def test_the_time_zones_are_there_on_a_system_without_any():
    ran = run_python(LOAD_EVERY_ZONE, PYTHONTZPATH="")

    assert ran.stderr == ""
    assert int(ran.stdout) > 400


LOAD_EVERY_ZONE = """
from zoneinfo import ZoneInfo
from pbxadmin.web.times import TIME_ZONES
print(len([*map(ZoneInfo, TIME_ZONES)]))
"""


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("owner", "problem"),
    [
        ("postgres://owner@other/name", "must name the same PostgreSQL database as DATABASE_URL"),
        ("postgres://owner@host:5433/name", "must name the same PostgreSQL database as DATABASE_URL"),
        ("postgres://owner@host/names", "must name the same PostgreSQL database as DATABASE_URL"),
        ("sqlite:///name", "must name the same PostgreSQL database as DATABASE_URL"),
        ("postgres://works:other@host/name", "must name another user than DATABASE_URL"),
    ],
)
def test_the_owner_of_the_database_is_another_user_of_the_same_one(tmp_path, owner, problem):
    ran = check(tmp_path, **GOOD, DATABASE_URL="postgres://works@host/name", MIGRATE_DATABASE_URL=owner)

    assert ran.returncode == 1
    assert ran.stderr.startswith(f"MIGRATE_DATABASE_URL {problem}")


def test_the_private_folder_is_made_for_its_owner_only(tmp_path):
    assert check(tmp_path, "audit_key", data="new", **GOOD).returncode == 0

    assert mode(tmp_path / "new") == 0o700


def test_a_private_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    ran = check(tmp_path, "audit_key", data="file/data", **GOOD)

    assert ran.returncode == 1
    assert ran.stderr.startswith("DATA_DIR names a folder that cannot be made")


def test_hosts_beyond_this_machine_need_https(tmp_path):
    ran = check(tmp_path, **GOOD, ALLOWED_HOSTS="pbx.example.com")

    assert ran.returncode == 1
    assert ran.stderr.startswith("SITE_URL must start with https:// when ALLOWED_HOSTS reaches beyond this machine.")


def test_hosts_beyond_this_machine_may_be_told_to_do_without(tmp_path):
    (tmp_path / "static").mkdir()

    assert check(tmp_path, **GOOD, ALLOWED_HOSTS="pbx.example.com", INSECURE_HTTP="true").returncode == 0


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_every_value_may_come_from_a_file(tmp_path):
    secret = written(tmp_path / "secret", "s" * 40 + "\n")
    threads = written(tmp_path / "threads", "many\n")

    ran = check(tmp_path, SECRET_KEY_FILE=secret, PBX_KEYS=KEY, WEB_THREADS_FILE=threads)

    assert ran.stderr == "WEB_THREADS must be a whole number from 2 to 256, not 'many'.\n"


def test_a_file_that_is_not_there_is_named(tmp_path):
    ran = check(tmp_path, SECRET_KEY_FILE="/nowhere/at/all", PBX_KEYS=KEY)

    assert ran.returncode == 1
    assert ran.stderr.startswith("SECRET_KEY_FILE names a file that cannot be read: ")


def test_a_value_given_twice_is_refused(tmp_path):
    secret = written(tmp_path / "secret", "t" * 40)

    ran = check(tmp_path, **GOOD, SECRET_KEY_FILE=secret)

    assert ran.returncode == 1
    assert ran.stderr == "SECRET_KEY is given twice: as SECRET_KEY and as SECRET_KEY_FILE. Keep one.\n"


def test_keys_in_the_data_folder_are_the_last_resort(tmp_path):
    (tmp_path / "static").mkdir()
    written(tmp_path / "secret_key", "s" * 40)
    written(tmp_path / "pbx_keys", KEY)

    assert check(tmp_path, "audit_key").returncode == 0


def test_no_secret_stands_in_the_sentence(tmp_path):
    ran = check(tmp_path, SECRET_KEY="tell-nobody", PBX_KEYS="tell-nobody")
    assert "tell-nobody" not in ran.stderr + ran.stdout

    ran = check(tmp_path, SECRET_KEY="s" * 40, PBX_KEYS="tell-nobody")
    assert "tell-nobody" not in ran.stderr + ran.stdout

    ran = check(tmp_path, **GOOD, DATABASE_URL="postgres://u:tell-nobody@h:port/name")
    assert "tell-nobody" not in ran.stderr + ran.stdout

    ran = check(tmp_path, **GOOD, EMAIL_URL="smtp://u:tell-nobody@mail.example.com")
    assert ran.stderr.startswith("EMAIL_URL would send its password in the clear.")
    assert "tell-nobody" not in ran.stderr + ran.stdout


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://pbx.example.com", "https://pbx.example.com"),
        ("HTTPS://PBX.example.com:443/", "https://pbx.example.com"),
        ("https://pbx.example.com:8443/", "https://pbx.example.com:8443"),
        ("https://[2001:DB8::1]:443", "https://[2001:db8::1]"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
    ],
)
def test_the_site_is_written_as_browsers_write_an_origin(monkeypatch, written, origin):
    monkeypatch.setenv("SITE_URL", written)

    assert site_url("SITE_URL", ["localhost"])[0] == origin


def test_ports_and_ranges_of_them_may_be_named(monkeypatch):
    monkeypatch.setenv("PBX_PORTS", "443, 8000-8999")

    assert ports("PBX_PORTS") == [range(443, 444), range(8000, 9000)]
