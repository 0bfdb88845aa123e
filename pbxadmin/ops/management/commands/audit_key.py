from typing import Any

from django.core.management.base import BaseCommand

from pbxadmin.audit.checkpoints import private_keys, public_key


class Command(BaseCommand):
    help = "Shows the public key that checkpoints and evidence packs are signed with, and earlier ones of SEAL_KEY."

    def handle(self, *args: Any, **options: Any) -> None:
        newest, *earlier = [public_key(key) for key in private_keys()]
        self.stdout.write(newest)
        for key in earlier:
            self.stdout.write(f"{key} (earlier)")
