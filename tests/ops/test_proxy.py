"""PBX Admin as it is really run: `serve` on loopback, behind nginx with TLS."""

import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_string, policy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.conf import settings

from pbxadmin.yeastar.simulator.fleet import make_certificate
from tests.accounts.provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider
from tests.ops.test_keys_and_settings import GOOD
from tests.ops.test_processes import START_S, STOP_S, free_port, manage
from tests.waiting import until

__all__ = ["manage"]
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="needs nginx (Debian: nginx-light)"),
]
PERSON = {
    "DJANGO_SUPERUSER_USERNAME": "root",
    "DJANGO_SUPERUSER_PASSWORD": "correct horse battery",
    "DJANGO_SUPERUSER_EMAIL": "root@example.com",
}
CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/site.pem;
    ssl_certificate_key {folder}/site.pem;
    server {{
        listen 127.0.0.1:{port} ssl;
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_set_header Host {host};
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
        }}
    }}
}}
"""


@dataclass
class Proxied:
    """A site behind nginx. url: what a browser shows; port: where nginx really listens."""

    url: str
    port: int
    provider: str
    mails: Path
    cookies: dict[str, str]

    def ask(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> tuple[Any, str]:
        """Ask as a browser does: Host and Origin are those of the address that it shows."""
        insecure = ssl.create_default_context()
        insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
        link = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=START_S, context=insecure)
        sent = {"Host": urlsplit(self.url).netloc, "Cookie": "; ".join(map("=".join, self.cookies.items()))}
        if form is not None:
            sent |= {"Origin": self.url, "Content-Type": "application/x-www-form-urlencoded"}
        link.request(method, path, urlencode(form) if form else None, sent | headers)
        answer = link.getresponse()
        text = answer.read().decode()
        link.close()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, value = cookie.partition(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer, text

    def fill_in(self, path: str, values: dict[str, str], **headers: str) -> tuple[Any, str]:
        """Open a form and send it."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.ask("GET", path)[1])[1]
        return self.ask("POST", path, {"csrfmiddlewaretoken": token, **values}, **headers)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(folder: Path, host: str, port: int, upstream: int) -> Iterator[None]:
    (folder / "site.pem").write_text(make_certificate())
    user = "user root;" if os.getuid() == 0 else ""  # who may read a folder of root's
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, host=host, port=port, upstream=upstream, user=user))
    words = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(words)
    try:
        until(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "error.log").read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)


@contextmanager
def single_sign_on() -> Iterator[str]:
    running = OpenIdProvider()
    thread = threading.Thread(target=running.server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    yield running.url
    running.server.shutdown()
    running.server.server_close()
    thread.join()


# How nginx passes Host, and the port in the address that a browser shows. A test cannot have port 443: nginx listens on
# another one, and the client sends what a browser sends to 443, a Host without port.
SHAPES = {
    "port kept": ("$http_host", True),
    "port dropped": ("$host", True),
    "TLS on 443": ("$http_host", False),
    "host of its own": ("$proxy_host", True),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a site admin, to copy."""
    folder = tmp_path_factory.mktemp("prepared")
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder), **GOOD, **PERSON}
    for words in (["migrate", "--verbosity", "0"], ["createsuperuser", "--noinput", "--verbosity", "0"]):
        subprocess.run([sys.executable, str(settings.BASE_DIR / "manage.py"), *words], env=environment, check=True)
    return folder


@pytest.fixture(params=SHAPES)
def proxied(request: Any, manage: Any, prepared: Path, tmp_path: Path) -> Iterator[Proxied]:
    shutil.copytree(prepared, tmp_path / "data", dirs_exist_ok=True)
    host, has_port = SHAPES[request.param]
    port, upstream = free_port(), free_port()
    url = f"https://pbx.example.com:{port}" if has_port else "https://pbx.example.com"
    with single_sign_on() as provider:
        environment = {
            **GOOD,
            "SITE_URL": url,
            "ALLOWED_HOSTS": "pbx.example.com,127.0.0.1",
            "TRUSTED_PROXIES": "127.0.0.1/32",
            "EMAIL_URL": f"file://{tmp_path}/mails",
            "OIDC_SERVER_URL": provider,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        }
        manage("serve", "--port", str(upstream), environment=environment)
        until(lambda: listens(upstream))
        with nginx(tmp_path, host, port, upstream):
            yield Proxied(url, port, provider, tmp_path / "mails", {})


def mailed_text(folder: Path) -> str:
    """The text of the one mail in a folder, "" while there is none."""
    texts = [path.read_text().partition("\n" + "-" * 79)[0] for path in folder.glob("*.log")]
    return message_from_string(texts[0], policy=policy.default).get_content() if texts and texts[0] else ""


def test_forms_are_taken_and_every_address_is_that_of_the_site(proxied: Proxied) -> None:
    sign_in = {"login": "root", "password": PERSON["DJANGO_SUPERUSER_PASSWORD"]}
    others = {f"https://{host}" for host in ("evil.example", "pbx.example.com:1", "pbx.example.com", "127.0.0.1")}
    for origin in {*others, "null"} - {proxied.url}:
        answer, _ = proxied.fill_in("/accounts/login/", sign_in, Origin=origin)
        assert answer.status == 403, origin

    answer, _ = proxied.fill_in("/accounts/login/", sign_in)
    assert (answer.status, answer.headers["Location"]) == (302, "/")

    event = re.search(r'href="(/audit/\d+/)', proxied.ask("GET", "/audit/")[1])[1]
    assert f">{proxied.url}{event}<" in proxied.ask("GET", event)[1]

    away, _ = proxied.ask("GET", "/accounts/sso/login/")
    assert parse_qs(urlsplit(away.headers["Location"]).query)["redirect_uri"] == [
        f"{proxied.url}/accounts/sso/login/callback/"
    ]

    proxied.fill_in("/accounts/password/reset/", {"email": PERSON["DJANGO_SUPERUSER_EMAIL"]})
    text = until(lambda: mailed_text(proxied.mails))
    assert re.findall(r"https?://[^/\s]+", text) == [proxied.url]
