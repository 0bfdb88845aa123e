"""What somebody sends who means harm, or whose program is broken: refused with a type, nothing sent or written."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction
from django.test import Client

from pbxadmin.api.api import api
from pbxadmin.api.problems import PROBLEM_TYPE, TYPE_BASE
from tests.factories import make_user
from tests.matrix.test_forms import rows
from tests.matrix.world import OF_US, Side, make_side

from .conftest import Script
from .test_matrix import ROWS

pytestmark = pytest.mark.django_db
SCHEMA = api.get_openapi_schema()
OPERATIONS = {operation["operationId"]: operation for path in SCHEMA["paths"].values() for operation in path.values()}
SCHEMAS = SCHEMA["components"]["schemas"]
LISTS = [name for name, (method, path, *_) in ROWS.items() if method == "get" and "{" not in path]
NO_JSON = {
    "nothing": b"",
    "half": b'{"values": {',
    "no text": b"\xff\xfe\xfd",
    "another encoding": '{"values": {}}'.encode("utf-16"),
    "a mark of the order of bytes": b"\xef\xbb\xbf{}",
    "null": b"null",
    "a list": b"[]",
    "text": b'"values"',
    "a number": b"1",
    "a long number": b'{"values": ' + b"9" * 5000 + b"}",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"values":' * 100_000,
    "deep and whole": b'{"values":' * 500 + b"1" + b"}" * 500,
    "no number": b'{"values": NaN}',
    "infinity": b'{"values": -Infinity}',
    "a member twice": b'{"values": {}, "values": {"response_timeout": 9}}',
    "a name that is no text": b'{"\\ud800": 1}',
    "a name with a NUL": b'{"values\\u0000": {}}',
    "a long name": json.dumps({"x" * 100_000: 1}).encode(),
    "too much": b" " * 3_000_000 + b"{}",
}
NOT_JSON = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "é",
)
VALUES: list[Any] = [10**400, 2**63, -1, [], {"a": {"a": {}}}, "", "\0", "\ud800", "x" * 100_000, "١٢"]
QUERIES = (
    *("\0", "\ud800", "x" * 20_000, "١٢", "-1", "9" * 5000, "1e3", "[]", "%", "'", "2026-13-45", "2026-02-30T00:00"),
    *(
        "WyJuIiwgMV0",
        "WyJuIiwgIlx1ZDgwMCIsIDFd",
        "WyJuIiwgbnVsbCwgbnVsbF0",
        "WyJwIiwgMTAwMDAwMDAwMDAwMDAwMDAwMDAwMF0",
        "====",
    ),
)
HEADERS = (
    ("Authorization", "Bearer " + "x" * 60_000),
    ("Authorization", "Bearer pbxa_\0"),
    ("Authorization", "Bearer pbxa_é"),
    ("Authorization", "Bearer"),
    ("If-None-Match", '"' * 20_000),
    ("If-Modified-Since", "Thu, 32 Foo 99999"),
    ("Accept", "text/html"),
    ("Accept-Language", "x" * 20_000),
    ("Accept-Encoding", "gzip;q=x"),
    ("Origin", "https://evil.example"),
    ("Origin", "null"),
    ("HX-Request", "true"),
    ("X-Forwarded-For", "\0, 999.1.1.1, ::1%x"),
    ("Range", "bytes=-9999999"),
    ("X-HTTP-Method-Override", "DELETE"),
)
IDS = ("0", "-1", "9" * 30, "x", "%00", "%FF", "%2e%2e", "1%0d%0aX", "'", "1" * 5000)


class Site:
    """One customer, and a script of somebody who may do everything."""

    def __init__(self, pbx_http: Any) -> None:
        self.side: Side = make_side(OF_US)
        self.script, self.pbx_http = Script(make_user(is_superuser=True)), pbx_http
        self.wrong: list[str] = []

    def send(self, method: str, path: str, body: bytes, content_type: str = "application/json", **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self.script.text}", "Idempotency-Key": uuid.uuid4().hex} | headers
        client = Client(raise_request_exception=False)
        return client.generic(method.upper(), f"/api/v1{path}", body, content_type, headers=sent)

    def hold(self, what: str, answer: Any, *, refused: bool = True) -> None:
        """Note an answer that should not have been."""
        if answer.streaming:
            b"".join(answer.streaming_content)
        elif answer.status_code >= 400:
            said = answer.json() if answer.headers["Content-Type"] == PROBLEM_TYPE else {"type": "a page"}
            if answer.status_code >= 500 or not said["type"].startswith(TYPE_BASE):
                self.wrong.append(f"{what}: {answer.status_code} {said['type']}")
        elif refused:
            self.wrong.append(f"{what}: {answer.status_code}")

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        before = made_rows()
        yield
        assert self.wrong == []
        assert made_rows() == before
        assert "ivr/update" not in self.pbx_http.calls()


def made_rows() -> dict[str, list[Any]]:
    """Return all rows but those by which requests are counted."""
    return {label: found for label, found in rows().items() if label not in ("api.ApiKey", "api.KeptAnswer")}


@pytest.fixture
def site(pbx_http):
    return Site(pbx_http)


def writing(side: Side) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield name, method, path and a good body of each operation that needs one."""
    for name, (method, path, _, body) in ROWS.items():
        if body is not None:
            yield name, method, side.path(path), body(side)


