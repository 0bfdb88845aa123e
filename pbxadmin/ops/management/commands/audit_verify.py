from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from pbxadmin.audit.chain import verify
from pbxadmin.audit.seals import Kept, heads_by_chain, read_seals
from pbxadmin.audit.triggers import triggers_missing
from pbxadmin.ops.sealing import missing
from pbxadmin.web.words import number_of

SEALS_HELP = "a copy of seals that was kept elsewhere, such as a mailed one, to compare with as well"


class Command(BaseCommand):
    help = "Walks the hash chains of the audit log and names every bad event, the first one first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seals", action="append", default=[], type=Path, metavar="FILE", help=SEALS_HELP)

    def handle(self, *args: Any, **options: Any) -> None:
        kept = all_seals(options["seals"])
        report = verify(sealed=heads_by_chain(kept.seals))
        for chain, length in sorted(report.chains.items(), key=str):  # SQLite may keep bytes instead of a name
            self.stdout.write(f"{chain}: {number_of(length, 'event')}")
        self.stdout.write(compared(kept))
        faults = [str(fault) for fault in report.faults] + [*kept.faults, *missing(kept)]
        for name in triggers_missing(connection):
            faults.append(f"trigger {name} is missing: the database would let events be altered")
        for known in [*kept.accepted, *report.accepted]:
            self.stdout.write(f"ACCEPTED {known}")
        for fault in faults:
            self.stdout.write(f"BAD {fault}")
        if faults:
            raise CommandError(f"{number_of(len(faults), 'fault')}. First: {faults[0]}")
        self.stdout.write(f"All {report.events} events are as they were recorded.")


def all_seals(copies: list[Path]) -> Kept:
    kept = read_seals()
    for path in copies:
        try:
            copy = read_seals(path, kept.acceptances)
        except OSError as error:
            raise CommandError(f"The seals in {path} cannot be read: {error.strerror}.") from None
        kept.seals += copy.seals
        kept.faults += copy.faults
        kept.accepted += copy.accepted
    return kept


def compared(kept: Kept) -> str:
    if not kept.seals:
        return "Compared with no seal: events that were cut off at the end of a chain would not show."
    count = len(kept.seals)
    return f"Compared with {number_of(count, 'seal')}, the last one {kept.seals[-1].where}."
