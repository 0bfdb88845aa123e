from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pbxadmin.ops.rotation import keys_rotate


class Command(BaseCommand):
    help = "Seals every secret with the newest key of PBX_KEYS. May be stopped and run again, while people work."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = keys_rotate()
        except KeyboardInterrupt:
            raise CommandError("Stopped. What was sealed anew stays so. Run the command again for the rest.") from None
        self.stdout.write(f"{done.sealed} sealed anew, {done.current} had the newest key already.")
        for place, why in done.failed:
            self.stdout.write(f"FAILED {place}: {why}")
        if done.changed:
            self.stdout.write(f"{done.changed} changed meanwhile and left as they are: run it again.")
        if not done.is_whole:
            raise CommandError("Keep the older keys in PBX_KEYS: not every secret has the newest one.")
        self.stdout.write("The older keys may leave PBX_KEYS once no backup needs them.")
