import os
from logging.config import dictConfig
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from pbxadmin.ops.demo.fill import fill
from pbxadmin.ops.demo.fleet import simulated_fleet
from pbxadmin.ops.demo.people import sign_ins
from pbxadmin.ops.demo.story import STORY_PBXS
from pbxadmin.ops.rotation import require_right_keys
from pbxadmin.ops.server import Server, collect_static, require_free


class Command(BaseCommand):
    help = "Everything at once: a private data folder, people, a simulated fleet on HTTPS, the server. Ctrl-C stops it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--pbxs", type=int, default=STORY_PBXS, help="size of the fleet, 1 to 1000 (default: %(default)s)"
        )
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["pbxs"] <= 1000:
            raise CommandError("--pbxs takes a number from 1 to 1000.")
        require_free("demo", options["host"], options["port"])
        log = Path(settings.DATA_DIR) / "demo.log"
        log_to(log)
        self.stdout.write("Preparing the database and the simulated fleet …")
        self.stdout.flush()
        call_command("migrate", verbosity=0)
        require_right_keys()
        collect_static()
        with simulated_fleet(options["pbxs"]) as fleet:
            address = f"http://localhost:{options['port']}"
            lines = ["", f"PBX Admin: {address}", "", *sign_ins(fill(fleet))]
            lines += [f"E-mail is printed here, the log is in {shortest(log)}.", "Ctrl-C stops it."]

            def say(_: Server) -> None:
                self.stdout.write("\n".join(lines))
                self.stdout.flush()

            Server(options["host"], options["port"], work=True, when_ready=say).run()


def log_to(path: Path) -> None:
    """Write the log to a file instead of standard error, which is the terminal that shows how to sign in."""
    path.touch(mode=0o600)
    logging: dict[str, Any] = settings.LOGGING  # which Django reads once more when the server starts
    logging["handlers"]["stderr"]["stream"] = path.open("a", encoding="utf-8")
    dictConfig(logging)


def shortest(path: Path) -> str:
    """Return a path as seen from here when it is below, else as a whole."""
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)
