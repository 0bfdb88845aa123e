"""The web server: gunicorn with threads, and workers inside unless told otherwise."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections
from gunicorn.app.base import BaseApplication

from .workers import Workers


class Server(BaseApplication):
    """A server of one process. `run` ends with SystemExit when it is told to stop.

    when_ready: called in that process once it accepts requests.
    """

    def __init__(self, host: str, port: int, *, work: bool, when_ready: Callable[[], None] | None = None) -> None:
        self.bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.workers = Workers() if work else None
        self.when_ready = when_ready
        super().__init__()  # type: ignore[no-untyped-call]

    def load_config(self) -> None:
        options = {
            "bind": self.bind,
            "worker_class": "gthread",
            "workers": 1,
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
        return get_wsgi_application()

    def started(self, worker: Any) -> None:
        if self.workers:
            self.workers.start()
        if self.when_ready:
            self.when_ready()

    def stopped(self, server: Any, worker: Any) -> None:
        if self.workers:
            self.workers.stop()

    def run(self) -> None:
        connections.close_all()  # a connection shared by a fork would be two processes talking over each other
        super().run()  # type: ignore[no-untyped-call]


def collect_static() -> None:
    """Collect hashed and compressed copies of the static files where the server finds them."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
