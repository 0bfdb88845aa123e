from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pbxadmin.audit.checkpoints import CheckpointFile, read_checkpoints
from pbxadmin.ops.checkpointing import log_faults
from pbxadmin.web.words import number_of

COPIES_HELP = "a copy of checkpoints that was kept elsewhere, such as a mailed one, to compare with as well"


class Command(BaseCommand):
    help = "Walks the hash chains of the audit log and names every bad event, the first one first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seals", action="append", default=[], type=Path, metavar="FILE", help=COPIES_HELP)

    def handle(self, *args: Any, **options: Any) -> None:
        file = all_checkpoints(options["seals"])
        report, faults = log_faults(file)
        for chain, length in sorted(report.chains.items(), key=str):  # SQLite may keep bytes instead of a name
            self.stdout.write(f"{chain}: {number_of(length, 'event')}")
        self.stdout.write(compared(file))
        for known in [*file.accepted, *report.accepted]:
            self.stdout.write(f"ACCEPTED {known}")
        for fault in faults:
            self.stdout.write(f"BAD {fault}")
        if faults:
            raise CommandError(f"{number_of(len(faults), 'fault')}. First: {faults[0]}")
        self.stdout.write(f"All {report.events} events are as they were recorded.")


def all_checkpoints(copies: list[Path]) -> CheckpointFile:
    file = read_checkpoints()
    for path in copies:
        try:
            copy = read_checkpoints(path, file.acceptances)
        except OSError as error:
            raise CommandError(f"The checkpoints in {path} cannot be read: {error.strerror}.") from None
        file.entries += copy.entries
        file.faults += copy.faults
        file.accepted += copy.accepted
    return file


def compared(file: CheckpointFile) -> str:
    if not file.entries:
        return "Compared with no checkpoint: events that were cut off at the end of a chain would not show."
    count = len(file.entries)
    return f"Compared with {number_of(count, 'checkpoint')}, the last one {file.entries[-1].where}."
