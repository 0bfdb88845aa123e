"""Markup as a browser reads it: the line breaks and the indentation that lay out a template are not part of a page."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.test import Client

AS_WRITTEN = re.compile(r"(<(pre|textarea|script|style)\b.*?</\2>)", re.DOTALL)
BREAK = r"\s*\n\s*"


def as_read(markup: str) -> str:
    """Return markup without its line breaks: nothing at the edge of an element, one space within a sentence.

    What is shown as written starts a line and stays as it is.
    """
    parts = AS_WRITTEN.split(markup)
    return "".join(f"\n{part}" if at % 3 == 1 else unbroken(part) for at, part in enumerate(parts) if at % 3 != 2)


def unbroken(markup: str) -> str:
    markup = re.sub(rf"(</(?:b|bdi|time)>){BREAK}(?=<[a-z])", r"\1 ", markup)  # within a sentence
    markup = re.sub(rf"(?<=>){BREAK}(?=<)", "", markup)
    markup = re.sub(rf"(<[a-zA-Z][^<>]*>){BREAK}", r"\1", markup)
    markup = re.sub(rf"{BREAK}(?=</)", "", markup)
    return re.sub(BREAK, " ", markup)


def reading(request: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Wrap the request method of the test client: its pages come as a browser reads them."""

    @wraps(request)
    def read(client: Client, **environ: Any) -> HttpResponseBase:
        answer = request(client, **environ)
        if isinstance(answer, HttpResponse) and answer.headers.get("Content-Type", "").startswith("text/html"):
            answer.content = as_read(answer.content.decode()).encode()
        return answer

    return read
