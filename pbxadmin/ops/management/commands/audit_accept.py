from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.chain import verify
from pbxadmin.audit.checkpoints import checkpoint_make, heads_by_chain, read_checkpoints, unproven_shown
from pbxadmin.audit.log import record


class Command(BaseCommand):
    help = (
        "Accepts that the log differs from its checkpoints, as after a restore from a backup, or that their signing key"
        " was lost. Recorded, signed, and said on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reason", required=True, help="what happened; it is kept in the log and in the checkpoint"
        )
        parser.add_argument(
            "--lost-key",
            metavar="PUBLIC_KEY",
            help="accept only this: that checkpoints of this key, which you know as yours, cannot be proven any more",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        reason = options["reason"].strip()
        if not reason:
            raise CommandError("Give a reason: whoever reads the log will ask for it.")
        if options["lost_key"] is not None:
            self.accept_lost_key(options["lost_key"].strip(), reason)
            return
        file = read_checkpoints()
        lost = [fault for fault in verify(known=heads_by_chain(file.entries)).faults if fault.is_against_checkpoint]
        if not lost:
            hint = " That a key of checkpoints was lost is accepted with --lost-key=PUBLIC_KEY." if file.foreign else ""
            raise CommandError(f"There is nothing to accept: the log fits its checkpoints.{hint}")
        record(EventAction.LOG_ACCEPTED, detail={"lost": [str(fault) for fault in lost]}, reason=reason)
        done = checkpoint_make("accepted", reason=reason)
        for fault in lost:
            self.stdout.write(f"ACCEPTED {fault}")
        self.stdout.write(f"Checkpoint {done.number}: from here on audit_verify names this as accepted.")

    def accept_lost_key(self, key: str, reason: str) -> None:
        unproven = [one for one in read_checkpoints().foreign if one.key == key]
        if not unproven:
            raise CommandError("There is nothing to accept: this key signed no checkpoint that is not ours.")
        lost = unproven_shown(key, unproven)
        last = unproven[-1]
        record(EventAction.LOG_ACCEPTED, detail={"lost": [lost], "last_line": last.digest}, reason=reason)
        done = checkpoint_make("key-lost", reason=reason, unproven=unproven)
        self.stdout.write(f"ACCEPTED {lost}")
        self.stdout.write(f"SHA-256 of the line of checkpoint {last.number}: {last.digest}")
        self.stdout.write(f"Checkpoint {done.number}: from here on audit_verify names this as accepted.")
