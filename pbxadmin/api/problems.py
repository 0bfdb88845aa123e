"""Errors of the API: problem+json (RFC 9457) with the words of the screen.

`type` is stable and what a script decides by: an address of this installation that docs/api.md explains. Further
members are named there too: `errors` by field, `code` of the PBX, `conflicts`.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase

TYPE_BASE = "/api/v1/problems/"
PROBLEM_TYPE = "application/problem+json"


class ApiProblem(Exception):
    """Raised to answer with a problem. kind: the last part of its type. detail: a sentence for a person."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.headers, self.members = dict(headers or {}), members

    @property
    def response(self) -> HttpResponse:
        return problem_response(self.status, self.kind, self.detail, headers=self.headers, **self.members)


def problem_response(
    status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> HttpResponse:
    said = {
        "type": f"{TYPE_BASE}{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **members,
    }
    return HttpResponse(json.dumps(said, ensure_ascii=False), status=status, content_type=PROBLEM_TYPE, headers=headers)


def problem_not_there() -> ApiProblem:
    return ApiProblem(404, "not-found", "It does not exist, or it is not yours to see.")


def problem_not_allowed() -> ApiProblem:
    return ApiProblem(403, "not-allowed", "The role or the scope of this key does not allow this.")


def in_our_form(answer: HttpResponseBase) -> HttpResponseBase:
    """Return a problem in place of a page by which the framework refuses something, before any operation of ours."""
    if answer.status_code < 400 or answer.headers.get("Content-Type") == PROBLEM_TYPE:
        return answer
    if answer.status_code == 404:
        return problem_not_there().response
    if answer.status_code == 405:
        allowed = ", ".join(sorted(answer.headers["Allow"].split(", ")))
        return problem_response(405, "method-not-allowed", f"This takes {allowed}.", headers={"Allow": allowed})
    if answer.status_code == 403:
        return problem_response(403, "not-allowed", "A page of another site asks. A script sends no Origin.")
    return problem_response(answer.status_code, "not-understood", "It is in no form that is taken here.")


def problem_invalid(errors: Mapping[str, Any]) -> ApiProblem:
    """errors: lists of sentences by field, "" for what is about no single field."""
    fields = {name if name != "__all__" else "": [str(each) for each in said] for name, said in errors.items()}
    first = next((said[0] for said in fields.values() if said), "")
    return ApiProblem(422, "invalid", f"Nothing was sent. {first}".strip(), errors=fields)
