"""CSV that a spreadsheet cannot mistake for formulas."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import text

from pbxadmin.web.csv import csv_lines, csv_response, neutral, restored

RISKY = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("https://evil.example","x")',
    "-2+3+cmd|' /C calc'!A0",
    "\t=1",
    "\r=1",
    "\n=1",
    "\tplain",
    "\rplain",
    "\nplain",
    "\0=1",
    " =1",
    "   +1",
    "\u00a0=1",
    "\u3000=1",
    "\v=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM(A1)",
    " ＝1",
    "﹢1",
    "₌1",
    "=",
    "-",
]
HARMLESS = [
    "",
    " ",
    "6500",
    "Main_Menu",
    "a=b",
    "1-2",
    "x@y.example",
    "0113 496 0100",
    "'tis",
    "''",
    "on",
    "Müller",
    'say "hi", then;\nbye',
    "–5",
    "not reported",
]


@pytest.mark.parametrize("cell", RISKY)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(cell):
    assert neutral(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", HARMLESS)
def test_everything_else_stays_as_it_is(cell):
    assert neutral(cell) == cell


@given(text(alphabet=st.one_of(st.sampled_from("'=+-@ \t\r\n\0＝a"), st.characters(codec="utf-8"))))
@example("'=1")
@example("''=1")
def test_a_neutral_cell_can_be_turned_back_into_what_it_was(cell):
    assert restored(neutral(cell)) == cell
    assert neutral(cell) == cell or neutral(cell).startswith("'")


def test_cells_come_back_out_of_the_file_whole():
    text = "".join(csv_lines(["a", "b"], [["=1", 'x "y", z\nw']]))

    assert text.startswith("\ufeff")
    back = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    assert list(back) == [["a", "b"], ["'=1", 'x "y", z\nw']]


def test_the_answer_is_streamed_row_by_row_and_saved_as_a_file():
    read = []

    def rows():
        for number in range(3):
            read.append(number)
            yield [str(number)]

    answer = csv_response("ivrs.csv", ["n"], rows())
    lines = iter(answer)
    next(lines)
    next(lines)

    assert read == [0]
    assert answer.streaming
    assert answer["Content-Disposition"] == 'attachment; filename="ivrs.csv"'
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
