from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pbxadmin.audit.chain import verify
from pbxadmin.audit.log import record
from pbxadmin.audit.seals import heads_by_chain, read_seals, seal


class Command(BaseCommand):
    help = (
        "Accepts that the log is not what was sealed, as after a restore from a backup. Recorded, signed, and said on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="what happened; it is kept in the log and in the seal")

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if not reason:
            raise CommandError("Give a reason: whoever reads the log will ask for it.")
        sealed = [
            fault for fault in verify(sealed=heads_by_chain(read_seals().seals)).faults if "sealed" in fault.problem
        ]
        if not sealed:
            raise CommandError("There is nothing to accept: the log fits its seals.")
        record("log.accepted", detail={"lost": [str(fault) for fault in sealed]}, reason=reason)
        done = seal("accepted", reason=reason)
        for fault in sealed:
            self.stdout.write(f"ACCEPTED {fault}")
        self.stdout.write(f"Seal {done.number}: from here on audit_verify names this as accepted.")
