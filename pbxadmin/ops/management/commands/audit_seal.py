from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pbxadmin.audit.seals import seal, seals_path


class Command(BaseCommand):
    help = "Signs where each chain of the audit log ends and keeps that outside the database. Done daily by itself."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = seal("command")
        except OSError as error:
            raise CommandError(f"{seals_path()} cannot be written: {error.strerror}. Nothing was sealed.") from None
        count = sum(head.count for head in done.heads)
        self.stdout.write(f"Seal {done.number}: {count} events in {len(done.heads)} chains.")
        self.stdout.write(f"SHA-256 of its line: {done.digest}")
