"""manage.py api_key make USER NAME | list [USER] | revoke ID"""

from datetime import date, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from pbxadmin.api.models import ApiKey
from pbxadmin.api.scopes import Scope
from pbxadmin.api.services import api_key_make, api_key_revoke

from .grant import named_user


class Command(BaseCommand):
    help = "Makes, lists and revokes API keys."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="what", required=True)
        make = actions.add_parser("make", help="make a key and print it, once")
        make.add_argument("user", help="user name of its holder")
        make.add_argument("name", help="what to recognise it by")
        make.add_argument("--scope", default=Scope.READ.value, choices=Scope.values)
        make.add_argument("--last-day", type=date.fromisoformat, help="such as 2026-12-31; by default in 90 days")
        make.add_argument("--network", action="append", default=[], help="taken from there only, such as 192.0.2.0/24")
        listing = actions.add_parser("list", help="list keys, newest first")
        listing.add_argument("user", nargs="?", help="user name of their holder; by default all")
        revoke = actions.add_parser("revoke", help="end a key at once")
        revoke.add_argument("id", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        {"make": self.make, "list": self.list_keys, "revoke": self.revoke}[options["what"]](options)

    def make(self, options: dict[str, Any]) -> None:
        last_day = options["last_day"] or timezone.localdate() + timedelta(days=90)
        holder, scope = named_user(options["user"]), Scope(options["scope"])
        try:
            _, text = api_key_make(
                holder=holder, name=options["name"], scope=scope, last_day=last_day, networks=options["network"]
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self.stdout.write(text)

    def list_keys(self, options: dict[str, Any]) -> None:
        keys = ApiKey.objects.select_related("holder")
        if options["user"]:
            keys = keys.filter(holder=named_user(options["user"]))
        for key in keys:
            state = "revoked" if key.revoked_at else "over" if key.is_over else "works"
            used = f"used {key.used_at:%Y-%m-%d %H:%M} UTC" if key.used_at else "never used"
            whose = (str(key.pk), key.holder.username, key.name, f"{key.shown}…")
            self.stdout.write("\t".join((*whose, key.scope, str(key.last_day), state, used)))

    def revoke(self, options: dict[str, Any]) -> None:
        key = ApiKey.objects.filter(pk=options["id"]).select_related("holder").first()
        if key is None:
            raise CommandError(f"There is no key {options['id']}. `api_key list` shows them.")
        api_key_revoke(key=key)
        self.stdout.write(f"{key.name} of {key.holder.username} is revoked.")
