from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from pbxadmin.audit.chain import verify
from pbxadmin.audit.triggers import triggers_missing


class Command(BaseCommand):
    help = "Walks the hash chains of the audit log and names every bad event, the first one first."

    def handle(self, *args: Any, **options: Any) -> None:
        report = verify()
        for chain, length in sorted(report.chains.items()):
            self.stdout.write(f"{chain}: {length} event{'' if length == 1 else 's'}")
        faults = [str(fault) for fault in report.faults]
        for name in triggers_missing(connection):
            faults.append(f"trigger {name} is missing: the database would let events be altered")
        for fault in faults:
            self.stdout.write(f"BAD {fault}")
        if faults:
            raise CommandError(f"{len(faults)} fault{'' if len(faults) == 1 else 's'}. First: {faults[0]}")
        self.stdout.write(f"All {report.events} events are as they were recorded.")
