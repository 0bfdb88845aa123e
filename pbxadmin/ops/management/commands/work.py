import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from pbxadmin.ops.rotation import require_right_keys
from pbxadmin.ops.workers import Workers
from pbxadmin.web.words import number_of


class Command(BaseCommand):
    help = "Runs background work: refreshes, and the tick that settles what was left open. Stops on Ctrl-C or SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        require_right_keys()
        workers = Workers()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: workers.stopping.set())
        workers.start()
        self.stdout.write(
            f"Working with {number_of(workers.count, 'thread')}, {settings.REFRESH_THREADS} PBXs at a time."
        )
        self.stdout.flush()
        workers.stopping.wait()
        workers.stop()
