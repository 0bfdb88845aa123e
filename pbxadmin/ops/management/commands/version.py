from typing import Any

import django
from django.core.management.base import BaseCommand

from pbxadmin import __version__


class Command(BaseCommand):
    help = "Shows the version of PBX Admin and of Django. `start_up.py` puts it before Django's own command."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"PBX Admin {__version__} (Django {django.get_version()})")
