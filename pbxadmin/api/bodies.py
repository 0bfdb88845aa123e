"""Bodies of requests: JSON in UTF-8 that says each thing once, and nothing that another reader would take otherwise."""

import json
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.parser import Parser

from .problems import ApiProblem

JSON_TYPE = "application/json"


class JsonParser(Parser):
    """Reads bodies. The package answers 400 for an error of its own; an ApiProblem is answered as it is."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type != JSON_TYPE:
            raise ApiProblem(415, "not-json", f"Send JSON, and Content-Type: {JSON_TYPE}.")
        said = json.loads(request.body.decode(), object_pairs_hook=each_once, parse_constant=no_number)
        json.dumps(said, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        return said


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. Raises ValueError when it names a member twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member is named twice")
    return found


def no_number(name: str) -> NoReturn:
    """Raise ValueError for NaN and infinities, which JSON does not have."""
    raise ValueError(f"{name} is no number")
