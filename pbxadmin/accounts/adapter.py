"""What we ask of django-allauth that its settings cannot say."""

from ipaddress import IPv6Address, ip_network
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from django.http import HttpRequest

from pbxadmin.access.names import fold
from pbxadmin.access.reauthentication import is_recently_authenticated
from pbxadmin.web.htmx import is_own_path

from .middleware import client_address, parsed


class AccountAdapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": "User name and password do not match.",
        "too_many_login_attempts": "Too many wrong passwords came from your address. Try again in a few minutes.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """People are added by site admins."""
        return False

    def is_reauthentication_required(self, **_: Any) -> bool:
        """Signing in counts too, which allauth alone would not say."""
        return not is_recently_authenticated(context.request)

    def is_safe_url(self, url: str | None) -> bool:
        """Where sign-in, sign-out and the like may lead."""
        return is_own_path(url or "")

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count wrong passwords by user name and source, so that a stranger elsewhere cannot lock a colleague out."""
        return f"{source(client_address(request))} {fold(credentials.get('username', ''))}"


def source(address: str) -> str:
    """An IPv6 client has a whole /64 to choose its address from, so that network counts as one source."""
    if isinstance(parsed(address), IPv6Address):
        return str(ip_network(f"{address}/64", strict=False))
    return address
