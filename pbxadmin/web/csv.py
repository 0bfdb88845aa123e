"""CSV that a spreadsheet cannot mistake for formulas."""

import csv
import string
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from django.http import StreamingHttpResponse

STARTS_A_FORMULA = ("=", "+", "-", "@")
CONTROL = ("\t", "\r", "\n", "\0")
PLAIN = frozenset(["", *string.ascii_letters, *string.digits])


class Echo:
    """A file whose write() gives the line back, for csv.writer."""

    def write(self, line: str) -> str:
        return line


def neutral(cell: str) -> str:
    """The cell, with an apostrophe before what a spreadsheet would run. Full-width signs count too.

    A cell that has such an apostrophe of its own gets one more, so that `restored` gives every cell back.
    """
    if cell[:1] in PLAIN:
        return cell  # as most cells: the rest takes ten times as long
    return f"'{cell}" if is_risky(cell.lstrip("'")) else cell


def restored(cell: str) -> str:
    """The cell that `neutral` was given."""
    return cell[1:] if cell.startswith("'") and is_risky(cell.lstrip("'")) else cell


def is_risky(cell: str) -> bool:
    bare = unicodedata.normalize("NFKC", cell).lstrip()
    return cell.startswith(CONTROL) or bare.startswith(STARTS_A_FORMULA)


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    writer = csv.writer(Echo())
    yield "\ufeff" + writer.writerow(header)
    for row in rows:
        yield writer.writerow([neutral(cell) for cell in row])


def csv_response(filename: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> StreamingHttpResponse:
    """Streamed as it is read. Starts with a byte order mark, which spreadsheets need to read UTF-8."""
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return StreamingHttpResponse(csv_lines(header, rows), content_type="text/csv; charset=utf-8", headers=headers)
