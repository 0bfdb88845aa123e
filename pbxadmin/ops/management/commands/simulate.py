import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pbxadmin.yeastar.simulator import Fleet, SimulatedPbx


class Command(BaseCommand):
    help = "Runs a fleet of simulated PBXs on 127.0.0.1, one HTTPS port each. Stops on Ctrl-C or SIGTERM."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--pbxs", type=int, default=12)
        parser.add_argument("--state", type=Path, help="file that keeps IVRs, ports and the certificate between runs")
        parser.add_argument("--controls", type=Path, help="socket file to make, which takes orders to misbehave")
        parser.add_argument("--json", action="store_true", help="one line of JSON instead of a line per PBX")
        parser.add_argument("--until-eof", action="store_true", help="stop when standard input ends, as with a parent")

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopping.set())
        if options["until_eof"]:
            Thread(target=stop_at_eof, args=[stopping], daemon=True).start()
        with ExitStack() as stack:
            fleet = started(stack, options["pbxs"], options["state"], options["controls"])
            rows = [row(pbx) for pbx in fleet.pbxs]
            self.stdout.write(json.dumps(rows) if options["json"] else "\n".join(line(row) for row in rows))
            self.stdout.flush()
            while not stopping.wait(3600):
                pass


def started(stack: ExitStack, count: int, state: Path | None, controls: Path | None) -> Fleet:
    """Start a fleet that ends with the stack. Raises CommandError when it cannot start or keep its state."""
    try:
        return stack.enter_context(Fleet(count, state_file=state, controls=controls))
    except OSError as error:
        raise CommandError(f"The simulated fleet cannot start: {error}.") from None
    except json.JSONDecodeError:
        raise CommandError(f"The state of the fleet cannot be read. Delete the file to start anew: {state}.") from None


def stop_at_eof(stopping: Event) -> None:
    sys.stdin.read()
    stopping.set()


def row(pbx: SimulatedPbx) -> dict[str, Any]:
    return {key: getattr(pbx, key) for key in ("name", "scheme", "port", "username", "password", "fingerprint")}


def line(row: dict[str, Any]) -> str:
    address = f"{row['scheme']}://127.0.0.1:{row['port']}"
    return f"{row['name']:<16} {address:<26} {row['username']} / {row['password']}  SHA-256 {row['fingerprint']}"
