"""The description of the API (OpenAPI): what each operation also takes and answers, and how they follow each other.

The package derives operations and schemas from the code. This adds what the middleware does for all of them, and
**links**: what an answer says of something is what the other operations on it take.
"""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from ninja import NinjaAPI, Schema
from ninja.openapi.schema import OpenAPISchema
from pydantic import Field

from .idempotency import IDEMPOTENCY_HEADER, LONGEST, WRITING
from .problems import PROBLEM_TYPE

REF = "#/components/schemas/{}"
OF_ANY = (401, 403, 429, 500)  # of any operation
OF_WRITING = (400, 409, 413, 415, 422, 503)
# What a schema says of something, by the parameter that takes it in the address of an operation.
KNOWN_BY: Mapping[str, Mapping[str, str]] = {
    "CustomerOut": {"customer_id": "id"},
    "PbxOut": {"pbx_id": "id", "customer_id": "customer_id"},
    "IvrOut": {"pbx_id": "pbx_id", "number": "number"},
    "ChangeOut": {"change_id": "id"},
    "BatchOut": {"batch_id": "id"},
    "OutsideOut": {"outside_id": "id", "event_id": "id"},
    "EventOut": {"event_id": "id"},
}


class ProblemOut(Schema):
    """Why it was not done. Decide by `type`; `detail` is the sentence that the page shows. More members: see docs."""

    type: str
    title: str
    status: int
    detail: str
    errors: dict[str, list[str]] = Field(default={}, description="Sentences by field, for `invalid`.")


PROBLEM = {"content": {PROBLEM_TYPE: {"schema": {"$ref": REF.format("ProblemOut")}}}}


def may_be_refused(*statuses: int) -> dict[str, Any]:
    """Describe problems of an operation beside those that any may answer."""
    return {"responses": {status: {"description": HTTPStatus(status).phrase, **PROBLEM} for status in statuses}}


def answers(content_type: str) -> dict[str, Any]:
    """Describe an answer of text."""
    return {"responses": {200: {"content": {content_type.partition(";")[0]: {"schema": {"type": "string"}}}}}}


TALKS_TO_A_PBX = may_be_refused(502, 503)
KEY_PARAMETER = {
    "name": IDEMPOTENCY_HEADER,
    "in": "header",
    "required": True,
    "description": "A text of your own, a new one for each request. The same request again is carried out once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST},
}
Operation = dict[str, Any]


class DescribedAPI(NinjaAPI):
    """The API with its whole description."""

    def get_openapi_schema(self, **asked: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**asked)
        schemas = schema["components"]["schemas"]
        operations = list(operations_of(schema))
        for path, method, operation in operations:
            add_problems(path, method, operation)
        takers = {operation["operationId"]: path_parameters(path) for path, _, operation in operations}
        for _, _, operation in operations:
            add_links(operation, takers, schemas)
        schemas["ProblemOut"] = ProblemOut.model_json_schema()
        return schema


def operations_of(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    """Yield path, method in upper case, and operation."""
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def add_problems(path: str, method: str, operation: Operation) -> None:
    """Add the header that what writes takes, and the problems that may be the answer."""
    statuses = {*OF_ANY, *(OF_WRITING if method in WRITING else ())}
    statuses |= {404} if path_parameters(path) else set()
    statuses |= {422} if operation["parameters"] else set()
    for status in sorted(statuses):
        operation["responses"].setdefault(status, {"description": HTTPStatus(status).phrase, **PROBLEM})
    if method in WRITING:
        operation["parameters"].append(KEY_PARAMETER)


def path_parameters(path: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", path))


def add_links(operation: Operation, takers: Mapping[str, set[str]], schemas: Mapping[str, Any]) -> None:
    """Lead from what an operation answers to all that take it: from a plan to apply, check, receipt and restore.

    takers: the parameters in the address of each operation, by its id.
    """
    for answer in operation["responses"].values():
        known = known_from(answer, schemas)
        links = {
            name: {"operationId": name, "parameters": {each: known[each] for each in sorted(taken)}}
            for name, taken in takers.items()
            if taken and taken <= known.keys()
        }
        if links:
            answer["links"] = links


def known_from(answer: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, str]:
    """Return where an answer, or the first row of a list, says what addresses take: expressions by parameter."""
    name, place = schema_name(answer.get("content", {}).get("application/json", {}).get("schema", {})), ""
    rows = schemas[name]["properties"].get("items") if name else None
    if rows is not None:
        name, place = schema_name(rows["items"]), "/items/0"
    return {taken: f"$response.body#{place}/{said}" for taken, said in KNOWN_BY.get(name, {}).items()}


def schema_name(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]
