from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import verify
from pbxadmin.audit.log import record
from pbxadmin.audit.seals import heads_by_chain, read_seals, seal, unproven_shown


class Command(BaseCommand):
    help = (
        "Accepts that the log is not what was sealed, as after a restore from a backup, or that a key of seals was"
        " lost. Recorded, signed, and said on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="what happened; it is kept in the log and in the seal")
        parser.add_argument(
            "--lost-key",
            metavar="PUBLIC_KEY",
            help="accept only this: that the seals of this key, which you know as yours, cannot be proven any more",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if not reason:
            raise CommandError("Give a reason: whoever reads the log will ask for it.")
        if options["lost_key"] is not None:
            self.accept_lost_key(options["lost_key"].strip(), reason)
            return
        kept = read_seals()
        sealed = [fault for fault in verify(sealed=heads_by_chain(kept.seals)).faults if "sealed" in fault.problem]
        if not sealed:
            hint = " That a key of seals was lost is accepted with --lost-key=PUBLIC_KEY." if kept.strange else ""
            raise CommandError(f"There is nothing to accept: the log fits its seals.{hint}")
        record(EventAction.LOG_ACCEPTED, detail={"lost": [str(fault) for fault in sealed]}, reason=reason)
        done = seal("accepted", reason=reason)
        for fault in sealed:
            self.stdout.write(f"ACCEPTED {fault}")
        self.stdout.write(f"Seal {done.number}: from here on audit_verify names this as accepted.")

    def accept_lost_key(self, key: str, reason: str) -> None:
        unproven = [one for one in read_seals().strange if one.key == key]
        if not unproven:
            raise CommandError("There is nothing to accept: no seal that is not ours is signed with this key.")
        lost = unproven_shown(key, unproven)
        last = unproven[-1]
        record(EventAction.LOG_ACCEPTED, detail={"lost": [lost], "last_line": last.digest}, reason=reason)
        done = seal("key-lost", reason=reason, unproven=unproven)
        self.stdout.write(f"ACCEPTED {lost}")
        self.stdout.write(f"SHA-256 of the line of seal {last.number}: {last.digest}")
        self.stdout.write(f"Seal {done.number}: from here on audit_verify names this as accepted.")
