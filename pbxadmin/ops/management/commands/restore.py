from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pbxadmin.ops.backup import BackupFailed, backup_restore


class Command(BaseCommand):
    help = "Replaces the database with a backup. Stop every server and worker first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--overwrite", action="store_true", help="replace a database that has people or events")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            manifest, said = backup_restore(options["file"], overwrite=options["overwrite"])
        except BackupFailed as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"The database is that of {manifest.at[:16].replace('T', ' ')} UTC, version {manifest.version}."
        )
        if said:
            self.stdout.write(said)
        self.stdout.write("Now run migrate, then audit_verify, then start the servers and workers.")
