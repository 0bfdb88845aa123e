from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from pbxadmin.access.models import User
from pbxadmin.fleet.imports import ImportPlan, import_apply, import_plan
from pbxadmin.fleet.sheet import ENCODINGS, UTF_8, encoding_of
from pbxadmin.web.uploads import MOST_BYTES


class Command(BaseCommand):
    help = "Adds and changes customers and PBXs from a CSV file, all rows or none. Says first what it will do."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="CSV with a header; see docs/import.md for its columns")
        parser.add_argument("--encoding", choices=ENCODINGS, default=UTF_8, help="of the file (default: %(default)s)")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be added and changed")

    def handle(self, *args: Any, **options: Any) -> None:
        data = content_of(Path(options["file"]))
        check_encoding(data, options["encoding"])
        plan = import_plan(data, User(is_superuser=True), options["encoding"])
        if plan.faults:
            for fault in plan.faults:
                self.stdout.write(str(fault))
            raise CommandError(f"{len(plan.faults)} to put right. Nothing was imported.")
        for text in sentences(plan):
            self.stdout.write(text)
        if options["dry_run"]:
            self.stdout.write("Nothing was saved: this was a dry run.")
            return
        try:
            import_apply(plan, source=data)
        except ValidationError as error:
            raise CommandError(f"{' '.join(error.messages)} Nothing was imported.") from None
        self.stdout.write(f"{len(plan.added)} added, {len(plan.changed)} changed, {plan.same} as they were.")


def check_encoding(data: bytes, encoding: str) -> None:
    """Raise CommandError for a file that is not UTF-8 unless another encoding was named: a person looks first."""
    found = encoding_of(data)
    if encoding == UTF_8 != found:
        raise CommandError(
            f"The file is not UTF-8. It seems to be {ENCODINGS[found]}: look at it with --encoding {found} --dry-run."
        )


def content_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None


def sentences(plan: ImportPlan) -> list[str]:
    """Yield what would be done, one line for each; a password is said to be set and never shown."""
    said = [f"+ customer {customer.name}" for customer in plan.new_customers]
    for line in plan.todo:
        fields = [f"{name} {before!r} → {after!r}" for name, before, after in line.changes if line.pbx]
        fields += ["password set anew"] if line.pbx and line.password else []
        sign, what = ("~", ": " + ", ".join(fields)) if line.pbx else ("+", "")
        said.append(f"{sign} {line.customer.name} / {line.name}{what}")
    return said
