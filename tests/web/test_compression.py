"""Pages are compressed where a browser takes that, padded against BREACH, and still streamed."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from django.test import Client, override_settings
from django.urls import include, path

from pbxadmin.web.csv import csv_response
from tests.factories import make_pbx, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]
GZIP = {"Accept-Encoding": "gzip, deflate, br"}
ROWS = 20_000
made: list[int] = []


def rows() -> Iterator[list[str]]:
    for number in range(ROWS):
        made.append(number)
        yield [str(number), f"a menu of site {number * 7919 % 10_007}"]


def long_file(request: HttpRequest) -> StreamingHttpResponse:
    return csv_response("long.csv", ["Number", "Name"], rows())


urlpatterns = [path("long/", long_file), path("", include("pbxadmin.urls"))]
handler404 = "pbxadmin.web.views.not_found"


@pytest.fixture
def pages_as_read() -> None:
    """These tests are about bytes."""


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(make_user(is_superuser=True))
    return client


@pytest.mark.parametrize("url", ["/ivrs/", "/audit/", "/nowhere/"])
def test_a_page_is_compressed_for_a_browser_that_takes_it(admin: Client, url: str) -> None:
    plain, packed = admin.get(url), admin.get(url, headers=GZIP)

    assert "Content-Encoding" not in plain.headers
    assert packed["Content-Encoding"] == "gzip"
    assert {"Accept-Encoding", "Cookie"} <= {name.strip() for name in packed["Vary"].split(",")}
    assert "no-store" in packed["Cache-Control"]
    assert len(gzip.decompress(packed.content)) == len(plain.content)
    assert len(packed.content) * 2 < len(plain.content)


def test_the_size_of_the_same_page_varies_so_that_it_does_not_tell_what_is_in_it(client: Client) -> None:
    """BREACH compares sizes of a page that holds a secret beside what the attacker sent."""
    answers = [client.get("/nowhere/?q=secret", headers=GZIP) for _ in range(20)]

    assert len({gzip.decompress(answer.content) for answer in answers}) == 1
    assert len({len(answer.content) for answer in answers}) > 5


def test_the_secret_of_a_form_is_never_the_same_text_twice(client: Client) -> None:
    tokens = [client.get("/accounts/login/").context["csrf_token"] for _ in range(2)]

    assert str(tokens[0]) != str(tokens[1])


def test_a_file_is_sent_while_its_rows_are_made(client: Client) -> None:
    made.clear()
    answer: Any = client.get("/long/", headers=GZIP)
    parts, unpack = iter(answer.streaming_content), zlib.decompressobj(zlib.MAX_WBITS | 16)

    text = b""
    while not text:
        text = unpack.decompress(next(parts))

    assert answer["Content-Encoding"] == "gzip"
    assert len(made) < ROWS / 2
    text += b"".join(unpack.decompress(part) for part in parts)
    assert text.count(b"\r\n") == ROWS + 1


def test_what_is_compressed_already_goes_as_it_is(admin: Client) -> None:
    make_pbx()  # an event
    answer: Any = admin.post("/audit/evidence/", headers=GZIP)

    assert answer["Content-Type"] == "application/zip"
    assert "Content-Encoding" not in answer.headers
    assert zipfile.is_zipfile(io.BytesIO(answer.getvalue()))


def test_a_static_file_is_compressed_once(tmp_path: Path) -> None:
    (tmp_path / "app.0123456789ab.css").write_text("body {}" * 100)
    (tmp_path / "app.0123456789ab.css.gz").write_bytes(gzip.compress(b"body {}" * 100))

    with override_settings(STATIC_ROOT=str(tmp_path), MIDDLEWARE=settings.MIDDLEWARE):
        answer: Any = Client().get("/static/app.0123456789ab.css", headers={"Accept-Encoding": "gzip"})

    assert answer["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.getvalue()) == b"body {}" * 100
    answer.close()
