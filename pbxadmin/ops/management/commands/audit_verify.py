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
        for fault in report.faults:
            self.stdout.write(f"BAD {fault}")
        missing = triggers_missing(connection)
        for name in missing:
            self.stdout.write(f"BAD trigger {name} is missing: the database would let events be altered")
        if report.faults or missing:
            raise CommandError(f"{len(report.faults) + len(missing)} faults. First: {(report.faults or missing)[0]}")
        self.stdout.write(f"All {report.events} events are as they were recorded.")
