"""What strangers can write into the log of the service."""

import io
import json
import logging
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.utils.module_loading import import_string


@pytest.fixture
def written():
    """What a handler such as the service's own writes; the level is the one of its root."""
    given: Any = settings.LOGGING
    root, stream = logging.getLogger(), io.StringIO()
    handler, before = logging.StreamHandler(stream), root.level
    form = {name: value for name, value in given["formatters"]["json"].items() if name != "()"}
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(**form))
    for name in given["handlers"]["stderr"]["filters"]:
        handler.addFilter(import_string(given["filters"][name]["()"])())
    root.addHandler(handler)

    def at(level):
        root.setLevel(level)
        return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]

    yield at
    root.removeHandler(handler)
    root.setLevel(before)


def test_a_foreign_host_leaves_no_line_where_only_warnings_are_written(client, written):
    lines = written("WARNING")

    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400

    assert lines() == []


def test_a_foreign_host_is_one_line_without_a_traceback(client, written):
    lines = written("INFO")

    client.get("/", headers={"Host": "evil.example"})

    said = [line for line in lines() if "evil.example" in line["event"]]
    assert [(line["level"], "exception" in line) for line in said] == [("info", False)]


def test_a_fault_of_ours_keeps_its_traceback(written):
    lines = written("WARNING")

    try:
        raise ValueError("ours")
    except ValueError:
        logging.getLogger("django.request").exception("Internal Server Error")

    assert "ValueError: ours" in lines()[0]["exception"]
