"""The API itself: its operations, its errors, and the pages that describe it."""

import logging
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Router
from ninja.errors import HttpError, ValidationError
from ninja.security import HttpBearer

from ivr.changes.apply import NotRecorded
from ivr.changes.opening import status_of
from pbxadmin import __version__
from pbxadmin.access.models import User
from pbxadmin.fleet.concurrency import TooManyWaiting
from pbxadmin.fleet.decorators import RETRY_AFTER_S
from pbxadmin.web.refusals import Outdated
from pbxadmin.yeastar.errors import PbxError

from .bodies import JsonParser
from .description import DescribedAPI
from .docs import SwaggerPage
from .idempotency import once
from .problems import ApiProblem, problem_invalid, problem_not_allowed, problem_not_there, problem_response
from .routes import batches, changes, customers, events, ivrs, outside, pbxs

log = logging.getLogger(__name__)


class KeyOfRequest(HttpBearer):
    """The key that the middleware has found. Here it only tells OpenAPI how a caller identifies itself."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        return getattr(request.api_key, "holder", None) if hasattr(request, "api_key") else None


def summarised(router: Router) -> None:
    """Name each operation by the first sentence of its docstring: the package would make a name of the function's."""
    for view in router.path_operations.values():
        for operation in view.operations:
            operation.summary = operation.description.partition(". ")[0].rstrip(".")


api = DescribedAPI(
    title="PBX Admin",
    version=__version__,
    description="Everything by the same path, with the same checks and the same proof as the pages. "
    "[How to use it](/help/api/). [Back to PBX Admin](/)",
    urls_namespace="api",
    auth=KeyOfRequest(),
    parser=JsonParser(),
    docs=SwaggerPage(),
    docs_decorator=login_required,
)
api.add_decorator(once, mode="view")
for prefix, router in (
    ("/customers", customers.router),
    ("/pbxs", pbxs.router),
    ("", ivrs.router),
    ("", changes.router),
    ("", batches.router),
    ("", outside.router),
    ("", events.router),
):
    summarised(router)
    api.add_router(prefix, router)


@api.exception_handler(ApiProblem)
def on_problem(request: HttpRequest, error: ApiProblem) -> HttpResponse:
    return error.response


@api.exception_handler(Http404)
def on_not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem_not_there().response


@api.exception_handler(PermissionDenied)
def on_denied(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem_not_allowed().response


@api.exception_handler(ValidationError)
def on_body(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Answer 422 by field for a body or a parameter that has not the form of its schema."""
    fields: dict[str, list[str]] = {}
    for each in error.errors:
        place = [str(part) for part in each["loc"] if part not in ("body", "path", "query")]
        sentence = str(each["msg"]) if place else "Send a body, {} at least."
        fields.setdefault(".".join(place), []).append(sentence)
    return problem_invalid(fields).response


@api.exception_handler(DjangoValidationError)
def on_refused(request: HttpRequest, error: DjangoValidationError) -> HttpResponse:
    return problem_invalid(error.message_dict if hasattr(error, "error_dict") else {"": error.messages}).response


@api.exception_handler(Outdated)
def on_outdated(request: HttpRequest, error: Outdated) -> HttpResponse:
    return problem_response(409, error.kind, str(error))


@api.exception_handler(NotRecorded)
def on_not_recorded(request: HttpRequest, error: NotRecorded) -> HttpResponse:
    return problem_response(503, "log-away", str(error))


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer what the package itself refuses: a body that cannot be read."""
    if isinstance(error.__cause__, ApiProblem):
        return error.__cause__.response
    return problem_response(error.status_code, "not-understood", "The body is no JSON that names each member once.")


@api.exception_handler(TooManyWaiting)
def on_busy(request: HttpRequest, error: TooManyWaiting) -> HttpResponse:
    return problem_response(503, "busy", str(error), headers={"Retry-After": str(RETRY_AFTER_S)})


@api.exception_handler(PbxError)
def on_pbx(request: HttpRequest, error: PbxError) -> HttpResponse:
    """Answer what a PBX did not do, with its code when it gave one. Nothing was sent."""
    code = getattr(error, "code", None)
    more: dict[str, Any] = {"code": code} if code else {}
    return problem_response(status_of(error), "pbx", str(error), **more)


@api.exception_handler(Exception)
def on_fault(request: HttpRequest, error: Exception) -> HttpResponse:
    log.exception("the API failed")
    return problem_response(500, "our-fault", "Something went wrong on our side. Look at Changes before you try again.")
