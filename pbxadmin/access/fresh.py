"""Fresh sign-in: who did not prove lately who they are does so again before something dangerous.

Signing in is such a proof, and so is a password, code or key given again. Nothing that was sent is sent by itself after
it: the person is led back to their page and told. So that this is rare, a page is shown only while at least half of
settings.FRESH_SIGN_IN_MINUTES is left for what is done on it.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

from pbxadmin.web.htmx import lead_away, page_of

PROVEN_AT = "proven_at"  # in the session: seconds since 1970
NOT_DONE = "Nothing was done: it had been a while since you signed in. You just did, so please send it again."
View = Callable[..., HttpResponseBase]


def fresh_sign_in(view: View) -> View:
    """Demand a fresh sign-in for a view; stands below @login_required."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs) if is_fresh(request) else ask_again(request)

    return guarded


def is_fresh(request: HttpRequest) -> bool:
    age: float = time.time() - request.session.get(PROVEN_AT, 0)
    limit = settings.FRESH_SIGN_IN_MINUTES * 60
    return age < (limit / 2 if request.method in ("GET", "HEAD") else limit)


def note_proof(request: HttpRequest) -> None:
    request.session[PROVEN_AT] = time.time()


def ask_again(request: HttpRequest) -> HttpResponse:
    """To the page that asks who they are, and from there back to the page they are on."""
    is_htmx, is_post = request.headers.get("HX-Request") == "true", request.method == "POST"
    if is_post:
        messages.warning(request, NOT_DONE)
    if is_htmx or is_post:
        back = page_of(request, "HX-Current-URL" if is_htmx else "Referer")
    else:
        back = request.get_full_path()
    return lead_away(request, f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}")