def test_what_is_no_body_is_refused(site):
    with site.unchanged():
        for name, method, path, _ in writing(site.side):
            for what, body in NO_JSON.items():
                answer = site.send(method, path, body)
                site.hold(f"{name}, {what}", answer)
                assert answer.status_code in OPERATIONS[name]["responses"]
            for content_type in NOT_JSON:
                site.hold(f"{name}, {content_type}", site.send(method, path, b"{}", content_type))


def test_no_value_makes_a_fault(site):
    for name, method, path, good in writing(site.side):
        with site.unchanged():
            for field in (*fields_of(name), "unknown"):
                for value in VALUES:
                    before = transaction.savepoint()
                    answer = site.send(method, path, json.dumps(good | {field: value}).encode())
                    site.hold(f"{name}, {field} {str(value)[:20]!r}", answer, refused=field == "unknown")
                    transaction.savepoint_rollback(before)


def fields_of(name: str) -> list[str]:
    """Return the names in the body of an operation; those of the values of an IVR are in an object of it."""
    reference = OPERATIONS[name]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    return list(SCHEMAS[reference.rpartition("/")[2]]["properties"])


def test_no_value_of_an_ivr_makes_a_fault(site):
    path = site.side.path(ROWS["change_plan"][1])
    with site.unchanged():
        for field in SCHEMAS["IvrWanted"]["properties"]:
            for value in VALUES:
                before = transaction.savepoint()
                answer = site.send("post", path, json.dumps({"values": {field: value}}).encode())
                site.hold(f"{field} {str(value)[:20]!r}", answer, refused=False)
                transaction.savepoint_rollback(before)


def test_no_filter_and_no_cursor_makes_a_fault(site):
    with site.unchanged():
        for name in LISTS:
            named = [parameter["name"] for parameter in OPERATIONS[name]["parameters"]]
            for text in QUERIES:
                for asked in ({"cursor": text}, {"limit": text}, dict.fromkeys(set(named) - {"limit"}, text)):
                    address = f"{ROWS[name][1]}?{urlencode(asked, errors='surrogatepass')}"
                    site.hold(f"{name}, {address[:60]}", site.send("get", address, b""), refused=False)


def test_no_id_makes_a_fault(site):
    with site.unchanged():
        for name, (method, pattern, _, body) in ROWS.items():
            for text in IDS if "{" in pattern else ():
                address = re.sub(r"{\w+}", text, pattern)
                answer = site.send(method, address, json.dumps(body(site.side) if body else {}).encode())
                site.hold(f"{name}, {text[:20]}", answer)


def test_what_is_no_idempotency_key_is_refused(site):
    with site.unchanged():
        for key in ("", " ", "x" * 256, "\x01", "a\tb", "\x7f", "x" * 60_000):
            answer = site.send("post", "/batches", b"{}", **{"Idempotency-Key": key})
            site.hold(f"{key!r:.20}", answer)
            assert answer.json()["type"] == "/api/v1/problems/idempotency-key-missing"


def test_no_header_makes_a_fault(site):
    with site.unchanged():
        for name, text in HEADERS:
            site.hold(f"{name} {text:.20}", site.send("get", "/customers", b"", **{name: text}), refused=False)
            site.hold(f"{name} {text:.20}, written", site.send("post", "/batches", b"{}", **{name: text}))
