"""Behaviour of django-allauth that has no setting of its own."""

from ipaddress import IPv6Address, ip_network
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from django.http import HttpRequest

from pbxadmin.access.names import fold
from pbxadmin.access.reauthentication import is_recently_authenticated
from pbxadmin.web.htmx import is_own_path

from .middleware import client_address, parsed_address


class AccountAdapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": "User name and password do not match.",
        "too_many_login_attempts": "Too many wrong passwords came from your address. Try again in a few minutes.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Refuse sign-up: people are invited."""
        return False

    def is_reauthentication_required(self, **_: Any) -> bool:
        """Return whether to re-authenticate. A sign-in counts as well, which allauth alone would not count."""
        return not is_recently_authenticated(context.request)

    def is_safe_url(self, url: str | None) -> bool:
        """Return whether sign-in and sign-out may redirect there: only to our own pages."""
        return is_own_path(url or "")

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count wrong passwords by user name and source, so that a stranger elsewhere cannot lock a colleague out."""
        return f"{source(client_address(request))} {fold(credentials.get('username', ''))}"


def source(address: str) -> str:
    """Return what counts as one source of attempts: an IPv4 address, or the /64 network of an IPv6 address."""
    if isinstance(parsed_address(address), IPv6Address):
        return str(ip_network(f"{address}/64", strict=False))
    return address
