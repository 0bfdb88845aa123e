from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pbxadmin.ops.backup import BackupFailed, Manifest, backup_check, backup_make
from pbxadmin.web.words import number_of


class Command(BaseCommand):
    help = "Writes database, checkpoints and waiting outcomes into one file, without any key, while others work."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--check", action="store_true", help="open FILE instead, and verify what is in it")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            if options["check"]:
                self.check_file(path)
            else:
                manifest = backup_make(path)
                self.stdout.write(f"{path} has the database of {manifest.at[:16].replace('T', ' ')} UTC.")
                self.stdout.write(keys_needed(manifest))
        except BackupFailed as error:
            raise CommandError(str(error)) from None

    def check_file(self, path: Path) -> None:
        found = backup_check(path)
        at = found.manifest.at[:16].replace("T", " ")
        self.stdout.write(f"{path} is whole: {at} UTC, version {found.manifest.version}, {found.manifest.engine}.")
        self.stdout.write(keys_needed(found.manifest))
        for fault in found.faults:
            self.stdout.write(f"BAD {fault}")
        if found.faults:
            raise CommandError(f"{number_of(len(found.faults), 'fault')}. First: {found.faults[0]}")
        sealed = number_of(found.opened, "sealed value")
        self.stdout.write(f"All {found.events} events are as they were recorded. Opened {sealed}, one for each key.")


def keys_needed(manifest: Manifest) -> str:
    """Return which keys a backup needs, by the ids that stand in front of what they sealed."""
    if not manifest.keys:
        return "It holds no secret, and needs no key of PBX_KEYS."
    return f"It needs of PBX_KEYS: {', '.join(manifest.keys)}. No key is in it: keep them somewhere else."
