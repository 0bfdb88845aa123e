"""What a process needs before it starts, and one sentence instead of a traceback when it is not there.

Only what serves or touches secrets needs them. A command that is not named here does: a new one cannot forget to ask.
"""

import sys
import warnings

from django.conf import settings
from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand
from django.db import DatabaseError

from pbxadmin.env import missing_secret, private_folder

from .management.commands.version import Command as Version
from .unmigrated import why_not_allowed, why_not_there

WITHOUT_SECRETS = frozenset({"check", "help", "makemigrations", "simulate"})


def require_secrets() -> None:
    """Stop with one sentence when a secret is missing. Make the private folder, where data and secrets are stored."""
    for name in settings.MISSING_SECRETS:
        raise missing_secret(name)
    private_folder("DATA_DIR", settings.DATA_DIR)


def command_line(words: list[str]) -> None:
    """Run Django's command line for these words, the program first. Exit code 1 when migrations are missing.

    Here and not in a base class, so that it holds for Django's own commands too, such as createsuperuser.
    """
    try:
        CommandLine(words).execute()
    except DatabaseError as error:
        why = why_not_there(error) or why_not_allowed(error)
        if not why or "--traceback" in words:
            raise
        sys.exit(f"CommandError: {why}")


class CommandLine(ManagementUtility):
    """Django's command line, which asks for the secrets before a command starts that may need them."""

    def execute(self) -> None:
        """Answer `version` and `--version` with ours, which Django would answer with its own, and need no settings."""
        if self.argv[1:2] == ["version"] or self.argv[1:] == ["--version"]:
            Version().run_from_argv([self.argv[0], "version", *self.argv[2:]])
        else:
            super().execute()

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """Return the command. Called once the settings are known, and before the command reads its own words."""
        command = super().fetch_command(subcommand)
        if self.argv[1] not in WITHOUT_SECRETS and not {"-h", "--help"} & set(self.argv):
            require_secrets()
        elif not settings.DATA_DIR.exists():
            # A fresh clone. `makemigrations` looks into the database for migrations that were applied out of order.
            warnings.filterwarnings("ignore", "Got an error checking a consistent migration history", RuntimeWarning)
        return command
