from typing import Any

from django.core.management.base import BaseCommand

from ivr.changes import bring_in, reconcile


class Command(BaseCommand):
    help = "Settles by reading every change that was left in the middle or is unknown. Never sends one."

    def handle(self, *args: Any, **options: Any) -> None:
        bring_in()
        count = reconcile()
        self.stdout.write(f"{count} change{'' if count == 1 else 's'} looked at.")
