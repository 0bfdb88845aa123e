import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import QueryDict

from pbxadmin.audit.context import current
from pbxadmin.audit.models import Event
from pbxadmin.review.evidence import evidence_make, filter_query
from pbxadmin.review.selectors import EventFilter
from pbxadmin.web.words import number_of


class Command(BaseCommand):
    help = (
        "Packs events of the audit log, signed and with a verifier of their own, into a zip file for somebody outside."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the zip file to write; it must not be there yet")
        parser.add_argument(
            "--filter", default="", help="as in the address of the log page: customer=3&from=2026-01-01; default: all"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = named_filter(options["filter"])
        path = options["file"]
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
        done = False
        try:
            with os.fdopen(descriptor, "w+b") as file:
                events = wanted.narrow(Event.objects.all())
                if not events.exists():
                    raise CommandError("No event matches. There is nothing to pack.")
                pack = evidence_make(file, events, made_by=current().actor.name, wanted=filter_query(wanted))
            done = True
        finally:
            if not done:
                path.unlink()
        events_of, chains = number_of(pack.count, "event"), number_of(len(pack.chains), "chain")
        self.stdout.write(f"{events_of} in {chains} packed. Check it: python3 verify.py {path}")


def named_filter(query: str) -> EventFilter:
    """Return the filter of this query. Raises CommandError for a part that the log page would ignore."""
    given = QueryDict(query)
    wanted = EventFilter.from_query(given)
    understood = QueryDict(wanted.query)
    for name, values in given.lists():
        if sorted(values) != sorted(understood.getlist(name)):
            raise CommandError(f"--filter: {name}={values[-1]} means nothing to the log page.")
    return wanted
