"""The web server: gunicorn with processes and threads, and workers inside unless told otherwise."""

import errno
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import CommandError
from django.core.wsgi import get_wsgi_application
from django.db import connections
from gunicorn.app.base import BaseApplication

from pbxadmin.web.words import number_of

from .stack import with_stack_room
from .workers import Workers

COLLECTED = ".collected"  # in STATIC_ROOT: of which files there are copies


class Server(BaseApplication):
    """A server of one process or several, each with workers inside. `run` ends with SystemExit when told to stop.

    when_ready: called once, in the first process, when that accepts requests.
    """

    def __init__(self, host: str, port: int, *, work: bool, when_ready: Callable[["Server"], None]) -> None:
        self.bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.address = f"http://{self.bind}"
        self.has_workers = work
        self.workers: Workers | None = None
        self.when_ready = when_ready
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def strength(self) -> str:
        """Return how much it does at a time, such as "16 threads and 2 workers"."""
        working = number_of(settings.WORK_THREADS, "worker") if self.has_workers else "no worker"
        each = f"{number_of(settings.WEB_THREADS, 'thread')} and {working}"
        return each if settings.WEB_PROCESSES == 1 else f"{settings.WEB_PROCESSES} processes, each with {each}"

    def load_config(self) -> None:
        options = {
            "bind": self.bind,
            "worker_class": "gthread",
            "workers": settings.WEB_PROCESSES,
            "preload_app": True,
            "threads": settings.WEB_THREADS,
            "timeout": 60,
            "graceful_timeout": 30,
            "control_socket_disable": True,
            "loglevel": "warning",
            "forwarded_allow_ips": "",
            "post_worker_init": self.started,
            "worker_exit": self.stopped,
        }
        config: Any = self.cfg
        for name, value in options.items():
            config.set(name, value)

    def load(self) -> Any:
        return with_stack_room(get_wsgi_application())

    def started(self, worker: Any) -> None:
        connections.close_all()
        if self.has_workers:
            self.workers = Workers()
            self.workers.start()
        if worker.age == 1:  # one that takes the place of another is younger
            self.when_ready(self)

    def stopped(self, server: Any, worker: Any) -> None:
        if self.workers:
            self.workers.stop()

    def run(self) -> None:
        connections.close_all()  # a connection shared by a fork would be two processes talking over each other
        super().run()  # type: ignore[no-untyped-call]


def require_proxy() -> None:
    """Raise CommandError for an https site without proxy: every page would lead to itself."""
    if settings.IS_HTTPS and not settings.TRUSTED_PROXIES:
        raise CommandError(
            "SITE_URL is https, which serve does not speak itself. Put a proxy in front and name it in TRUSTED_PROXIES."
        )


def require_free(command: str, host: str, port: int) -> None:
    """Raise CommandError for an address that cannot be listened on."""
    if not 1 <= port <= 65535:
        raise CommandError("--port takes a number from 1 to 65535.")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                another = f"manage.py {command} --port {port + 1}"
                raise CommandError(f"Port {port} is in use. Choose another one: {another}") from None
            raise CommandError(f"PBX Admin cannot listen on {host} port {port}: {error.strerror}.") from None


def collect_static() -> None:
    """Collect hashed and compressed copies of the static files where the server finds them, unless they are there."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    mark, sources = settings.STATIC_ROOT / COLLECTED, static_sources()
    if mark.is_file() and mark.read_text() == sources:
        return
    mark.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    mark.write_text(sources)


def static_sources() -> str:
    """Return a mark of all static files there are, by name, size and time of change."""
    found = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            facts = Path(storage.path(path)).stat()
            found.update(f"{path} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return found.hexdigest()
