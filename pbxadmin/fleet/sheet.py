"""PBX records as a CSV file: the cells that an export writes, and a strict reader for an import."""

import codecs
import csv
import io
import re
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
UTF_8, WINDOWS = "utf-8", "windows-1252"
# The encodings that a file may be read in: the names of Python, and what people call them.
ENCODINGS = {UTF_8: "UTF-8", WINDOWS: "Windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
MARKED = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
NOT_IN_WINDOWS = b"\x81\x8d\x8f\x90\x9d"
# The first line by which a file tells a spreadsheet its separator.
NAMED_SEPARATOR = re.compile(r'"?sep=([^\r\n"])"?[ \t]*(?:[\r\n]|\Z)', re.IGNORECASE)


@dataclass(frozen=True)
class SheetFault:
    """An error in a file and its place: line 0 means the file as a whole, an empty column the row as a whole."""

    line: int
    column: str
    text: str

    def __str__(self) -> str:
        place = [f"line {self.line}"] if self.line else []
        place += [self.column] if self.column else []
        return f"{', '.join(place)}: {self.text}" if place else self.text


class BadSheet(Exception):
    """Raised for a file that cannot be read as a table."""

    def __init__(self, text: str, line: int = 0, column: str = "") -> None:
        super().__init__(text)
        self.fault = SheetFault(line, column, text)


@dataclass(frozen=True)
class SheetRow:
    """One row with its line in the file; cells by column."""

    line: int
    cells: dict[str, str]


def exported(pbx: Pbx) -> list[str]:
    """Return the cells of a PBX in the order of EXPORT_COLUMNS, which has no secret."""
    return [str(getattr(pbx, column)) for column in EXPORT_COLUMNS]


def sheet_read(data: bytes, encoding: str = UTF_8) -> tuple[list[SheetRow], list[SheetFault]]:
    """Return the rows of a CSV file with a header, and the errors of rows that cannot be read.

    Raises BadSheet when the file as a whole cannot be read.
    """
    lines = table(sheet_text(data, encoding))
    header = header_of(next(lines, (1, [])))
    rows: list[SheetRow] = []
    faults: list[SheetFault] = []
    for line, cells in lines:
        if len(rows) + len(faults) >= MOST_ROWS:
            raise BadSheet(f"There are more than {MOST_ROWS:,} rows. Split the file.", line)
        if len(cells) == len(header):
            rows.append(SheetRow(line, dict(zip(header, map(restored, cells), strict=True))))
        else:
            faults.append(SheetFault(line, "", f"This row has {len(cells)} cells, the header has {len(header)}."))
    if not rows and not faults:
        raise BadSheet("There is no row below the header.")
    return rows, faults


def encoding_of(data: bytes) -> str:
    """Return the encoding that a file seems to have. A person decides before another than UTF-8 is used."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return MARKED.get(data[:2], WINDOWS)
    return UTF_8


def sheet_text(data: bytes, encoding: str) -> str:
    """Decode strictly, without the byte order mark. Raises BadSheet."""
    if len(data) > MOST_BYTES:
        raise BadSheet(f"The file is larger than {MOST_BYTES // 2**20} MiB. Split it.")
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadSheet(undecodable(data, encoding), line_after(data[: error.start].decode(encoding))) from None
    if not text.strip():
        raise BadSheet("The file is empty.")
    if "\0" in text:
        raise BadSheet("There is a NUL character. This is not a text file.", line_after(text.partition("\0")[0]))
    return text


def undecodable(data: bytes, encoding: str) -> str:
    if encoding != WINDOWS:
        return f"It is not {ENCODINGS[encoding]}. {SAVE_AS}"
    lacking = ", ".join(f"{byte:02X}" for byte in NOT_IN_WINDOWS if byte in data)
    return f"It is neither UTF-8 nor Windows-1252, which has no character for the bytes {lacking}. {SAVE_AS}"


def line_after(text: str) -> int:
    """Return the number of the line that goes on after this text."""
    return len(f"{text}x".encode().splitlines())


def table(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records below a first line that names the separator, if there is one. Raises BadSheet."""
    named = NAMED_SEPARATOR.match(text)
    if not named:
        return records(text, separator_of(text))
    if named[1] not in SEPARATORS:
        raise BadSheet(f"It names {named[1]!r} as separator. Commas, semicolons and tabs are read.", 1)
    lines = records(text, named[1])
    next(lines)
    return lines


def separator_of(text: str) -> str:
    """Return comma, semicolon or tab: the one that splits the first line into the most known columns."""
    first = next(line for line in text.splitlines() if line.strip())

    def known(separator: str) -> int:
        return len(set(IMPORT_COLUMNS) & {name.strip(' "').lower() for name in first.split(separator)})

    return max(SEPARATORS, key=known)


def records(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line it starts on, without blank lines. Raises BadSheet."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadSheet(csv_problem(str(error)), line) from None


def csv_problem(error: str) -> str:
    """Return an error of the csv module in words for the person who made the file."""
    if "field larger" in error:
        return "A cell is too long. Is a closing quote missing?"
    if "unexpected end" in error:
        return "A quote is opened here and never closed."
    return "Quotes do not match: put a cell with quotes in quotes, and double each quote in it."


def header_of(record: tuple[int, list[str]]) -> list[str]:
    """Return the names of the columns. Raises BadSheet for the first that is unknown, doubled or missing."""
    line, cells = record
    header = [restored(cell).strip().lower() for cell in cells]
    for name in header:
        if name not in IMPORT_COLUMNS:
            known = ", ".join(IMPORT_COLUMNS)
            raise BadSheet(f"There is no such column. The columns are {known}.", line, name[:60] or "(no name)")
        if header.count(name) > 1:
            raise BadSheet("This column is there twice.", line, name)
    for name in ROW_KEY:
        if name not in header:
            raise BadSheet("This column is missing.", line, name)
    return header
