"""Keyset pages, by themselves."""

import base64
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from ivr.models import Ivr
from pbxadmin.fleet.models import Pbx
from pbxadmin.web.pages import keyset
from tests.factories import make_customer, make_pbx
from tests.walks import there_and_back

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# Two each of 1 and 2, three nulls: ties and nulls meet the border of a page at every size.
SECONDS = [2, None, 1, None, 2, 1, None]


@pytest.fixture
def ivrs():
    pbx = make_pbx()
    return [
        Ivr.objects.create(
            pbx=pbx, number=f"65{place:02}", response_timeout_s=seconds, read_at=NOON + timedelta(seconds=place // 2)
        )
        for place, seconds in enumerate(SECONDS)
    ]


def walk(order, size, rows=None):
    """All pages forwards, and the pages met on the way back from the last one."""
    rows = Ivr.objects.all() if rows is None else rows
    there, back = there_and_back(lambda cursor: keyset(rows, order, cursor, size))
    assert [bool(page.previous_cursor) for page in there] == [False] + [True] * (len(there) - 1)
    assert all(page.next_cursor for page in back)
    return [[name(row) for row in page.rows] for page in there], [[name(row) for row in page.rows] for page in back]


def name(row):
    return row["number"] if isinstance(row, dict) else row.number


def expected(*keys):
    """The numbers in the order of these keys, each a function of place and seconds."""
    return [f"65{place:02}" for place, _ in sorted(enumerate(SECONDS), key=lambda row: [key(*row) for key in keys])]


def nulls_last(place, seconds):
    return seconds is None


ORDERS = {
    ("number",): expected(lambda place, seconds: place),
    ("-number",): expected(lambda place, seconds: -place),
    ("response_timeout_s", "id"): expected(nulls_last, lambda p, s: s or 0, lambda p, s: p),
    ("-response_timeout_s", "id"): expected(nulls_last, lambda p, s: -(s or 0), lambda p, s: p),
    ("response_timeout_s", "-id"): expected(nulls_last, lambda p, s: s or 0, lambda p, s: -p),
    ("-response_timeout_s", "-id"): expected(nulls_last, lambda p, s: -(s or 0), lambda p, s: -p),
    ("-read_at", "response_timeout_s", "-id"): expected(
        lambda p, s: -(p // 2), nulls_last, lambda p, s: s or 0, lambda p, s: -p
    ),
    ("pbx__name", "-response_timeout_s", "id"): expected(nulls_last, lambda p, s: -(s or 0), lambda p, s: p),
}


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 50])
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_and_size_shows_each_row_once_both_ways(ivrs, order, size):
    forwards, back = walk(order, size)

    assert [number for page in forwards for number in page] == ORDERS[order]
    assert all(len(page) == size for page, _ in pairwise(forwards))
    assert back == forwards[:-1]


def test_dictionaries_are_paged_like_objects(ivrs):
    order = ("response_timeout_s", "id")
    rows = Ivr.objects.values("number", "response_timeout_s", "id")

    assert walk(order, 2, rows) == walk(order, 2)


def test_no_rows_are_one_page_without_neighbours():
    page = keyset(Pbx.objects.all(), ("name", "id"), "", 5)

    assert (list(page.rows), page.next_cursor, page.previous_cursor) == ([], "", "")


def test_a_page_costs_one_query_and_skips_no_rows_by_counting(ivrs, django_assert_num_queries):
    cursor = keyset(Ivr.objects.all(), ("number",), "", 2).next_cursor

    with django_assert_num_queries(1) as made:
        keyset(Ivr.objects.all(), ("number",), cursor, 2)

    assert "OFFSET" not in made.captured_queries[0]["sql"]


def test_a_row_deleted_at_the_border_loses_no_other(ivrs):
    first = keyset(Ivr.objects.all(), ("number",), "", 3)
    ivrs[2].delete()

    page = keyset(Ivr.objects.all(), ("number",), first.next_cursor, 3)

    assert [row.number for row in page.rows] == ["6503", "6504", "6505"]


def encoded(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "@@@",
        "é",
        "=",
        "A",
        "\0",
        encoded(""),
        encoded("not json"),
        encoded("[" * 2900),
        encoded("9" * 3000),
        encoded({"n": 1}),
        encoded([]),
        encoded(["n"]),
        encoded(["n", "2026-03-01T12:00:00+00:00"]),
        encoded(["n", "2026-03-01T12:00:00+00:00", 1, 1]),
        encoded(["x", "2026-03-01T12:00:00+00:00", 1]),
        encoded([1, "2026-03-01T12:00:00+00:00", 1]),
        encoded(["n", "yesterday", 1]),
        encoded(["n", "2026-02-30T00:00:00+00:00", 1]),
        encoded(["n", "2026-03-01T12:00:00+00:00", "x"]),
        encoded(["n", "2026-03-01T12:00:00+00:00", "1\0"]),
        encoded(["n", {"a": 1}, 1]),
        encoded(["n", [1], 1]),
        encoded(["n", 1.5, 1]),
        encoded("[NaN, 1, 1]"),
        encoded('["n", "\\ud800", 1]'),
    ],
)
def test_a_cursor_that_makes_no_sense_is_the_first_page(ivrs, cursor):
    page = keyset(Ivr.objects.all(), ("read_at", "id"), cursor, 2)

    assert [row.number for row in page.rows] == ["6500", "6501"]
    assert page.previous_cursor == ""


@pytest.mark.parametrize(
    "cursor", [encoded(["n", "0001-01-01T00:00:00+14:00", 1]), encoded(["p", "9999-12-31T23:59:59-14:00", 1])]
)
def test_a_cursor_at_the_end_of_time_is_a_page(ivrs, cursor):
    """Python has no such time in UTC and PostgreSQL has: one takes the first page for it, the other the right one."""
    assert len(keyset(Ivr.objects.all(), ("read_at", "id"), cursor, 2).rows) == 2


@pytest.mark.parametrize(
    "values",
    [["n", "6501", 10**30], ["p", "6501", -(10**30)], ["n", "6501\0", 1], ["n", "\ud800", 1], ["n", 6501, True]],
)
def test_a_forged_cursor_of_the_right_shape_fails_nowhere(ivrs, values):
    page = keyset(Ivr.objects.all(), ("number", "id"), encoded(json.dumps(values)), 2)

    assert len(page.rows) <= 2


def test_a_null_character_never_reaches_the_database(ivrs):
    page = keyset(Ivr.objects.all(), ("number", "id"), encoded(["n", "6503\0", 1]), 2)

    assert [row.number for row in page.rows] == ["6500", "6501"]


def test_a_cursor_shows_no_row_that_the_query_does_not_hold(ivrs):
    other = make_pbx(make_customer("Bellweather Clinics"), name="BELL-HQ")
    Ivr.objects.create(pbx=other, number="6500", read_at=NOON)
    cursor = keyset(Ivr.objects.all(), ("number", "id"), "", 1).next_cursor

    page = keyset(Ivr.objects.filter(pbx=other), ("number", "id"), cursor, 50)

    assert {row.pbx_id for row in page.rows} <= {other.pk}
