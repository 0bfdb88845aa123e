"""Background workers as threads: inside the server, or alone in `manage.py work`."""

import logging
import socket
import time
from threading import Event, Thread
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections
from django.utils import timezone
from django.utils.crypto import get_random_string
from django_tasks_db.management.commands.db_worker import Worker

from pbxadmin.audit.sink.sending import sends
from pbxadmin.fleet.concurrency import ending
from pbxadmin.fleet.models import WORKER_GONE, WorkerProcess

from .stack import with_stack_room
from .tick import ticks

log = logging.getLogger(__name__)

INTERVAL_S = 0.5
RESTART_AFTER_S = 2.0
STOP_S = 10.0
BEAT_S = 10.0


class Heart:
    """Says every few seconds that this process works, for the page on health. What stopped saying so is forgotten."""

    def __init__(self, threads: int) -> None:
        self.name = f"{socket.gethostname()[:60]}-{get_random_string(8)}"
        self.columns = {"threads": threads, "refresh_threads": settings.REFRESH_THREADS, "started_at": timezone.now()}
        self.next_at = 0.0

    def beat(self) -> None:
        if time.monotonic() < self.next_at:
            return
        now = timezone.now()
        WorkerProcess.objects.update_or_create(name=self.name, defaults={**self.columns, "seen_at": now})
        WorkerProcess.objects.filter(seen_at__lt=now - WORKER_GONE).delete()
        self.next_at = time.monotonic() + BEAT_S


class Workers:
    """The threads that work, the one that ticks, and the one that sends events. A worker that dies is started again."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count or settings.WORK_THREADS
        self.stopping = Event()
        self.working: dict[int, Any] = {}
        self.threads: list[Thread] = []
        self.heart = Heart(self.count)

    def start(self) -> None:
        work = with_stack_room(self.work)
        self.threads = [Thread(target=work, args=[place], daemon=True) for place in range(self.count)]
        self.threads.append(Thread(target=ticks, args=[self.stopping, self.heart.beat], daemon=True))
        self.threads.append(Thread(target=sends, args=[self.stopping], daemon=True))
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Wait a while for running tasks to end. Rows are truth: a tick starts again what is cut off."""
        self.stopping.set()
        ending.set()
        for worker in list(self.working.values()):  # a thread may be adding its own just now
            worker.running = False
        until = time.monotonic() + STOP_S
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))
        if not any(thread.is_alive() for thread in self.threads):
            ending.clear()

    def work(self, place: int) -> None:
        while not self.stopping.is_set():
            self.working[place] = worker = new_worker(queues_of(place, self.count))
            if self.stopping.is_set():  # who stops us may have looked before it was there
                break
            try:
                close_old_connections()
                worker.run()
            except DatabaseError as error:
                log.error("worker %s is started anew, the database says %s", place, error)
            except Exception:
                log.exception("worker %s died and is started anew", place)
            finally:
                connections.close_all()
            self.stopping.wait(RESTART_AFTER_S)


def queues_of(place: int, count: int) -> list[str]:
    """Return the queues that one of so many threads serves, by what people wait for.

    The first thread does only what a person waits for, the second nothing scheduled, all others everything. The last
    one does everything in any case.
    """
    queues = list(settings.TASKS["default"]["QUEUES"])
    return queues[: place + 1 + max(0, len(queues) - count)]


def new_worker(queues: list[str]) -> Any:
    """Return a worker of the task package, without its signal handling, which only works in a main thread."""
    return Worker(
        queue_names=queues,
        interval=INTERVAL_S,
        batch=False,
        backend_name="default",
        startup_delay=False,
        max_tasks=None,
        worker_id=f"{socket.gethostname()[:40]}-{get_random_string(8)}",
        excluded_queue_names=[],
    )
