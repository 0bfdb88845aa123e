"""Re-authentication: whoever has not signed in lately confirms their password, code or key before something dangerous.

Nothing that was sent meanwhile is sent again by itself: the person is led back to their page and told. So that this is
rare, a page opens only while at least half of settings.FRESH_SIGN_IN_MINUTES is left for what is done on it.

The demand is here, below all pages that make it. The pages that ask for the password are views/reauthentication.py of
`accounts`, whose signals note each success.
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

AUTHENTICATED_AT = "proven_at"  # in the session: seconds since 1970
NOT_DONE = "Nothing was done: it had been a while since you signed in. You just did, so please send it again."
View = Callable[..., HttpResponseBase]


def requires_reauthentication(view: View) -> View:
    """Demand a recent sign-in, or a recent confirmation of it. Stands below @login_required."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs) if is_recently_authenticated(request) else to_reauthentication(request)

    return guarded


def is_recently_authenticated(request: HttpRequest) -> bool:
    """Return whether enough of the time is left: half of it to open a page, any of it to send one."""
    age: float = time.time() - request.session.get(AUTHENTICATED_AT, 0)
    limit = settings.FRESH_SIGN_IN_MINUTES * 60
    return age < (limit / 2 if request.method in ("GET", "HEAD") else limit)


def note_authentication(request: HttpRequest) -> None:
    """Store the time of a sign-in, or of its confirmation, in the session."""
    request.session[AUTHENTICATED_AT] = time.time()


def to_reauthentication(request: HttpRequest) -> HttpResponse:
    """Redirect to the page that asks for the password, which leads back to the page that the person is on."""
    is_htmx, is_post = request.headers.get("HX-Request") == "true", request.method == "POST"
    if is_post:
        messages.warning(request, NOT_DONE)
    if is_htmx or is_post:
        back = page_of(request, "HX-Current-URL" if is_htmx else "Referer")
    else:
        back = request.get_full_path()
    return lead_away(request, f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}")
