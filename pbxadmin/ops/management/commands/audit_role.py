from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from pbxadmin.audit.role import grant_statements, grants_apply, why_not
from pbxadmin.ops.owner import as_owner


class Command(BaseCommand):
    help = "Prints what lets a PostgreSQL role work with PBX Admin, and with the log only by adding and reading events."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("role", help="its name; DATABASE_URL then connects as it")
        parser.add_argument("--apply", action="store_true", help="do it, as the owner of MIGRATE_DATABASE_URL")

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "postgresql":
            raise CommandError("Only PostgreSQL has roles. With SQLite, whoever can write the file is its owner.")
        with as_owner():
            if options["apply"]:
                self.apply(options["role"])
            else:
                self.stdout.write(
                    "".join(f"{statement};\n" for statement in grant_statements(options["role"])), ending=""
                )

    def apply(self, role: str) -> None:
        if problem := why_not(role):
            raise CommandError(problem)
        grants_apply(role)
        self.stdout.write(f"{role} may work, and may add and read events and do nothing else with the log.")
