"""A request that writes is carried out once: the same again, within 24 hours, gets the answer of the first.

It is known by its Idempotency-Key, and bound to API key, the roles of its holder, method, address and body. The row is
claimed before anything is done, so that of two at one time one waits its turn. An answer that says nothing was decided
is not kept.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.crypto import salted_hmac

from pbxadmin.access.models import grants_of
from pbxadmin.audit.actions import EventAction
from pbxadmin.audit.log import record
from pbxadmin.web.middleware import GetResponse

from .models import ANSWER_DUE, ANSWERS_KEPT, ApiKey, KeptAnswer
from .problems import ApiProblem, problem_not_allowed
from .scopes import Scope

IDEMPOTENCY_HEADER = "Idempotency-Key"
WRITING = ("POST", "PUT", "PATCH", "DELETE")
KEPT_HEADERS = ("Content-Type", "Location")
ASK_AGAIN_S = 2
LONGEST = 255
LARGEST_BODY = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0
Operate = Callable[..., HttpResponseBase]
NOT_DECIDED = (401, 429)  # and what is 500 or above: nothing was done, or nobody knows


def once(run: Operate) -> Operate:
    """Decorate an operation: what writes is carried out once."""

    def run_once(request: HttpRequest, **path: Any) -> HttpResponseBase:
        if request.method not in WRITING:
            return run(request, **path)
        try:
            require_to_write(calling_key(request))
            return answered_once(request, calling_key(request), lambda request: run(request, **path))
        except ApiProblem as problem:
            return problem.response

    return run_once


def require_to_write(key: ApiKey) -> None:
    """Raise ApiProblem (403) for a key that only reads, and record the attempt: a right to see may be one to decide."""
    if key.scope == Scope.READ:
        record(EventAction.ACCESS_DENIED, detail={"action": "write", "scope": key.scope})
        raise problem_not_allowed()


def calling_key(request: HttpRequest) -> ApiKey:
    """Return the key that the middleware has found."""
    key: ApiKey = request.api_key  # type: ignore[attr-defined]
    return key


def answered_once(request: HttpRequest, key: ApiKey, get_response: GetResponse) -> HttpResponseBase:
    """Answer a request that writes; the same again is answered as before. Raises ApiProblem."""
    name = request.headers.get(IDEMPOTENCY_HEADER, "").strip()
    if not name or len(name) > LONGEST or not name.isprintable():
        raise ApiProblem(
            400,
            "idempotency-key-missing",
            f"Send {IDEMPOTENCY_HEADER} with what writes: a text of up to {LONGEST} characters, a new one for each.",
        )
    digest = request_digest(request, key)
    kept = claimed(key, name, digest)
    if kept is None:
        return earlier_answer(key, name, digest)
    try:
        answer = get_response(request)
    except BaseException:
        kept.delete()
        raise
    keep(kept, answer)
    return answer


def request_digest(request: HttpRequest, key: ApiKey) -> str:
    """Return a digest of method, address, body, and the roles of who asks. Raises ApiProblem (413) for a large body.

    Of the roles, because an answer that was kept may say what its holder may not see any more. It takes SECRET_KEY,
    because a body may hold a password: nobody who has the database alone can guess by it.
    """
    try:
        roles = sorted(map(str, grants_of(key.holder)))
        said = f"{request.method} {request.get_full_path()} {key.holder.is_superuser} {roles}\n".encode() + request.body
    except RequestDataTooBig:
        raise ApiProblem(413, "too-large", f"A body has at most {LARGEST_BODY:,} bytes.") from None
    return salted_hmac("api.idempotency", said, algorithm="sha256").hexdigest()


def claimed(key: ApiKey, name: str, digest: str) -> KeptAnswer | None:
    """Return a row that is ours to answer; None when there is an answer, or somebody is at it."""
    now = timezone.now()
    old = KeptAnswer.objects.filter(api_key=key, idempotency_key=name, asked_at__lt=now - ANSWERS_KEPT)
    old.delete()
    try:
        with transaction.atomic():
            return KeptAnswer.objects.create(api_key=key, idempotency_key=name, digest=digest, asked_at=now)
    except IntegrityError:
        left = KeptAnswer.objects.filter(api_key=key, idempotency_key=name, digest=digest, status=None).first()
        cut_off = KeptAnswer.objects.filter(pk=left.pk if left else 0, status=None, asked_at__lt=now - ANSWER_DUE)
        return left if cut_off.update(asked_at=now) else None


def earlier_answer(key: ApiKey, name: str, digest: str) -> HttpResponse:
    """Return what the first request with this Idempotency-Key was answered. Raises ApiProblem when it cannot be."""
    kept = KeptAnswer.objects.filter(api_key=key, idempotency_key=name).first()
    if kept is not None and kept.digest != digest:
        raise ApiProblem(
            422,
            "idempotency-key-reused",
            f"Another request came with this {IDEMPOTENCY_HEADER}, or with other roles. Nothing was done for this one.",
        )
    if kept is None or kept.status is None:
        wait = {"Retry-After": str(ASK_AGAIN_S)}
        raise ApiProblem(409, "in-progress", "The same request is being carried out. Ask again.", headers=wait)
    return HttpResponse(kept.body, status=kept.status, headers={**kept.headers, "Idempotent-Replayed": "true"})


def keep(kept: KeptAnswer, answer: HttpResponseBase) -> None:
    """Store an answer, or give the row back when nothing was decided."""
    if answer.status_code >= 500 or answer.status_code in NOT_DECIDED or not isinstance(answer, HttpResponse):
        kept.delete()
        return
    kept.status, kept.body = answer.status_code, answer.content.decode()
    kept.headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    kept.save(update_fields=["status", "body", "headers"])


def answers_forget() -> int:
    """Delete the answers that are kept no longer. Returns how many."""
    return KeptAnswer.objects.filter(asked_at__lt=timezone.now() - ANSWERS_KEPT - timedelta(minutes=5)).delete()[0]
