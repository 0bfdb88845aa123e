from typing import Any

from django.core.management.base import BaseCommand

from ivr.changes.reconcile import reconcile, replay_spool
from pbxadmin.web.words import number_of


class Command(BaseCommand):
    help = "Settles by reading every change that was left in the middle or is unknown. Never sends one."

    def handle(self, *args: Any, **options: Any) -> None:
        replay_spool()
        count = reconcile()
        self.stdout.write(f"{number_of(count, 'change')} looked at.")
