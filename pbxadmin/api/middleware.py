"""Who calls the API: the holder of the key, before anything of the request is decided.

Stands above the audit context, so that every event of the request names the holder and the key. A browser's session
counts for nothing here but the pages that describe the API: no form of another site can write.
"""

import time

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.http import HttpRequest, HttpResponseBase
from django.middleware.http import ConditionalGetMiddleware
from django.utils import timezone

from pbxadmin.accounts.middleware import client_address
from pbxadmin.audit.context import Actor, AuditContext, acting
from pbxadmin.fleet.concurrency import serving_page
from pbxadmin.web.middleware import GetResponse

from .idempotency import WRITING
from .key_text import is_key_text, key_digest
from .models import ApiKey
from .problems import ApiProblem, in_our_form
from .scopes import SCOPE_ACTIONS
from .services import key_refusal_record

API_PATH = "/api/v1/"
DESCRIBED_AT = ("/api/v1/docs", "/api/v1/openapi.json")
NOTED_EVERY_S = 60  # the last use of a key is noted this often at most


def api_caller(get_response: GetResponse) -> GetResponse:
    """Let the holder of the API key act, within the scope of the key; answer 401 or 429 in its place."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(API_PATH):
            return get_response(request)
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if not text and request.path.startswith(DESCRIBED_AT):
            return get_response(request)
        request.user = AnonymousUser()
        try:
            key = key_sent(scheme, text.strip(), client_address(request))
            count_request(key)
        except ApiProblem as problem:
            return problem.response
        holder = key.holder
        holder.limit = SCOPE_ACTIONS[key.scope]
        request.user, request.api_key = holder, key  # type: ignore[attr-defined]
        request.api_key_name = key.name  # type: ignore[attr-defined]  # for the audit context
        with serving_page():  # a request that talks to a PBX takes its place among the pages that do
            return in_our_form(answer_with_tag(request, get_response))

    return middleware


def answer_with_tag(request: HttpRequest, get_response: GetResponse) -> HttpResponseBase:
    """Answer what reads with an ETag."""
    answer = get_response(request)
    if request.method in WRITING:
        return answer
    answer.headers.setdefault("Cache-Control", "private, no-cache")
    return ConditionalGetMiddleware(get_response).process_response(request, answer)


def key_sent(scheme: str, text: str, address: str) -> ApiKey:
    """Return the key that a request carries. Raises ApiProblem (401) without one that is taken."""
    if scheme.lower() != "bearer" or not is_key_text(text):
        raise unauthorized("Send an API key of this installation: Authorization: Bearer pbxa_…")
    key = ApiKey.objects.select_related("holder").filter(digest=key_digest(text)).first()
    if key is None:
        raise unauthorized("Nobody here has this key.")
    if why := key.why_refused(address):
        with acting(AuditContext(Actor(key.holder_id, key.holder.display_name), address, api_key=key.name)):
            key_refusal_record(key, why)
        raise unauthorized(why)
    if key.used_at is None or (timezone.now() - key.used_at).total_seconds() > NOTED_EVERY_S:
        ApiKey.objects.filter(pk=key.pk).update(used_at=timezone.now(), used_from=address)
    return key


def unauthorized(why: str) -> ApiProblem:
    return ApiProblem(401, "unauthorized", why, headers={"WWW-Authenticate": "Bearer"})


def count_request(key: ApiKey) -> None:
    """Count a request against the rate of its key, in one statement for all processes. Raises ApiProblem (429).

    Each request uses up 1/rate seconds; a key may be ahead of the clock by as much as a burst takes.
    """
    each, now = 1 / settings.API_RATE, time.time()
    ahead = now + (settings.API_BURST - 1) * each
    used = Greatest(F("used_until"), Value(now)) + Value(each)
    if not ApiKey.objects.filter(pk=key.pk, used_until__lte=ahead).update(used_until=used):
        wait = {"Retry-After": "1"}
        raise ApiProblem(429, "too-many-requests", "This key asks too often. Wait a second.", headers=wait)
