"""DATABASE_URL: what its options do, and that none is accepted and dropped."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from pbxadmin.env import BadSetting, database
from tests.ops.test_keys_and_settings import GOOD, check
from tests.yeastar.servers import Signer, certificate, key, pem_of

STRANGER = Signer("Stranger CA")
BASE = "postgres://works@db.example.com/pbxadmin"


def of(url: str) -> dict[str, Any]:
    return database("DATABASE_URL", url)


def test_an_address_without_options_says_where_the_database_is() -> None:
    found = of("postgresql://wo%40rks:p%2Fa%3Ass@[2001:db8::5]:6432/pbx%20admin")

    assert [found[part] for part in ("USER", "PASSWORD", "HOST", "PORT", "NAME")] == [
        *("wo@rks", "p/a:ss", "2001:db8::5", "6432", "pbx admin")
    ]
    assert found["OPTIONS"] == {}
    assert "DISABLE_SERVER_SIDE_CURSORS" not in found


def test_the_folder_of_a_socket_keeps_its_capitals() -> None:
    assert of("postgres://works@%2Fvar%2Frun%2FPostgreSQL/pbxadmin")["HOST"] == "/var/run/PostgreSQL"


def test_the_options_of_libpq_go_through(tmp_path: Path) -> None:
    (tmp_path / "ca file.pem").write_text("a certificate")
    query = (
        f"sslmode=verify-full&sslrootcert={tmp_path}/ca%20file.pem&connect_timeout=5&application_name=pbx+admin"
        "&target_session_attrs=read-write&options=-c%20statement_timeout%3D9000&channel_binding=prefer"
        "&keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=20000"
    )

    assert of(f"{BASE}?{query}")["OPTIONS"] == {
        "sslmode": "verify-full",
        "sslrootcert": f"{tmp_path}/ca file.pem",
        "connect_timeout": "5",
        "application_name": "pbx+admin",
        "target_session_attrs": "read-write",
        "options": "-c statement_timeout=9000",
        "channel_binding": "prefer",
        "keepalives": "1",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "20000",
    }


def test_the_ca_certificates_of_the_system_need_no_mode() -> None:
    assert of(f"{BASE}?sslrootcert=system")["OPTIONS"] == {"sslrootcert": "system"}


def test_a_pooler_that_shares_connections_gets_no_cursors_and_no_prepared_statements() -> None:
    found = of(f"{BASE}?pooler=transaction&sslmode=require")

    assert found["DISABLE_SERVER_SIDE_CURSORS"] is True
    assert found["OPTIONS"] == {"prepare_threshold": None, "sslmode": "require"}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"{BASE}?sslmod=require", "has the option sslmod, which is none of "),
        (f"{BASE}?SSLMODE=require", "has the option SSLMODE, which is none of "),
        (f"{BASE}?host=other.example.com", "has the option host, which is none of "),
        (f"{BASE}?prepare_threshold=5", "has the option prepare_threshold, which is none of "),
        (f"{BASE}?sslmode", "has the option sslmode without a value."),
        (f"{BASE}?application_name=", "has the option application_name without a value."),
        (f"{BASE}?sslmode=require&", "has the option , which is none of "),
        (f"{BASE}?sslmode=verify-full&sslmode=disable", "has the option sslmode twice."),
        (f"{BASE}?sslmode=verify", "has the option sslmode, which must be disable or allow or prefer or "),
        (f"{BASE}?pooler=session", "has the option pooler, which must be transaction."),
        (f"{BASE}?keepalives=yes", "has the option keepalives, which must be 0 or 1."),
        (f"{BASE}?connect_timeout=5s", "has the option connect_timeout, which must be a whole number."),
        (f"{BASE}?sslmode=verify-full&sslrootcert=/no/such/file", "has the option sslrootcert, whose file cannot be"),
        (f"{BASE}?sslmode=require&sslcert=/", "has the option sslcert, whose file cannot be read."),
        (f"{BASE}?sslrootcert=/etc/passwd", "has the option sslrootcert, which PostgreSQL ignores unless sslmode is"),
        (
            f"{BASE}?sslmode=prefer&sslrootcert=/etc/passwd",
            "has the option sslrootcert, which PostgreSQL ignores unless",
        ),
        (f"{BASE}?sslcert=/etc/passwd&sslkey=/etc/passwd", "has the option sslcert, which PostgreSQL ignores unless"),
        (f"{BASE}?sslmode=allow&sslcrl=/etc/passwd", "has the option sslcrl, which PostgreSQL ignores unless sslmode"),
        (f"{BASE}?sslmode=disable&ssl_min_protocol_version=TLSv1.3", "has the option ssl_min_protocol_version, which "),
        (f"{BASE}?sslmode=require&sslkey=/etc/passwd", "has the option sslkey, which goes with sslcert."),
        (f"{BASE}?sslmode=require&sslpassword=x", "has the option sslpassword, which goes with sslkey."),
        (f"{BASE}?sslmode=require&sslcrl=/etc/passwd", "has the option sslcrl, which goes with sslrootcert."),
        (f"{BASE}?keepalives=0&keepalives_idle=30", "has the option keepalives_idle, which PostgreSQL ignores with "),
        ("postgres:///pbxadmin?keepalives_count=3", "has the option keepalives_count, which PostgreSQL ignores on a "),
        ("postgres://%2Frun/pbxadmin?tcp_user_timeout=9", "has the option tcp_user_timeout, which PostgreSQL ignores"),
        ("postgres:///pbxadmin?sslmode=verify-full", "has the option sslmode, which PostgreSQL ignores on a socket"),
        ("postgres://%2Frun/pbxadmin?sslmode=require", "has the option sslmode, which PostgreSQL ignores on a socket"),
        (f"{BASE}#main", "has a #, which must be written as %23."),
        ("postgres://works:a#b@db.example.com/pbxadmin", "has a #, which must be written as %23."),
        ("postgres://works@db.example.com:0/pbxadmin", "has a port that is not a number from 1 to 65535."),
        ("postgres://works@db.example.com:65536/pbxadmin", "has a port that is not a number from 1 to 65535."),
        ("sqlite:///file.sqlite3?mode=ro", "has options, which SQLite does not take."),
        ("sqlite:///file#1.sqlite3", "has a #, which must be written as %23."),
    ],
)
def test_what_would_be_dropped_stops_start_up_by_name(url: str, problem: str) -> None:
    with pytest.raises(BadSetting) as stopped:
        of(url)

    assert str(stopped.value).startswith(f"DATABASE_URL {problem}")
    assert "\n" not in str(stopped.value)


@pytest.mark.parametrize(
    "url",
    [
        f"{BASE}?password=tell-nobody",
        f"{BASE}?sslpassword=tell-nobody&sslmode=tell-nobody",
        f"{BASE}?options=tell-nobody&options=tell-nobody",
        "postgres://works:tell-nobody#x@db.example.com/pbxadmin",
        "postgres://works:tell-nobody@db.example.com:0/pbxadmin",
    ],
)
def test_no_secret_stands_in_the_sentence(url: str) -> None:
    with pytest.raises(BadSetting) as stopped:
        of(url)

    assert "tell-nobody" not in str(stopped.value)


# --- a real server with TLS ---

HAS_POSTGRESQL = any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
needs_postgresql = pytest.mark.skipif(not HAS_POSTGRESQL, reason="needs PostgreSQL")


@pytest.fixture(scope="module")
def authority() -> Signer:
    return Signer()


@pytest.fixture(scope="module")
def tls_url(authority: Signer, tmp_path_factory: Any, django_db_blocker: Any) -> Iterator[str]:
    """The address of a PostgreSQL whose certificate, of 127.0.0.1, the authority signed."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "server.crt").write_text(certificate("db", key("ec"), authority))
    (folder / "server.key").write_text(pem_of(key("ec")))
    process = subprocess.Popen(
        [settings.BASE_DIR / ".ci/with-postgres", f"--tls={folder}", "sh", "-c", 'echo "$DATABASE_URL"; read end'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with django_db_blocker.unblock():  # it is no database of the tests
        yield process.stdout.readline().strip()
    process.communicate()


def encryption(url: str) -> str | None:
    """Connect as the product does; the version of TLS that the server saw, None for none."""
    link = ConnectionHandler({"default": of(url)})["default"]
    try:
        with link.cursor() as cursor:
            cursor.execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return cursor.fetchone()[0]
    finally:
        link.close()


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@needs_postgresql
def test_a_verified_connection_is_one(tls_url: str, authority: Signer, tmp_path: Path) -> None:
    ours, strangers = (
        written(tmp_path / "ca.pem", authority.pem),
        written(tmp_path / "other.pem", STRANGER.pem),
    )
    other_name = tls_url.replace("127.0.0.1", "localhost")

    assert encryption(f"{tls_url}?sslmode=verify-full&sslrootcert={ours}") == "TLSv1.3"
    assert encryption(f"{other_name}?sslmode=verify-ca&sslrootcert={ours}") == "TLSv1.3"
    assert encryption(f"{tls_url}?sslmode=disable") is None
    with pytest.raises(OperationalError, match="certificate verify failed"):
        encryption(f"{tls_url}?sslmode=verify-full&sslrootcert={strangers}")
    with pytest.raises(OperationalError, match="does not match host name"):
        encryption(f"{other_name}?sslmode=verify-full&sslrootcert={ours}")


@needs_postgresql
def test_migrate_verifies_the_server_as_the_address_of_the_owner_says(tls_url: str, tmp_path: Path) -> None:
    strangers = written(tmp_path / "other.pem", STRANGER.pem)
    urls = {
        "DATABASE_URL": tls_url.replace("pbxadmin@", "works@"),
        "MIGRATE_DATABASE_URL": f"{tls_url}?sslmode=verify-full&sslrootcert={strangers}",
    }

    ran = check(tmp_path, "migrate", "--plan", **GOOD, **urls)

    assert ran.returncode == 1
    assert "certificate verify failed" in ran.stderr


@needs_postgresql
def test_the_other_options_reach_the_server(tls_url: str) -> None:
    url = f"{tls_url}?application_name=pbx-one&options=-c%20statement_timeout%3D9000"
    link = ConnectionHandler({"default": of(url)})["default"]

    with link.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name'), current_setting('statement_timeout')")
        told = cursor.fetchone()
    link.close()

    assert told == ("pbx-one", "9s")
