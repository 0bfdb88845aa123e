from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pbxadmin.audit.checkpoints import checkpoint_make, checkpoints_path


class Command(BaseCommand):
    help = "Signs where each chain of the audit log ends and keeps that outside the database. Done daily by itself."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = checkpoint_make("command")
        except OSError as error:
            raise CommandError(
                f"{checkpoints_path()} cannot be written: {error.strerror}. No checkpoint was made."
            ) from None
        count = sum(head.count for head in done.heads)
        self.stdout.write(f"Checkpoint {done.number}: {count} events in {len(done.heads)} chains.")
        self.stdout.write(f"SHA-256 of its line: {done.digest}")
