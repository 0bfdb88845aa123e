"""Middleware: the proxies believed, and of a request its audit context, time zone, session and second factor."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from pbxadmin.access.models import User
from pbxadmin.audit.context import Actor, AuditContext, acting
from pbxadmin.web.htmx import lead_away
from pbxadmin.web.middleware import GetResponse
from pbxadmin.web.times import zone_named

from .second_factor import lacks_second_factor

NOBODY = Actor(None, "not signed in")
ASKS_BY_ITSELF = "X-Poll"  # a header that templates add to what they ask for in an interval


def proxies_believed(get_response: GetResponse) -> GetResponse:
    """Take away X-Forwarded-Proto, which makes a request count as https, unless a trusted proxy sent it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        nearest = parsed_address(request.META.get("REMOTE_ADDR", ""))
        if nearest is None or not is_proxy(nearest):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        return get_response(request)

    return middleware


def audit_context(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        user = request.user
        actor = Actor(user.pk, user.display_name) if user.is_authenticated else NOBODY
        request_id = structlog.contextvars.get_contextvars().get("request_id", "")
        with acting(AuditContext(actor, client_address(request), request_id, api_key_name(request))):
            return get_response(request)

    return middleware


def own_time_zone(get_response: GetResponse) -> GetResponse:
    """Show times in the zone of the person; UTC to those who chose none, and to who is not signed in."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        with timezone.override(zone_named(getattr(request.user, "time_zone", ""))):
            return get_response(request)

    return middleware


def session_in_use(get_response: GetResponse) -> GetResponse:
    """Postpone the idle end of a session that somebody uses. A page that asks by itself is nobody who does."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        asks_by_itself = request.method == "GET" and ASKS_BY_ITSELF in request.headers
        if request.user.is_authenticated and not asks_by_itself and not api_key_name(request):
            request.session.touch()  # type: ignore[attr-defined]
        return get_response(request)

    return middleware


def second_factor_first(get_response: GetResponse) -> GetResponse:
    """Redirect a user whose role needs a second factor to their account until they have one."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        user = request.user
        is_exempt = request.path.startswith("/accounts/") or api_key_name(request)
        if not isinstance(user, User) or is_exempt or not lacks_second_factor(user):
            return get_response(request)
        return lead_away(request, reverse("account_security"))

    return middleware


def api_key_name(request: HttpRequest) -> str:
    """Return the name of the API key with which a request came, "" for a browser. `pbxadmin.api.middleware` sets it."""
    name: str = getattr(request, "api_key_name", "")
    return name


def client_address(request: HttpRequest) -> str:
    """Return the address of the client: the nearest address on the way that is not a trusted proxy.

    Reads X-Forwarded-For from the right, and only the part that settings.TRUSTED_PROXIES wrote: anybody can send one.
    """
    nearest = parsed_address(request.META.get("REMOTE_ADDR", ""))
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    while forwarded and nearest is not None and is_proxy(nearest):
        farther = parsed_address(forwarded.pop())
        if farther is None:
            break
        nearest = farther
    return str(nearest or "")


def parsed_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_proxy(address: IPv4Address | IPv6Address) -> bool:
    return any(address in ip_network(network) for network in settings.TRUSTED_PROXIES)
