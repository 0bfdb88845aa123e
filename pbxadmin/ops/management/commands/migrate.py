from typing import Any

from django.conf import settings
from django.core.management.commands.migrate import Command as Migrate
from django.db import connection

from pbxadmin.audit.role import grants_apply, why_not
from pbxadmin.audit.triggers import triggers_put_back
from pbxadmin.ops.owner import as_owner
from pbxadmin.ops.unrecorded import unrecorded_record


class Command(Migrate):
    help = (
        f"{Migrate.help} Runs as the owner that MIGRATE_DATABASE_URL names, and lets the working role use what is new."
    )

    def execute(self, *args: Any, **options: Any) -> str | None:
        only_looks = options["plan"] or options["check_unapplied"]
        role = str(connection.settings_dict["USER"])
        with as_owner():
            if not only_looks:
                triggers_put_back(connection)  # before Django's checks, which fail while one is missing
            said = super().execute(*args, **options)
            if settings.MIGRATE_DATABASE is not None and not only_looks:
                self.grant(role)
        if not only_looks:
            unrecorded_record()
        return said

    def grant(self, role: str) -> None:
        if problem := why_not(role):
            self.stderr.write(f"Nothing was granted. {problem}")
        else:
            grants_apply(role)
