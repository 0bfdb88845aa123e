"""CSV that a spreadsheet cannot mistake for formulas."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from django.http import StreamingHttpResponse

STARTS_A_FORMULA = ("=", "+", "-", "@")
CONTROL = ("\t", "\r", "\n", "\0")


class Echo:
    """A file whose write() gives the line back, for csv.writer."""

    def write(self, line: str) -> str:
        return line


def neutral(cell: str) -> str:
    """The cell, with an apostrophe before what a spreadsheet would run. Full-width signs count too."""
    bare = unicodedata.normalize("NFKC", cell).lstrip()
    risky = cell.startswith(CONTROL) or bare.startswith(STARTS_A_FORMULA)
    return f"'{cell}" if risky else cell


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    writer = csv.writer(Echo())
    yield "\ufeff" + writer.writerow(header)
    for row in rows:
        yield writer.writerow([neutral(cell) for cell in row])


def csv_response(filename: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> StreamingHttpResponse:
    """Streamed as it is read. Starts with a byte order mark, which spreadsheets need to read UTF-8."""
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return StreamingHttpResponse(csv_lines(header, rows), content_type="text/csv; charset=utf-8", headers=headers)
