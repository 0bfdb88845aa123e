from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from pbxadmin.ops.rotation import require_right_keys
from pbxadmin.ops.server import Server, collect_static, require_free, require_proxy


class Command(BaseCommand):
    help = "Runs the web server, with workers inside unless told otherwise."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--no-work", action="store_true", help="no workers inside; run manage.py work elsewhere")

    def handle(self, *args: Any, **options: Any) -> None:
        require_proxy()
        require_free("serve", options["host"], options["port"])
        require_right_keys()
        collect_static()
        Server(options["host"], options["port"], work=not options["no_work"], when_ready=self.say).run()

    def say(self, server: Server) -> None:
        self.stdout.write(f"Serving on {server.address} with {server.strength}.")
        self.stdout.flush()
