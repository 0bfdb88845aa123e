"""PBX records as a table: the columns that an export writes and an import reads, and reading a CSV file strictly."""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from pbxadmin.web.csv import restored
from pbxadmin.web.uploads import MOST_BYTES

from .models import Pbx
from .record_fields import EXPORT_COLUMNS, IMPORT_COLUMNS, ROW_KEY

SEPARATORS = ",;\t"
MOST_ROWS = 5000
MOST_FAULTS = 200
SAVE_AS = "Save it as CSV UTF-8 and try again."


@dataclass(frozen=True)
class Fault:
    """What is wrong, and where: line 0 is the file as a whole, an empty column the row as a whole."""

    line: int
    column: str
    text: str

    def __str__(self) -> str:
        place = [f"line {self.line}"] if self.line else []
        place += [self.column] if self.column else []
        return f"{', '.join(place)}: {self.text}" if place else self.text


class BadSheet(Exception):
    """The file cannot be read as a table."""

    def __init__(self, text: str, line: int = 0, column: str = "") -> None:
        super().__init__(text)
        self.fault = Fault(line, column, text)


@dataclass(frozen=True)
class Row:
    """One row with its line in the file; cells by column."""

    line: int
    cells: dict[str, str]


def exported(pbx: Pbx) -> list[str]:
    """One row, in the order of EXPORT_COLUMNS. Never a secret."""
    return [str(getattr(pbx, column)) for column in EXPORT_COLUMNS]


def sheet_read(data: bytes) -> tuple[list[Row], list[Fault]]:
    """The rows of a CSV file with a header, and what is wrong with the others. Raises BadSheet for the whole."""
    text = decoded(data)
    lines = records(text, separator_of(text))
    header = header_of(next(lines, (1, [])))
    rows: list[Row] = []
    faults: list[Fault] = []
    for line, cells in lines:
        if len(rows) + len(faults) >= MOST_ROWS:
            raise BadSheet(f"There are more than {MOST_ROWS:,} rows. Split the file.", line)
        if len(cells) == len(header):
            rows.append(Row(line, dict(zip(header, map(restored, cells), strict=True))))
        else:
            faults.append(Fault(line, "", f"It has {len(cells)} cells, the header has {len(header)}."))
    if not rows and not faults:
        raise BadSheet("There is no row below the header.")
    return rows, faults


def decoded(data: bytes) -> str:
    """UTF-8, with or without a byte order mark. Raises BadSheet."""
    if not data.removeprefix(codecs.BOM_UTF8).strip():
        raise BadSheet("The file is empty.")
    if len(data) > MOST_BYTES:
        raise BadSheet(f"The file is larger than {MOST_BYTES // 2**20} MiB. Split it.")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        raise BadSheet(f"The file is not UTF-8 but UTF-16 or UTF-32. {SAVE_AS}")
    for position, line in enumerate(data.splitlines(), 1):
        if b"\0" in line:
            raise BadSheet("There is a NUL character. This is not a text file.", position)
        try:
            line.decode()
        except UnicodeDecodeError:
            raise BadSheet(f"It is not UTF-8. {SAVE_AS}", position) from None
    return data.decode("utf-8-sig")


def separator_of(text: str) -> str:
    """Comma, semicolon or tab: whichever splits the first line into the most columns that we know."""
    first = next(line for line in text.splitlines() if line.strip())

    def known(separator: str) -> int:
        return len(set(IMPORT_COLUMNS) & {name.strip(' "').lower() for name in first.split(separator)})

    return max(SEPARATORS, key=known)


def records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it starts on, blank lines left out. Raises BadSheet."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadSheet(sentence(str(error)), line) from None


def sentence(error: str) -> str:
    """What csv says, in words for whoever made the file."""
    if "field larger" in error:
        return "A cell is too long. Is a closing quote missing?"
    if "unexpected end" in error:
        return "A quote is opened here and never closed."
    return "Quotes do not match: a cell with quotes stands in quotes, and a quote in it is doubled."


def header_of(record: tuple[int, list[str]]) -> list[str]:
    """The names of the columns. Raises BadSheet for the first that is unknown, doubled or missing."""
    line, cells = record
    header = [restored(cell).strip().lower() for cell in cells]
    for name in header:
        if name not in IMPORT_COLUMNS:
            known = ", ".join(IMPORT_COLUMNS)
            raise BadSheet(f"There is no such column. The columns are {known}.", line, name[:60] or "(no name)")
        if header.count(name) > 1:
            raise BadSheet("This column stands there twice.", line, name)
    for name in ROW_KEY:
        if name not in header:
            raise BadSheet("This column is missing.", line, name)
    return header
